"""What a file system in memory may hold, and content that is fetched when it is first used."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from wasihost.common.forking import Locked
from wasihost.common.unpatched import threading


class LimitError(OSError):
    """A limit of a file system of ours was met. `limit` is its name, an argument of `MemoryFS`."""

    limit = ""


def exceeded(code: int, about: str, limit: str) -> LimitError:
    """The error for a limit of this name."""
    error = LimitError(code, os.strerror(code), about)
    error.limit = limit
    return error


class Lazy(NamedTuple):
    """Content that is fetched when it is first used: `size` in bytes, known before, and what answers the bytes."""

    size: int
    load: Callable[[], bytes]


class Loading(NamedTuple):
    """A loading that is under way: the thread, and a lock that it holds until it is over."""

    thread: int
    over: threading.Lock


class Quota(Locked):
    """What one file system may hold, and its clock, lock and device number; a limit that is None is no limit.

    `bytes` counts the content of files and links, `entries` every name of a file, directory or link. `loading` has the
    files whose content is being fetched, for which the lock is not held: that may take as long as it likes.
    """

    __slots__ = ("bytes", "clock", "device", "entries", "loading", "max_bytes", "max_entries", "max_file_size")

    def __init__(
        self,
        max_bytes: int | None,
        max_entries: int | None,
        max_file_size: int | None,
        clock: Callable[[], int],
        device: int,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.max_file_size = max_file_size
        self.clock = clock
        self.device = device
        self.bytes = 0
        self.entries = 0
        self.loading: dict[object, Loading] = {}
        super().__init__()

    def renew_locks(self) -> None:
        """Nobody else is loading anything."""
        super().renew_locks()
        self.loading.clear()

    def charge(self, size: int) -> None:
        """Count `size` bytes more, or fewer if it is negative. Raises: ENOSPC."""
        if size > 0 and self.max_bytes is not None and self.bytes + size > self.max_bytes:
            raise exceeded(errno.ENOSPC, f"more than {self.max_bytes} bytes", "max_bytes")
        self.bytes += size

    def charge_entry(self, name: str) -> None:
        """Count one name more. Raises: ENOSPC."""
        if self.max_entries is not None and self.entries >= self.max_entries:
            raise exceeded(errno.ENOSPC, f"more than {self.max_entries} names", "max_entries")
        if len(name) > _SHORT:
            self.charge(name_size(name))
        self.entries += 1

    def release_entry(self, name: str) -> None:
        """Count one name less."""
        if len(name) > _SHORT:
            self.charge(-name_size(name))
        self.entries -= 1


_SHORT: Final = 16
_FREE: Final = 128


def name_size(text: str) -> int:
    """The bytes that a name takes, beyond those that every name may: a character can take four of them, and one wide
    character makes all others of its text as wide."""
    return max(0, sys.getsizeof(text) - _FREE)
