"""Which rights each kind of descriptor has, as sets of the spec's `rights`.

Rules of this file: data, and what opening makes of it. A descriptor has every right that its kind can have: no
toolchain asks `path_open` for all that its programs use later, and some ask for nearly every right there is. Only
FD_READ and FD_WRITE are as they were asked for: they are POSIX' access mode, which knows no more than these two. What a
guest gives up by `fd_fdstat_set_rights` is taken from the descriptor later, and what protects a mount is that it is
read-only, not a right.
"""

from __future__ import annotations

from wasi_preview1.types import Rights as R

ALL = R(R.MASK)

READ = R.FD_READ
WRITE = R.FD_WRITE | R.FD_ALLOCATE | R.FD_FILESTAT_SET_SIZE
"""What is there only if FD_WRITE was asked for: as in POSIX, allocating and cutting need a file that can be written."""
FILE = (
    READ | WRITE | R.FD_DATASYNC | R.FD_SYNC | R.FD_SEEK | R.FD_TELL | R.FD_ADVISE | R.FD_FDSTAT_SET_FLAGS
    | R.FD_FILESTAT_GET | R.FD_FILESTAT_SET_TIMES | R.POLL_FD_READWRITE
)  # fmt: skip
"""A regular file."""

DIRECTORY = (
    R.PATH_OPEN | R.FD_READDIR | R.PATH_READLINK | R.PATH_FILESTAT_GET | R.FD_FILESTAT_GET | R.FD_FDSTAT_SET_FLAGS
    | R.FD_SYNC | R.FD_DATASYNC | R.PATH_CREATE_DIRECTORY | R.PATH_CREATE_FILE | R.PATH_LINK_SOURCE
    | R.PATH_LINK_TARGET | R.PATH_RENAME_SOURCE | R.PATH_RENAME_TARGET | R.PATH_FILESTAT_SET_SIZE
    | R.PATH_FILESTAT_SET_TIMES | R.PATH_SYMLINK | R.PATH_REMOVE_DIRECTORY | R.PATH_UNLINK_FILE
    | R.FD_FILESTAT_SET_TIMES
)  # fmt: skip
"""A directory, of a read-only mount too, and each passes all rights on: a guest's libc asks only for what its directory
passes on, and would otherwise open for reading what its program wants to write, instead of learning ROFS."""

STREAM = R.FD_READ | R.FD_WRITE | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET | R.POLL_FD_READWRITE
"""A pipe, a terminal, a Python stream. Without SEEK and TELL a character device is a terminal to a guest's isatty."""

SOCKET = STREAM | R.SOCK_SHUTDOWN
"""A connected socket."""
LISTENER = R.SOCK_ACCEPT | R.FD_READ | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET | R.POLL_FD_READWRITE
"""A listening socket: to be accepted from, and to be polled for reading, for which the spec wants FD_READ."""

_READING, _WRITING = int(R.FD_READ), int(R.FD_WRITE)  # names of an enumeration are slow to look up
_NO_READ, _NO_WRITE = int(ALL & ~READ), int(ALL & ~WRITE)


def opened(kind: int, asked: int) -> int:
    """The rights of what `path_open` opened with the rights `asked` for, of a kind that can have `kind`.

    Who asks for neither FD_READ nor FD_WRITE gets to read: POSIX' O_RDONLY is 0 too, and wasmtime lets programs do so.
    """
    if not asked & _WRITING:
        return kind & _NO_WRITE
    return kind if asked & _READING else kind & _NO_READ
