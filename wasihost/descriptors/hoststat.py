"""From a stat result of the host to the spec's `filestat` and `filetype`."""

from __future__ import annotations

import os
import stat

from wasi_preview1.guest import make
from wasi_preview1.types import Filestat, Filetype

from wasihost.descriptors.reported import filestat
from wasihost.native import extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_TYPES = {
    stat.S_IFREG: Filetype.REGULAR_FILE,
    stat.S_IFDIR: Filetype.DIRECTORY,
    stat.S_IFLNK: Filetype.SYMBOLIC_LINK,
    stat.S_IFCHR: Filetype.CHARACTER_DEVICE,
    stat.S_IFBLK: Filetype.BLOCK_DEVICE,
    stat.S_IFSOCK: Filetype.SOCKET_STREAM,
    stat.S_IFIFO: Filetype.UNKNOWN,
}
"""The spec has no type for a FIFO."""

_FORMAT = 0o170000
_U64 = _LATEST = 0xFFFFFFFFFFFFFFFF
_UNKNOWN = Filetype.UNKNOWN
_type_of = _TYPES.get


def filetype_of(mode: int) -> Filetype:
    """The file type in `st_mode`."""
    return _type_of(mode & _FORMAT, _UNKNOWN)


def filestat_of(st: os.stat_result) -> Filestat:
    """A `filestat` with all fields; times in ns since 1970."""
    atim, mtim, ctim, size = st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns, st.st_size
    kind = _type_of(st.st_mode & _FORMAT, _UNKNOWN)
    if atim < 0 or mtim < 0 or ctim < 0 or size < 0 or atim > _LATEST or mtim > _LATEST or ctim > _LATEST:
        return filestat(st, (size, mtim, atim, ctim, st.st_nlink, st.st_dev), st.st_ino, kind)
    return make(Filestat, (st.st_dev & _U64, st.st_ino, kind, st.st_nlink, size, atim, mtim, ctim))


def _filestat(fd: int) -> Filestat:
    return filestat_of(os.fstat(fd))


KINDS: Final = tuple(filetype_of(bits << 12) for bits in range(16))
"""The file type for each value of the type bits in `st_mode`, shifted to the right."""

host_filestat: Callable[[int], Filestat] = _filestat
"""fstat(2) of an open file."""
if extension is not None:
    host_filestat = extension.filestat
    extension.set_filestat(Filestat, KINDS, _filestat)
