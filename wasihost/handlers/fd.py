"""`fd_*`: what a guest does with an open descriptor.

Rules of this file: look the number up, check the right, call the descriptor. Which right a call needs is decided here,
as the spec says; the errno of a call that a kind does not support is decided by the descriptor. Methods have no
docstrings, so that `help()` shows the spec's text; comments say what is special to this host.
"""

from __future__ import annotations

import os

from wasi_preview1.codecs import RIGHTS_VALUES
from wasi_preview1.errors import WasiError
from wasi_preview1.guest import make
from wasi_preview1.handlers import FdHandlers
from wasi_preview1.types import (
    Advice,
    CiovecArray,
    Dircookie,
    Errno,
    Fd,
    Fdflags,
    Fdstat,
    Filedelta,
    Filesize,
    Filestat,
    Fstflags,
    IovecArray,
    Prestat,
    PrestatDir,
    PrestatDirCase,
    Rights,
    Size,
    Timestamp,
    Whence,
)

from wasihost.descriptors.base import Descriptor, Directory
from wasihost.descriptors.table import FdTable

_READ = Rights.FD_READ
_WRITE = Rights.FD_WRITE
_SEEK = Rights.FD_SEEK
_TELL = Rights.FD_TELL
_SEEK_OR_TELL = Rights.FD_SEEK | Rights.FD_TELL
_READ_AND_SEEK = Rights.FD_READ | Rights.FD_SEEK
_WRITE_AND_SEEK = Rights.FD_WRITE | Rights.FD_SEEK
_FILESTAT_GET = Rights.FD_FILESTAT_GET


