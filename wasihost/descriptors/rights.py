"""Which rights each kind of descriptor has, as sets of the spec's `rights`.

Rules of this file: data, and the rights of what is opened. A descriptor has every right that its kind can have: no
toolchain asks `path_open` for all rights that its programs use later, and some ask for nearly all there are. Only
FD_READ and FD_WRITE depend on what was requested: they are the POSIX access mode. Rights that a guest gives up with
`fd_fdstat_set_rights` are removed later. Mounts are protected by being read-only, not by rights.
"""

from __future__ import annotations

from wasi_preview1.types import Rights as R

ALL = R(R.MASK)

READ = R.FD_READ
WRITE = R.FD_WRITE | R.FD_ALLOCATE | R.FD_FILESTAT_SET_SIZE
"""Rights that need FD_WRITE: as in POSIX, allocating and truncating need a file opened for writing."""
FILE = (
    READ
    | WRITE
    | R.FD_DATASYNC
    | R.FD_SYNC
    | R.FD_SEEK
    | R.FD_TELL
    | R.FD_ADVISE
    | R.FD_FDSTAT_SET_FLAGS
    | R.FD_FILESTAT_GET
    | R.FD_FILESTAT_SET_TIMES
    | R.POLL_FD_READWRITE
)
"""A regular file."""

DIRECTORY = (
    R.PATH_OPEN
    | R.FD_READDIR
    | R.PATH_READLINK
    | R.PATH_FILESTAT_GET
    | R.FD_FILESTAT_GET
    | R.FD_FDSTAT_SET_FLAGS
    | R.FD_SYNC
    | R.FD_DATASYNC
    | R.PATH_CREATE_DIRECTORY
    | R.PATH_CREATE_FILE
    | R.PATH_LINK_SOURCE
    | R.PATH_LINK_TARGET
    | R.PATH_RENAME_SOURCE
    | R.PATH_RENAME_TARGET
    | R.PATH_FILESTAT_SET_SIZE
    | R.PATH_FILESTAT_SET_TIMES
    | R.PATH_SYMLINK
    | R.PATH_REMOVE_DIRECTORY
    | R.PATH_UNLINK_FILE
    | R.FD_FILESTAT_SET_TIMES
)
"""A directory, also of a read-only mount; each passes all rights on. A guest's libc requests only rights that the
directory passes on: without them it would silently open for reading what its program wants to write, instead of getting
ROFS."""

STREAM = R.FD_READ | R.FD_WRITE | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET | R.POLL_FD_READWRITE
"""A pipe, a terminal, a Python stream. Without FD_SEEK and FD_TELL a character device is a terminal to a guest."""

SOCKET = STREAM | R.SOCK_SHUTDOWN
"""A connected socket."""
LISTENER = R.SOCK_ACCEPT | R.FD_READ | R.FD_FDSTAT_SET_FLAGS | R.FD_FILESTAT_GET | R.POLL_FD_READWRITE
"""A listening socket, to accept from and to poll for reading, for which the spec requires FD_READ."""

_READING, _WRITING = int(R.FD_READ), int(R.FD_WRITE)  # looking up names in the class is slow
_NO_READ, _NO_WRITE = int(ALL & ~READ), int(ALL & ~WRITE)


def opened(kind: int, asked: int) -> int:
    """Return the rights of a new descriptor: `kind` are those of its kind, `asked` those that `path_open` requested.

    A request for neither FD_READ nor FD_WRITE opens for reading: O_RDONLY is 0 in POSIX too, and wasmtime does the
    same.
    """
    if not asked & _WRITING:
        return kind & _NO_WRITE
    return kind if asked & _READING else kind & _NO_READ
