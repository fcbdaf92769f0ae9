"""Between what a host says of an fd (stat result, time stamps) and the spec's `filestat` and `fstflags`."""

from __future__ import annotations

import os
import stat

from wasi_preview1.errors import WasiError
from wasi_preview1.guest import make
from wasi_preview1.types import Errno, Filestat, Filetype, Fstflags

from wasihost.descriptors.reported import filestat
from wasihost.sandbox.times import UTIME_NOW, UTIME_OMIT

_TYPES = {
    stat.S_IFREG: Filetype.REGULAR_FILE,
    stat.S_IFDIR: Filetype.DIRECTORY,
    stat.S_IFLNK: Filetype.SYMBOLIC_LINK,
    stat.S_IFCHR: Filetype.CHARACTER_DEVICE,
    stat.S_IFBLK: Filetype.BLOCK_DEVICE,
    stat.S_IFSOCK: Filetype.SOCKET_STREAM,
    stat.S_IFIFO: Filetype.UNKNOWN,
}
"""The spec has no name for a FIFO."""

_FORMAT = 0o170000
_U64 = _LATEST = 0xFFFFFFFFFFFFFFFF
_UNKNOWN = Filetype.UNKNOWN
_type_of = _TYPES.get


def filetype_of(mode: int) -> Filetype:
    """The file type that `st_mode` names."""
    return _type_of(mode & _FORMAT, _UNKNOWN)


def filestat_of(st: os.stat_result) -> Filestat:
    """All fields, times in ns."""
    atim, mtim, ctim, size = st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns, st.st_size
    kind = _type_of(st.st_mode & _FORMAT, _UNKNOWN)
    if atim < 0 or mtim < 0 or ctim < 0 or size < 0 or atim > _LATEST or mtim > _LATEST or ctim > _LATEST:
        return filestat(st, (size, mtim, atim, ctim, st.st_nlink, st.st_dev), st.st_ino, kind)
    return make(Filestat, (st.st_dev & _U64, st.st_ino, kind, st.st_nlink, size, atim, mtim, ctim))


def stamps(atim: int, mtim: int, which: Fstflags) -> tuple[int, int]:
    """Access and modification time as `utimensat` takes them; INVAL where a time is to be both given and now."""
    return (
        _stamp(atim, which & Fstflags.ATIM, which & Fstflags.ATIM_NOW),
        _stamp(mtim, which & Fstflags.MTIM, which & Fstflags.MTIM_NOW),
    )


def _stamp(time: int, given: int, now: int) -> int:
    if given and now:
        raise WasiError(Errno.INVAL)
    return time if given else UTIME_NOW if now else UTIME_OMIT