class FdFunctions(FdHandlers):
    """Works on `table`. Hot calls read `table.open`: calling `table.get` would add a tenth to their time."""

    __slots__ = ()

    table: FdTable

    def _with_right(self, fd: Fd, right: Rights) -> Descriptor:
        descriptor = self.table.get(fd)
        if not descriptor.rights & right:
            raise descriptor.missing_right(right)
        return descriptor

    # -- reading and writing ---------------------------------------------------------------------------------------

    def fd_read(self, fd: Fd, iovs: IovecArray) -> Size:
        descriptor = self.table.open[fd]
        if not descriptor.rights & _READ:
            raise descriptor.missing_right(_READ)
        return descriptor.read(iovs)

    def fd_write(self, fd: Fd, iovs: CiovecArray) -> Size:
        descriptor = self.table.open[fd]
        if not descriptor.rights & _WRITE:
            raise descriptor.missing_right(_WRITE)
        return descriptor.write(iovs)

    def fd_pread(self, fd: Fd, iovs: IovecArray, offset: Filesize) -> Size:
        descriptor = self.table.get(fd)
        if descriptor.rights & _READ_AND_SEEK != _READ_AND_SEEK:
            raise descriptor.missing_right(_SEEK if descriptor.rights & _READ else _READ)
        return descriptor.pread(iovs, offset)

    def fd_pwrite(self, fd: Fd, iovs: CiovecArray, offset: Filesize) -> Size:
        descriptor = self.table.get(fd)
        if descriptor.rights & _WRITE_AND_SEEK != _WRITE_AND_SEEK:
            raise descriptor.missing_right(_SEEK if descriptor.rights & _WRITE else _WRITE)
        return descriptor.pwrite(iovs, offset)

    def fd_seek(self, fd: Fd, offset: Filedelta, whence: Whence) -> Filesize:
        # FD_TELL is enough where the position does not move.
        descriptor = self.table.open[fd]
        if not descriptor.rights & _SEEK and not (offset == 0 and whence == 1 and descriptor.rights & _TELL):
            raise descriptor.missing_right(_SEEK)
        return descriptor.seek(offset, whence)

    def fd_tell(self, fd: Fd) -> Filesize:
        # FD_SEEK implies FD_TELL.
        descriptor = self.table.open[fd]
        if not descriptor.rights & _SEEK_OR_TELL:
            raise descriptor.missing_right(_TELL)
        return descriptor.tell()

    def fd_advise(self, fd: Fd, offset: Filesize, len: Filesize, advice: Advice) -> None:
        self._with_right(fd, Rights.FD_ADVISE).advise(offset, len, advice)

    def fd_allocate(self, fd: Fd, offset: Filesize, len: Filesize) -> None:
        self._with_right(fd, Rights.FD_ALLOCATE).allocate(offset, len)

    def fd_sync(self, fd: Fd) -> None:
        self._with_right(fd, Rights.FD_SYNC).sync()

    def fd_datasync(self, fd: Fd) -> None:
        self._with_right(fd, Rights.FD_DATASYNC).datasync()

    # -- the descriptor itself -------------------------------------------------------------------------------------

    def fd_close(self, fd: Fd) -> None:
        # The number is free afterwards, also if closing fails.
        self.table.close(fd)

    def fd_renumber(self, fd: Fd, to: Fd) -> None:
        self.table.renumber(fd, to)

    def fd_fdstat_get(self, fd: Fd) -> Fdstat:
        descriptor = self.table.get(fd)
        rights, inheriting = RIGHTS_VALUES[descriptor.rights], RIGHTS_VALUES[descriptor.inheriting]
        return make(Fdstat, (descriptor.filetype(), descriptor.flags, rights, inheriting))

    def fd_fdstat_set_flags(self, fd: Fd, flags: Fdflags) -> None:
        self._with_right(fd, Rights.FD_FDSTAT_SET_FLAGS).set_flags(flags)

    def fd_fdstat_set_rights(self, fd: Fd, fs_rights_base: Rights, fs_rights_inheriting: Rights) -> None:
        # Rights only shrink: NOTCAPABLE for one that the descriptor does not hold.
        descriptor = self.table.get(fd)
        if fs_rights_base & ~descriptor.rights or fs_rights_inheriting & ~descriptor.inheriting:
            raise WasiError(Errno.NOTCAPABLE)
        self.table.watched.clear()
        descriptor.keep(fs_rights_base, fs_rights_inheriting)

    # -- attributes ------------------------------------------------------------------------------------------------

    def fd_filestat_get(self, fd: Fd) -> Filestat:
        descriptor = self.table.open[fd]
        if not descriptor.rights & _FILESTAT_GET:
            raise descriptor.missing_right(_FILESTAT_GET)
        return descriptor.stat()

    def fd_filestat_set_size(self, fd: Fd, size: Filesize) -> None:
        self._with_right(fd, Rights.FD_FILESTAT_SET_SIZE).set_size(size)

    def fd_filestat_set_times(self, fd: Fd, atim: Timestamp, mtim: Timestamp, fst_flags: Fstflags) -> None:
        self._with_right(fd, Rights.FD_FILESTAT_SET_TIMES).set_times(atim, mtim, fst_flags)

    # -- directories -----------------------------------------------------------------------------------------------

    def _preopen(self, fd: Fd) -> bytes:
        descriptor = self.table.get(fd)
        if not isinstance(descriptor, Directory) or descriptor.preopen is None:
            raise WasiError(Errno.BADF)
        return os.fsencode(descriptor.preopen)

    def fd_prestat_get(self, fd: Fd) -> Prestat:
        # BADF for a number that is not a preopened directory: this is how a guest's libc finds the last one.
        return PrestatDirCase(PrestatDir(len(self._preopen(fd))))

    def fd_prestat_dir_name(self, fd: Fd, path: memoryview) -> None:
        # NAMETOOLONG if the buffer is shorter than the guest path of the mount.
        name = self._preopen(fd)
        if len(path) < len(name):
            raise WasiError(Errno.NAMETOOLONG)
        path[: len(name)] = name

    def fd_readdir(self, fd: Fd, buf: memoryview, cookie: Dircookie) -> Size:
        # A cookie is an index into the listing that was made at cookie 0. The last entry is cut off at the end of the
        # buffer: a full buffer means that there are more entries.
        directory = self.table.directory(fd)
        if not directory.rights & Rights.FD_READDIR:
            raise directory.missing_right(Rights.FD_READDIR)
        if cookie == 0 or directory.listing is None:
            self.table.keep_listing(directory, directory.listed(self.table.scope.check))
        assert directory.listing is not None
        entries, starts = directory.listing
        if cookie >= len(starts):
            return 0
        part = entries[starts[cookie] : starts[cookie] + len(buf)]
        buf[: len(part)] = part
        return len(part)
