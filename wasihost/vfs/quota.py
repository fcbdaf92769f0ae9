"""What a `MemoryFS` may hold, and `Lazy`, content that is loaded when it is first used."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from wasihost.common.forking import Locked
from wasihost.common.unpatched import threading


class LimitError(OSError):
    """A limit of a `MemoryFS` was reached. `limit` is its name: an argument of `MemoryFS`."""

    limit = ""


def exceeded(code: int, about: str, limit: str) -> LimitError:
    """Return the error with errno `code` for the limit of this name."""
    error = LimitError(code, os.strerror(code), about)
    error.limit = limit
    return error


class Lazy(NamedTuple):
    """Content of a file that is loaded when it is first used.

    Args:
        size: Bytes, known before the content is loaded.
        load: Called when the content is first used; returns exactly `size` bytes.
    """

    size: int
    load: Callable[[], bytes]


class Loading(NamedTuple):
    """Content that is being loaded: the loading thread, and a lock (`over`) that it holds until it has finished."""

    thread: int
    over: threading.Lock


class Quota(Locked):
    """What one file system may hold (None is no limit) and holds, with its clock, lock and device number.

    `bytes` counts the content of files and links, and long names; `entries` counts the names of files, directories and
    links. `loading` has the files whose content is being loaded; the lock is not held for that, since it may be slow.
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
        self.max_bytes: int | None = max_bytes
        self.max_entries: int | None = max_entries
        self.max_file_size: int | None = max_file_size
        self.clock: Callable[[], int] = clock
        self.device: int = device
        self.bytes: int = 0
        self.entries: int = 0
        self.loading: dict[object, Loading] = {}
        super().__init__()

    def renew_locks(self) -> None:
        super().renew_locks()
        self.loading.clear()  # by threads that do not exist here

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
"""Characters up to which a name is never charged."""
_FREE: Final = 128
"""Bytes of memory that every name may take."""


def name_size(text: str) -> int:
    """Return the bytes of memory that a name takes beyond `_FREE`.

    It is the size of the `str`: one wide character makes each character of the text take four bytes.
    """
    return max(0, sys.getsizeof(text) - _FREE)
