"""One thread at a time in an instance: the engine does not notice two in one store, and both would write anywhere."""

from wasihost.unpatched import threading

BUSY = "another thread is in this guest: an instance is for one thread at a time; end it, or wait"


class Alone:
    """Holds a lock that nobody waits for, or raises RuntimeError. A class, because contextlib replaces an exception
    whose class forbids it to set attributes."""

    __slots__ = ("_lock",)

    def __init__(self, lock: "threading.RLock") -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(BUSY)

    def __exit__(self, *_: object) -> None:
        self._lock.release()
