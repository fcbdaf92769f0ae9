"""`path_*`: what a guest does below an open directory.

Rules of this file: look the directory up, check the right, pass the path on unchanged. The directory's back end decides
where it leads, through one resolver; no path is split here.
"""

from __future__ import annotations

import os

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import PathHandlers
from wasi_preview1.types import (
    Errno,
    Fd,
    Fdflags,
    Filestat,
    Fstflags,
    Lookupflags,
    Oflags,
    Rights,
    Size,
    Timestamp,
)

from wasihost.descriptors.base import Directory
from wasihost.descriptors.table import FdTable

_OPEN = Rights.PATH_OPEN
_CREATE_FILE = Rights.PATH_CREATE_FILE
_SET_SIZE = Rights.PATH_FILESTAT_SET_SIZE
_STAT = Rights.PATH_FILESTAT_GET
_ALL = Rights.MASK
_CREAT = Oflags.CREAT
_TRUNC = Oflags.TRUNC


class PathFunctions(PathHandlers):
    """Works on `table`. A path longer than `max_path` bytes raises NAMETOOLONG."""

    __slots__ = ()

    table: FdTable
    max_path: int
    met: set[str]

    def _directory(self, fd: Fd, right: Rights, path: str) -> Directory:
        directory = self.table.open[fd]
        if not isinstance(directory, Directory):
            raise WasiError(Errno.NOTDIR)
        if not directory.rights & right:
            raise directory.missing_right(right)
        # A character has four bytes at most, so a short path need not be encoded to know its size.
        if len(path) * 4 > self.max_path and len(os.fsencode(path)) > self.max_path:
            self.met.add("path")
            raise WasiError(Errno.NAMETOOLONG)
        return directory

    def path_open(
        self,
        fd: Fd,
        dirflags: Lookupflags,
        path: str,
        oflags: Oflags,
        fs_rights_base: Rights,
        fs_rights_inheriting: Rights,
        fdflags: Fdflags,
    ) -> Fd:
        # Of the rights requested, only FD_READ and FD_WRITE count: they are the access mode, if the directory passes
        # them on. The new descriptor also gets every other right that its kind can have, unless the guest gave it up
        # for the directory. `fs_rights_inheriting` is ignored: no toolchain names all rights that it uses later.
        directory = self._directory(fd, _OPEN, path)
        if oflags & _CREAT and not directory.rights & _CREATE_FILE:
            raise directory.missing_right(_CREATE_FILE)
        if oflags & _TRUNC and not directory.rights & _SET_SIZE:
            raise directory.missing_right(_SET_SIZE)
        table = self.table
        table.check_room(directory)
        passed = directory.inheriting
        held: list[int] = []
        try:
            opened = directory.open(path, dirflags != 0, oflags, fs_rights_base & passed, fdflags, held)
            if passed != _ALL:
                opened.keep(passed, passed)
            return table.insert(opened)
        except BaseException:
            if held:
                table.forget(held)
                list(map(os.close, held))
            raise

    def path_filestat_get(self, fd: Fd, flags: Lookupflags, path: str) -> Filestat:
        return self._directory(fd, _STAT, path).stat_path(path, bool(flags))

    def path_filestat_set_times(
        self, fd: Fd, flags: Lookupflags, path: str, atim: Timestamp, mtim: Timestamp, fst_flags: Fstflags
    ) -> None:
        directory = self._directory(fd, Rights.PATH_FILESTAT_SET_TIMES, path)
        directory.set_times_path(path, bool(flags), atim, mtim, fst_flags)

    def path_create_directory(self, fd: Fd, path: str) -> None:
        self._directory(fd, Rights.PATH_CREATE_DIRECTORY, path).create_directory(path)

    def path_remove_directory(self, fd: Fd, path: str) -> None:
        self._directory(fd, Rights.PATH_REMOVE_DIRECTORY, path).remove_directory(path)

    def path_unlink_file(self, fd: Fd, path: str) -> None:
        self._directory(fd, Rights.PATH_UNLINK_FILE, path).unlink(path)

    def path_rename(self, fd: Fd, old_path: str, new_fd: Fd, new_path: str) -> None:
        source = self._directory(fd, Rights.PATH_RENAME_SOURCE, old_path)
        source.rename(old_path, self._directory(new_fd, Rights.PATH_RENAME_TARGET, new_path), new_path)

    def path_link(self, old_fd: Fd, old_flags: Lookupflags, old_path: str, new_fd: Fd, new_path: str) -> None:
        source = self._directory(old_fd, Rights.PATH_LINK_SOURCE, old_path)
        source.link(old_path, bool(old_flags), self._directory(new_fd, Rights.PATH_LINK_TARGET, new_path), new_path)

    def path_symlink(self, old_path: str, fd: Fd, new_path: str) -> None:
        self._directory(fd, Rights.PATH_SYMLINK, new_path).symlink(old_path, new_path)

    def path_readlink(self, fd: Fd, path: str, buf: memoryview) -> Size:
        # Content longer than the buffer is cut, as in POSIX.
        content = self._directory(fd, Rights.PATH_READLINK, path).readlink(path).encode("utf-8", "surrogateescape")
        content = content[: len(buf)]
        buf[: len(content)] = content
        return len(content)
