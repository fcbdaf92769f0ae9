"""One thread at a time in an instance: an engine does not detect concurrent use, which corrupts what it keeps."""

from __future__ import annotations

from wasihost.common.unpatched import threading, time
from wasihost.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = "another thread is in this guest: an instance is for one thread at a time; end it, or wait"
_WAITS_END = 0.2
"""Seconds in which a guest that waits must have ended."""
_PAUSE = 0.001


class Exclusive:
    """Hold a lock without waiting, or raise RuntimeError. A class, because contextlib replaces an exception whose class
    does not let it set attributes."""

    __slots__ = ("_lock",)

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(BUSY)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def check_free(inside: Callable[[], int]) -> None:
    """ConfigError if another thread is still in the guest after it was ended: it computes, and cannot be interrupted.
    The lock is not touched: that thread would find it taken when it closes the guest."""
    until = time.monotonic() + _WAITS_END
    while inside():
        if time.monotonic() > until:
            raise ConfigError("the guest computes and was not made to be interrupted: give `timeout` when it is made")
        time.sleep(_PAUSE)
