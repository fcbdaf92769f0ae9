"""What a file system reports of its files, made to fit the spec's records: the only place where these are filled.

A host's file system, an archive, a listing that came over a network and a class of a user's can report any number. None
ends a run:

- a time before 1970 is 0, which the spec allows for an unknown one; one after 2554 is the last that the record can say
- a device or inode number is taken modulo 2^64, a link count that does not fit is the nearest that does
- a size that is no `off_t`, below 0 or beyond 2^63-1, is OVERFLOW

What is no number is a bug of whoever reported it: TypeError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from wasi_preview1.codecs import DIRENT_LAYOUT
from wasi_preview1.errors import WasiError
from wasi_preview1.guest import make
from wasi_preview1.types import Errno, Filestat, Filetype

from wasihost.descriptors.base import MAX_OFFSET, DirectoryEntry

_U64 = 0xFFFFFFFFFFFFFFFF


def filestat(reporter: object, stat: Sequence[Any], inode: int, kind: Filetype) -> Filestat:
    """All fields; `stat` has what `vfs.Stat` has. `reporter` is whose it is, for the message of a TypeError.

    Raises: OVERFLOW for a size that cannot be said.
    """
    size, mtim, atim, ctim, links, device = stat
    try:
        fits = not (size << 1 | mtim | atim | ctim | links | device | inode) >> 64
    except TypeError:
        fits = False
    if not fits:
        who = type(reporter).__name__
        size = file_size(reporter, size)
        mtim, atim, ctim, links = (
            min(max(_number(value, f"{who}.stat().{name}"), 0), _U64)
            for name, value in (("mtime_ns", mtim), ("atime_ns", atim), ("ctime_ns", ctim), ("links", links))
        )
        device = _number(device, f"{who}.stat().device") & _U64
        inode = _number(inode, f"{who}.inode") & _U64
    return make(Filestat, (device, inode, kind, links, size, atim, mtim, ctim))


def file_size(reporter: object, size: Any) -> int:
    """A size in bytes. Raises: OVERFLOW for one that cannot be."""
    number = _number(size, f"{type(reporter).__name__}.stat().size")
    if not 0 <= number <= MAX_OFFSET:
        from wasihost.common.logs import warn

        warn("files", "%s.stat().size is %d: the guest gets EOVERFLOW", type(reporter).__name__, number)
        raise WasiError(Errno.OVERFLOW)
    return number


CHECKED: Final = 4096
"""Entries of a listing between two looks at the deadline."""


def packed(entries: list[DirectoryEntry], check: Callable[[], None]) -> tuple[memoryview, list[int]]:
    """A listing as the guest gets it, end to end, and where each entry begins. `check` raises if there is no time."""
    pack, head = DIRENT_LAYOUT.pack, DIRENT_LAYOUT.size
    pieces: list[bytes] = []
    starts: list[int] = []
    at = 0
    for number, (name, inode, filetype) in enumerate(entries, 1):
        size = len(name)
        if type(inode) is not int:
            inode = _number(inode, f"inode of {name!r}")
        pieces += (pack(number, inode & _U64, size, filetype), name)
        starts.append(at)
        at += head + size
        if not number % CHECKED:
            check()
    return memoryview(b"".join(pieces)), starts


def _number(value: Any, what: str) -> int:
    try:
        return int(value.__index__())
    except AttributeError:
        raise TypeError(f"{what} is {value!r:.80}, and has to be an int") from None
