"""Long steps within a tree that end in time when their guest has to end.

Rules of this file: a tree knows no guest. The caller passes a check for its thread to `interrupted_by`; long steps call
it from time to time, and it raises when the guest has to end. When Python code uses a tree there is no check.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from wasihost.common.unpatched import threading

_PAUSE = 0.02
"""Seconds between two checks while waiting for another thread."""
_PIECE = 1 << 20
"""Bytes read between two checks."""


class _OfThread(threading.local):
    check: Callable[[], None] | None = None


_thread = _OfThread()


class interrupted_by:
    """Context manager: long steps of this thread call `check` now and then; what it raises ends them."""

    __slots__ = ("_before", "_check")

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._before = _thread.check

    def __enter__(self) -> None:
        _thread.check = self._check

    def __exit__(self, *_: object) -> None:
        _thread.check = self._before


def check_now() -> None:
    """Call the check of this thread, if there is one: for steps that read no `BinaryIO` and wait for no lock."""
    if _thread.check is not None:
        _thread.check()


def wait_for(over: threading.Lock) -> None:
    """Wait until the thread that holds the lock has released it."""
    check = _thread.check
    while not over.acquire(timeout=-1 if check is None else _PAUSE):
        if check is not None:
            check()
    over.release()


def read_all(file: BinaryIO) -> bytes:
    """Return the rest of a file, read piece by piece."""
    content = io.BytesIO()
    while piece := file.read(_PIECE):
        content.write(piece)
        if _thread.check is not None:
            _thread.check()
    return content.getvalue()
