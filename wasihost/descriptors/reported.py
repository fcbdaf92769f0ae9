"""From what a file system reports of its files to the spec's records: the only place that fills these.

A host file system, an archive, a remote listing or a class of the embedder's may report any number. No number ends a
run:

- a time before 1970 becomes 0, which the spec allows for an unknown time; one after 2554 becomes the last possible time
- device and inode numbers are taken modulo 2^64; a link count that does not fit becomes the nearest one that does
- a size that is not an `off_t` (below 0 or beyond 2^63-1) raises OVERFLOW

A value that is not a number is a bug of the file system: TypeError.
"""

from __future__ import annotations

from wasi_preview1.codecs import DIRENT_LAYOUT
from wasi_preview1.errors import WasiError
from wasi_preview1.guest import make
from wasi_preview1.types import Errno, Filestat, Filetype

from wasihost.descriptors.file_calls import MAX_OFFSET
from wasihost.native import extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeAlias

DirectoryEntry: TypeAlias = tuple[bytes, int, Filetype]
"""A name in a listing, its inode number and its type, as far as they are known without a stat. A plain tuple: a class
would add a sixth to the cost of an entry."""

Listing: TypeAlias = "tuple[memoryview, Sequence[int]]"
"""A directory's entries as bytes for the guest, and the offset of each entry."""

_U64 = 0xFFFFFFFFFFFFFFFF


def filestat(reporter: object, stat: Sequence[Any], inode: int, kind: Filetype) -> Filestat:
    """Make a `filestat`. `stat` has the fields of `vfs.Stat`; the message of a TypeError names the class of `reporter`.

    Raises: OVERFLOW for a size that is not an `off_t`.
    """
    size, mtim, atim, ctim, links, device = stat
    try:
        fits = not (size << 1 | mtim | atim | ctim | links | device | inode) >> 64
    except TypeError:
        fits = False
    if not fits:
        name_of = type(reporter).__name__
        size = file_size(reporter, size)
        mtim, atim, ctim, links = (
            min(max(_number(value, f"{name_of}.stat().{name}"), 0), _U64)
            for name, value in (("mtime_ns", mtim), ("atime_ns", atim), ("ctime_ns", ctim), ("links", links))
        )
        device = _number(device, f"{name_of}.stat().device") & _U64
        inode = _number(inode, f"{name_of}.inode") & _U64
    return make(Filestat, (device, inode, kind, links, size, atim, mtim, ctim))


def file_size(reporter: object, size: Any) -> int:
    """Return a size in bytes. Raises: OVERFLOW for one that is not an `off_t`."""
    number = _number(size, f"{type(reporter).__name__}.stat().size")
    if not 0 <= number <= MAX_OFFSET:
        from wasihost.common.logs import warn

        warn("files", "%s.stat().size is %d: the guest gets EOVERFLOW", type(reporter).__name__, number)
        raise WasiError(Errno.OVERFLOW)
    return number


CHECKED: Final = 4096
"""Entries of a listing between two checks of the scope."""


def packed(entries: list[DirectoryEntry], check: Callable[[], None]) -> Listing:
    """Pack entries into `dirent` records, each followed by its name.

    `check` is called after each `CHECKED` entries and raises if the guest has to end.
    """
    if extension is not None:
        listing: Listing | None = extension.pack_entries(entries, check)
        if listing is not None:
            return listing
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
