"""Which rights each kind of descriptor has, as sets of the spec's `rights`.

Rules of this file: data only. A right that is not here cannot be held by a descriptor of that kind, so asking for it
through `path_open` answers fewer rights, never an error.
"""

from __future__ import annotations

from wasi_preview1.types import Rights as R

ALL = R(R.MASK)

FILE_READ = R.FD_READ
FILE_WRITE = R.FD_WRITE | R.FD_DATASYNC | R.FD_SYNC | R.FD_ALLOCATE | R.FD_FILESTAT_SET_SIZE
FILE = (
    FILE_READ | FILE_WRITE | R.FD_SEEK | R.FD_TELL | R.FD_ADVISE | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET
    | R.FD_FILESTAT_SET_TIMES | R.POLL_FD_READWRITE
)  # fmt: skip
"""A regular file."""

DIRECTORY_CHANGE = (
    R.PATH_CREATE_DIRECTORY | R.PATH_CREATE_FILE | R.PATH_LINK_SOURCE | R.PATH_LINK_TARGET | R.PATH_RENAME_SOURCE
    | R.PATH_RENAME_TARGET | R.PATH_FILESTAT_SET_SIZE | R.PATH_FILESTAT_SET_TIMES | R.PATH_SYMLINK
    | R.PATH_REMOVE_DIRECTORY | R.PATH_UNLINK_FILE | R.FD_FILESTAT_SET_TIMES
)  # fmt: skip
DIRECTORY_READ = (
    R.PATH_OPEN | R.FD_READDIR | R.PATH_READLINK | R.PATH_FILESTAT_GET | R.FD_FILESTAT_GET | R.FD_FDSTAT_SET_FLAGS
    | R.FD_SYNC | R.FD_DATASYNC
)  # fmt: skip
DIRECTORY = DIRECTORY_READ | DIRECTORY_CHANGE
"""A directory."""

READ_ONLY = R(ALL & ~(FILE_WRITE | DIRECTORY_CHANGE)) | R.FD_SYNC | R.FD_DATASYNC
"""What is left below a read-only mount. Such a mount passes all rights on nevertheless: a guest's libc asks only for
what its directory passes on, and would otherwise open for reading what its program wants to write, instead of
learning ROFS."""

STREAM = R.FD_READ | R.FD_WRITE | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET | R.POLL_FD_READWRITE
"""A pipe, a terminal, a Python stream. Without SEEK and TELL a character device is a terminal to a guest's isatty."""

SOCKET = STREAM | R.SOCK_SHUTDOWN
"""A connected socket."""
LISTENER = R.SOCK_ACCEPT | R.FD_READ | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET | R.POLL_FD_READWRITE
"""A listening socket: to be accepted from, and to be polled for reading, for which the spec wants FD_READ."""
