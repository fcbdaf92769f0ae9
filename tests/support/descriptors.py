"""What this process has open, for tests that nothing is left so."""

from __future__ import annotations

import contextlib
import os


def open_files() -> set[str]:
    """Number and target of each, but for what belongs to a compiled module and stays as long as that is kept: its
    mapped file, and the engine's image of its first memory. Empty where there is no /proc."""
    found = set()
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return {one for one in found if not one.endswith(".cwasm") and "wasm-memory-image" not in one}
