"""The calls that a case makes of a guest: one builder per function of the spec, and what a call is expected to do.

Rules of this file: a builder takes what a programmer would write and knows nothing of addresses. A text becomes address
and length of a path, `Room` a buffer to be filled, `Rooms` an array of them, `Data` an array of buffers with content.
Paths start from descriptor 3 unless `fd` says otherwise, links at their end are followed unless `follow` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from wasi_preview1.types import Errno, Filetype, Fstflags, Oflags, Rights

TOP = 3
"""The descriptor of the mounted tree."""
ALL = Rights(Rights.MASK)
FOLDER = ALL & ~(Rights.FD_WRITE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_SET_SIZE)
"""All that one can ask for of a directory: not to write it."""
FOR_FILES = (
    Rights.FD_DATASYNC | Rights.FD_READ | Rights.FD_SEEK | Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_SYNC | Rights.FD_TELL
    | Rights.FD_WRITE | Rights.FD_ADVISE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_GET | Rights.FD_FILESTAT_SET_SIZE
    | Rights.FD_FILESTAT_SET_TIMES | Rights.POLL_FD_READWRITE
)  # fmt: skip
"""What a file has that was opened to be read and written."""
FOR_READERS = FOR_FILES & ~(Rights.FD_WRITE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_SET_SIZE)
"""What a file has that was opened to be read."""
FOR_FOLDERS = (
    Rights.FD_DATASYNC | Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_SYNC | Rights.PATH_CREATE_DIRECTORY
    | Rights.PATH_CREATE_FILE | Rights.PATH_LINK_SOURCE | Rights.PATH_LINK_TARGET | Rights.PATH_OPEN | Rights.FD_READDIR
    | Rights.PATH_READLINK | Rights.PATH_RENAME_SOURCE | Rights.PATH_RENAME_TARGET | Rights.PATH_FILESTAT_GET
    | Rights.PATH_FILESTAT_SET_SIZE | Rights.PATH_FILESTAT_SET_TIMES | Rights.FD_FILESTAT_GET
    | Rights.FD_FILESTAT_SET_TIMES | Rights.PATH_SYMLINK | Rights.PATH_REMOVE_DIRECTORY | Rights.PATH_UNLINK_FILE
)  # fmt: skip
"""What every directory has."""


class Room(NamedTuple):
    """A buffer of sentinels: its address and size."""

    size: int


class Rooms(NamedTuple):
    """Buffers of sentinels: address and count of their array."""

    sizes: tuple[int, ...]


class Data(NamedTuple):
    """Buffers with content: address and count of their array."""

    pieces: tuple[bytes, ...]


class Entries(NamedTuple):
    """What `fd_readdir` writes: these names from number `start` on, cut where the buffer ends. Those behind `.` and
    `..` may come in any order."""

    types: Mapping[str, Filetype]
    start: int = 0


class Block(NamedTuple):
    """Bytes for the call to find: their address alone."""

    content: bytes


class Space(NamedTuple):
    """Sentinels for the call to fill: their address alone."""

    size: int


class Slot(NamedTuple):
    """The descriptor that the call of `path_open` with this number, from 0, was given; 99 if there was none."""

    number: int


Fd: TypeAlias = int | Slot
Argument: TypeAlias = int | str | bytes | Room | Rooms | Data | Block | Space | Slot
Value: TypeAlias = int | bytes | Mapping[str, int] | Entries
"""A number, the bytes in the buffers, fields of the record (what is not named may be anything), a listing."""


class Step(NamedTuple):
    """One call. `answers` is the type of what its last parameter points to, empty for a call without."""

    function: str
    arguments: tuple[Argument, ...]
    answers: str = ""
    errno: Errno = Errno.SUCCESS
    value: Value | None = None

    def gives(self, value: Value) -> Step:
        """The call succeeds with this result."""
        return self._replace(value=value)

    def fails(self, errno: Errno) -> Step:
        """The call returns `errno` and writes nothing."""
        return self._replace(errno=errno, value=None)


# -- fd_* --------------------------------------------------------------------------------------------------------------


def fd_advise(fd: Fd, offset: int, size: int, advice: int) -> Step:
    return Step("fd_advise", (fd, offset, size, advice))


def fd_allocate(fd: Fd, offset: int, size: int) -> Step:
    return Step("fd_allocate", (fd, offset, size))


def fd_close(fd: Fd) -> Step:
    return Step("fd_close", (fd,))


def fd_datasync(fd: Fd) -> Step:
    return Step("fd_datasync", (fd,))


def fd_fdstat_get(fd: Fd) -> Step:
    return Step("fd_fdstat_get", (fd,), "fdstat")


def fd_fdstat_set_flags(fd: Fd, flags: int) -> Step:
    return Step("fd_fdstat_set_flags", (fd, flags))


def fd_fdstat_set_rights(fd: Fd, base: int, inheriting: int) -> Step:
    return Step("fd_fdstat_set_rights", (fd, base, inheriting))


def fd_filestat_get(fd: Fd) -> Step:
    return Step("fd_filestat_get", (fd,), "filestat")


def fd_filestat_set_size(fd: Fd, size: int) -> Step:
    return Step("fd_filestat_set_size", (fd, size))


def fd_filestat_set_times(fd: Fd, atim: int, mtim: int, flags: int) -> Step:
    return Step("fd_filestat_set_times", (fd, atim, mtim, flags))


def fd_pread(fd: Fd, offset: int, *sizes: int) -> Step:
    return Step("fd_pread", (fd, Rooms(sizes), offset), "size")


def fd_prestat_get(fd: Fd) -> Step:
    return Step("fd_prestat_get", (fd,), "prestat")


def fd_prestat_dir_name(fd: Fd, size: int) -> Step:
    return Step("fd_prestat_dir_name", (fd, Room(size)))


def fd_pwrite(fd: Fd, offset: int, *pieces: bytes) -> Step:
    return Step("fd_pwrite", (fd, Data(pieces), offset), "size")


def fd_read(fd: Fd, *sizes: int) -> Step:
    return Step("fd_read", (fd, Rooms(sizes)), "size")


def fd_readdir(fd: Fd, size: int, cookie: int = 0) -> Step:
    return Step("fd_readdir", (fd, Room(size), cookie), "size")


def fd_renumber(fd: Fd, to: Fd) -> Step:
    return Step("fd_renumber", (fd, to))


def fd_seek(fd: Fd, offset: int, whence: int) -> Step:
    return Step("fd_seek", (fd, offset, whence), "filesize")


def fd_sync(fd: Fd) -> Step:
    return Step("fd_sync", (fd,))


def fd_tell(fd: Fd) -> Step:
    return Step("fd_tell", (fd,), "filesize")


def fd_write(fd: Fd, *pieces: bytes) -> Step:
    return Step("fd_write", (fd, Data(pieces)), "size")


def without(right: Rights, fd: int = 4) -> Step:
    """`fd_fdstat_set_rights` that drops `right` for a file opened to be read and written."""
    return fd_fdstat_set_rights(fd, FOR_FILES & ~right, 0).gives(0)


def folder_without(right: Rights, fd: int = 4) -> Step:
    """`fd_fdstat_set_rights` that drops `right` for a directory."""
    return fd_fdstat_set_rights(fd, FOR_FOLDERS & ~right, ALL).gives(0)


def poll_oneoff(*subscriptions: bytes) -> Step:
    """The number of a `Slot` in a subscription is written as `SLOT_IN_MEMORY` and more."""
    events = Space(EVENT * len(subscriptions))
    return Step("poll_oneoff", (Block(b"".join(subscriptions)), events, len(subscriptions)), "size")


EVENT = 32
"""Bytes of an `event`."""
SLOT_IN_MEMORY = 0x100000


# -- path_* ------------------------------------------------------------------------------------------------------------

Path: TypeAlias = str | bytes


def path_create_directory(path: Path, fd: Fd = TOP) -> Step:
    return Step("path_create_directory", (fd, path))


def path_filestat_get(path: Path, *, fd: Fd = TOP, follow: int = 1) -> Step:
    return Step("path_filestat_get", (fd, follow, path), "filestat")


def path_filestat_set_times(
    path: Path,
    atim: int = 5,
    mtim: int = 6,
    flags: int = Fstflags.ATIM | Fstflags.MTIM,
    *,
    fd: Fd = TOP,
    follow: int = 1,
) -> Step:
    return Step("path_filestat_set_times", (fd, follow, path, atim, mtim, flags))


def path_link(old: Path, new: Path, *, fd: Fd = TOP, new_fd: Fd = TOP, follow: int = 0) -> Step:
    return Step("path_link", (fd, follow, old, new_fd, new))


def path_open(
    path: Path,
    oflags: int = 0,
    *,
    fd: Fd = TOP,
    follow: int = 1,
    rights: int = ALL,
    inheriting: int = ALL,
    flags: int = 0,
) -> Step:
    return Step("path_open", (fd, follow, path, oflags, rights, inheriting, flags), "fd")


def opened(path: Path, oflags: int = 0, *, fd: int = 4, at: int = TOP, flags: int = 0, rights: int = ALL) -> Step:
    """`path_open` that returns the descriptor `fd`."""
    return path_open(path, oflags, fd=at, flags=flags, rights=rights).gives(fd)


def opened_directory(path: Path, *, fd: int = 4, at: int = TOP, rights: int = FOLDER) -> Step:
    """`path_open` of a directory that returns the descriptor `fd`."""
    return opened(path, Oflags.DIRECTORY, fd=fd, at=at, rights=rights)


def path_readlink(path: Path, size: int = 64, fd: Fd = TOP) -> Step:
    return Step("path_readlink", (fd, path, Room(size)), "size")


def path_remove_directory(path: Path, fd: Fd = TOP) -> Step:
    return Step("path_remove_directory", (fd, path))


def path_rename(old: Path, new: Path, *, fd: Fd = TOP, new_fd: Fd = TOP) -> Step:
    return Step("path_rename", (fd, old, new_fd, new))


def path_symlink(content: Path, path: Path, fd: Fd = TOP) -> Step:
    return Step("path_symlink", (content, fd, path))


def path_unlink_file(path: Path, fd: Fd = TOP) -> Step:
    return Step("path_unlink_file", (fd, path))
