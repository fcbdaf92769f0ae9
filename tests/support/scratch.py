"""Folders that live for a moment, thousands of them: in memory, where the system has a place for that."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_MEMORY = "/dev/shm"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, removed with all that it holds. `TMPDIR` says where, if it is set."""
    in_memory = "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK | os.X_OK)
    made = Path(tempfile.mkdtemp(prefix="wasihost-", dir=_MEMORY if in_memory else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)
