"""What takes long within a tree, while a guest waits for it: it looks now and then whether the guest has to end.

Rules of this file: a tree knows no guest. Whoever calls it on behalf of one says, for this thread, what is to be called
from time to time: it raises if there is no time left. Trees used from Python have nobody to ask.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from wasihost.common.unpatched import threading

_PAUSE = 0.02
"""Seconds between two looks while another thread is waited for."""
_PIECE = 1 << 20


class _OfThread(threading.local):
    check: Callable[[], None] | None = None


_thread = _OfThread()


class interrupted_by:
    """What waits in this block calls `check`, and lets pass what it raises."""

    __slots__ = ("_before", "_check")

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._before = _thread.check

    def __enter__(self) -> None:
        _thread.check = self._check

    def __exit__(self, *_: object) -> None:
        _thread.check = self._before


def wait_for(over: threading.Lock) -> None:
    """Wait until the thread that holds the lock has released it."""
    check = _thread.check
    while not over.acquire(timeout=-1 if check is None else _PAUSE):
        if check is not None:
            check()
    over.release()


def read_all(file: BinaryIO) -> bytes:
    """What is left of a file, piece by piece."""
    content = io.BytesIO()
    while piece := file.read(_PIECE):
        content.write(piece)
        if _thread.check is not None:
            _thread.check()
    return content.getvalue()
