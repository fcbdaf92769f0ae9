"""One compilation at a time for each key, in all threads and processes that share a cache; the others wait.

Rules of this file: the lock never prevents a compilation. If no file can be locked, if the compiling process hangs, and
in a forked child whose parent was compiling, a module is compiled twice.

Between processes the lock is flock(2) on a file beside the cache entries, so it ends with its owner. The owner removes
the file; only a process that was killed leaves one behind.
"""

from __future__ import annotations

import os
from types import ModuleType

from wasi_preview1.light_typing import TypeVar

from wasihost.common.cache_folder import private_folder
from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading, time
from wasihost.errors import raise_if_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

T = TypeVar("T")

_LONGEST = 60.0
"""Seconds to wait for another process."""
_PAUSE = 0.02
_CHECK = 1.0
"""Seconds after which a thread that waits looks whether it waits for the right lock."""
_MANY = 1000

_locks: dict[str, threading.RLock] = {}
_held: set[_FileLock] = set()
_of_parent: set[str] = set()
"""Keys that other threads of the parent were compiling at the fork. Waiting for them could deadlock: the parent may be
waiting for this process."""


def once(key: str, find: Callable[[], T | None], make: Callable[[], T]) -> T:
    """Return what `find` returns, or if that is None, what `make` returns.

    Only one thread of one process makes it for a key at a time.
    """
    if len(_locks) > _MANY:
        _locks.clear()  # waiting threads continue to wait; new ones compile beside them
    lock, entered = _locks.setdefault(key, threading.RLock()), False  # `on_compile` may ask for the same
    try:
        while not lock.acquire(timeout=_CHECK):
            lock = _locks.setdefault(key, threading.RLock())
        try:
            entered = True
            return _once(key, find, make)
        finally:
            lock.release()
    except BaseException:
        if not entered and _locks.get(key) is lock:  # a signal handler has raised, and may have left it held
            _locks.pop(key, None)
        raise


def _once(key: str, find: Callable[[], T | None], make: Callable[[], T]) -> T:
    if (found := find()) is not None:
        return found
    if any(lock.key == key for lock in tuple(_held)):
        return make()  # held by this very thread, since it has the other lock: `on_compile` asked for the same
    with _FileLock(key) as lock:
        if lock.waited and (found := find()) is not None:
            return found
        return make()


class _FileLock:
    """A lock that is held in a `with` block, if possible. `waited`: another process had it before."""

    def __init__(self, key: str) -> None:
        self.waited = False
        self.key = key
        self._file: int | None = None
        self._owner = False
        self._path = ""

    def __enter__(self) -> Self:
        try:
            import fcntl

            place = None if self.key in _of_parent else private_folder(make=True)
            if place is None:
                return self
            self._path = os.path.join(place, f"{self.key}.lock")
            until = time.monotonic() + _LONGEST
            _held.add(self)
            while not self._taken(fcntl) and time.monotonic() < until:
                self.waited = True
                time.sleep(_PAUSE)
        except OSError as error:
            self.let_go()
            raise_if_from_handler(error)
        except BaseException:
            self.let_go()
            raise
        return self

    def _taken(self, fcntl: ModuleType) -> bool:
        """Try to lock, and return whether we hold the lock on the file that other processes find by its name."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise_if_from_handler(error)
            return False
        if os.fstat(self._file).st_nlink:
            self._owner = True
            return True
        self.let_go()  # its last owner has removed it
        return self._taken(fcntl)

    def let_go(self) -> None:
        """Close the file, which releases the lock."""
        _held.discard(self)
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __exit__(self, *_: object) -> None:
        if self._file is not None and self._owner:
            try:
                os.unlink(self._path)
            except OSError as error:
                self.let_go()
                raise_if_from_handler(error)
        self.let_go()


@in_forked_child
def _after_in_child() -> None:
    """Close the parent's files: otherwise this process would hold the parent's locks as long as it lives."""
    _locks.clear()
    for lock in tuple(_held):
        _of_parent.add(lock.key)
        lock.let_go()
