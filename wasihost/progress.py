"""A word on the terminal while a large module is compiled, which happens once."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

PATIENCE = 1.0
"""Seconds before anything is said."""


@contextlib.contextmanager
def _told(label: str, size: int) -> Iterator[None]:
    """Says what is compiled if that takes long, and takes it back afterwards."""
    text = f"compiling {label} ({size / 1e6:.1f} MB), once ..."
    shown = threading.Event()

    def show() -> None:
        shown.set()
        print(text, end="", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.is_set():
            print(f"\r{' ' * len(text)}\r", end="", file=sys.stderr, flush=True)


def show_compiling() -> None:
    """From now on, in this process."""
    from wasihost.engines.wasmtime import module

    module.compiling = _told
