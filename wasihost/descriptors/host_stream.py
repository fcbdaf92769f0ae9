"""A host fd without a position of its own: a pipe, a terminal, a FIFO, or standard streams handed over as they are.

Reads and writes go by the host's own offset, because it is shared with whoever else holds the file.
"""

from __future__ import annotations

import os
from typing import ClassVar

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Rights, Whence

from wasihost import rights as kinds
from wasihost.descriptors.base import NO_FLAGS, Descriptor
from wasihost.descriptors.host_file import change_status_flags, file_offset
from wasihost.descriptors.hoststat import filestat_of, filetype_of


class HostStream(Descriptor):
    """readv and writev on a host fd; `owned` says whether close closes it."""

    __slots__ = ("fd", "kind", "owned")

    KIND: ClassVar[int] = kinds.STREAM
    missing: ClassVar[Errno] = Errno.SPIPE

    def __init__(self, fd: int, rights: int, kind: Filetype, *, flags: Fdflags = NO_FLAGS, owned: bool = False) -> None:
        super().__init__(rights, 0, flags)
        self.fd = fd
        self.kind = kind
        self.owned = owned

    def filetype(self) -> Filetype:
        """As it was when it was opened."""
        return self.kind

    def close(self) -> None:
        """close(2) if this object owns the fd."""
        if self.owned:
            os.close(self.fd)

    def host_fd(self) -> int | None:
        """The fd, unless it is a regular file, which is always ready."""
        return None if self.kind == Filetype.REGULAR_FILE else self.fd

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2)."""
        return os.readv(self.fd, buffers)

    def write(self, buffers: list[memoryview]) -> int:
        """writev(2)."""
        if len(buffers) == 1:
            return os.write(self.fd, buffers[0])
        return os.writev(self.fd, buffers)

    def seek(self, offset: int, whence: Whence) -> int:
        """lseek(2): SPIPE for a pipe or a terminal."""
        if self.kind != Filetype.REGULAR_FILE:
            raise WasiError(Errno.SPIPE)
        return os.lseek(self.fd, offset, (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)[whence])

    def tell(self) -> int:
        """lseek(2) by 0."""
        return self.seek(0, Whence.CUR)

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """preadv(2) on a regular file; SPIPE for what has no position."""
        return os.preadv(self.fd, buffers, self._place(offset))

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """pwritev(2) on a regular file; SPIPE for what has no position."""
        return os.pwritev(self.fd, buffers, self._place(offset))

    def _place(self, offset: int) -> int:
        if self.kind != Filetype.REGULAR_FILE:
            raise WasiError(Errno.SPIPE)
        return file_offset(offset)

    def stat(self) -> Filestat:
        """fstat(2)."""
        return filestat_of(os.fstat(self.fd))

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL). The flags belong to the open file, so whoever shares it sees them too."""
        change_status_flags(self.fd, flags)
        self.flags = flags


def inherit(fd: int, direction: Rights) -> HostStream:
    """A host fd of this process, such as 0, 1 or 2, for reading or writing; it stays open when the guest closes it.

    A character device that is no terminal gets SEEK and TELL, so that a guest's isatty tells the truth.
    """
    kind = filetype_of(os.fstat(fd).st_mode)
    rights = kinds.STREAM & ~(Rights.FD_READ | Rights.FD_WRITE) | direction
    if kind == Filetype.REGULAR_FILE or (kind == Filetype.CHARACTER_DEVICE and not os.isatty(fd)):
        rights |= Rights.FD_SEEK | Rights.FD_TELL
    return HostStream(fd, rights, kind)
