"""What a `MemoryFS` may hold, and `Lazy`, content that is loaded when it is first used."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

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


class Limits(Protocol):
    """What limits the files of a folder of the host, and how many bytes are there."""

    bytes: int
    max_bytes: int | None
    max_file_size: int | None


def fitting(limits: Limits, old: int, offset: int, size: int) -> int:
    """Return how much of a write at `offset` of a file of `old` bytes may be done. Raises: ENOSPC, EFBIG for none."""
    end = offset + size
    if end <= old or not size:
        return size
    most = limits.max_file_size
    if most is not None and end > most:
        end = max(most, old)
        if end <= offset:
            raise exceeded(errno.EFBIG, f"more than {most} bytes in a file", "max_file_size")
    most = limits.max_bytes
    if most is not None and limits.bytes + end - old > most:
        end = max(old, old + most - limits.bytes)
        if end <= offset:
            raise exceeded(errno.ENOSPC, f"more than {most} bytes", "max_bytes")
    return end - offset


def check_growth(limits: Limits, old: int, size: int) -> None:
    """Check that a file of `old` bytes may have `size`. Raises: ENOSPC, EFBIG."""
    if limits.max_file_size is not None and size > limits.max_file_size and size > old:
        raise exceeded(errno.EFBIG, f"more than {limits.max_file_size} bytes in a file", "max_file_size")
    if size > old and limits.max_bytes is not None and limits.bytes + size - old > limits.max_bytes:
        raise exceeded(errno.ENOSPC, f"more than {limits.max_bytes} bytes", "max_bytes")


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
