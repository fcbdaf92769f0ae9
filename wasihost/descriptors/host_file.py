"""A regular file of the host, or a block device.

The position is kept by `PositionedFile` and passed with every call (`preadv`, `pwritev`), so the host's own offset is
never shared with another process.
"""

from __future__ import annotations

import os

from wasi_preview1.types import Advice, Fdflags, Filestat, Filetype

from wasihost.descriptors.file_calls import (
    APPEND,
    advise,
    allocate,
    change_status_flags,
    check_synchronous,
    fdatasync,
    file_offset,
)
from wasihost.descriptors.hoststat import filestat_of
from wasihost.descriptors.positioned_file import PositionedFile
from wasihost.sandbox.times import set_times
from wasihost.waiting.pieces import PIECE, are_large, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from wasihost.waiting.cancel_scope import CancelScope

_preadv = os.preadv
_pwritev = os.pwritev
_pwrite = os.pwrite


class HostFile(PositionedFile):
    """A host fd with a position. The fd is owned and closed by this object. Below a read-only mount it was opened only
    for reading."""

    __slots__ = ("fd", "kind")

    OWNS: ClassVar[bool] = True

    def __init__(
        self,
        fd: int,
        rights: int,
        flags: Fdflags,
        kind: Filetype = Filetype.REGULAR_FILE,
        *,
        read_only: bool = False,
    ) -> None:
        # As Descriptor, without a call.
        self.rights: int = rights
        self.inheriting: int = 0
        self.flags: Fdflags = flags
        self.given_up: int = 0
        self.scope: CancelScope | None = None
        self.fd: int = fd
        self.kind: Filetype = kind
        self.position: int = 0
        self.read_only = read_only

    def filetype(self) -> Filetype:
        """A regular file, or a block device."""
        return self.kind

    def close(self) -> None:
        """close(2), once."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def size(self) -> int:
        """In bytes. For a block device, for which fstat(2) reports 0, it is the offset of the end."""
        if self.kind is Filetype.BLOCK_DEVICE:
            return os.lseek(self.fd, 0, os.SEEK_END)
        return os.fstat(self.fd).st_size

    def read(self, buffers: list[memoryview]) -> int:
        """preadv(2) at the position."""
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            size = self.pread(buffers, self.position)
            self.position += size
            return size
        size = _preadv(self.fd, buffers, self.position)
        self.position += size
        return size

    def write(self, buffers: list[memoryview]) -> int:
        """pwritev(2) at the position. With APPEND the host finds the end: atomic for up to `PIECE` bytes."""
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            return each(buffers, self.scope, lambda piece, _: self.write([piece]))
        if self.flags & APPEND:
            size = os.writev(self.fd, buffers)
            if size:  # writing 0 bytes leaves the position where it is
                self.position = os.lseek(self.fd, 0, os.SEEK_CUR)
            return size
        if len(buffers) == 1:  # by far the most; 0.1 us less
            size = _pwrite(self.fd, buffers[0], self.position)
        else:
            size = _pwritev(self.fd, buffers, self.position)
        self.position += size
        return size

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """preadv(2). Raises INVAL for an offset beyond 2**63-1."""
        start = file_offset(offset)
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            return each(buffers, self.scope, lambda piece, done: _preadv(self.fd, [piece], start + done))
        return _preadv(self.fd, buffers, start)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """pwritev(2) at `offset`, also with APPEND: POSIX and the spec say so, but Linux would append."""
        if self.flags & APPEND:
            import fcntl

            mode = fcntl.fcntl(self.fd, fcntl.F_GETFL)
            fcntl.fcntl(self.fd, fcntl.F_SETFL, mode & ~os.O_APPEND)
            try:
                return self._pwrite(buffers, file_offset(offset))
            finally:
                fcntl.fcntl(self.fd, fcntl.F_SETFL, mode)
        return self._pwrite(buffers, file_offset(offset))

    def _pwrite(self, buffers: list[memoryview], start: int) -> int:
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            return each(buffers, self.scope, lambda piece, done: _pwrite(self.fd, piece, start + done))
        return _pwritev(self.fd, buffers, start)

    def stat(self) -> Filestat:
        return filestat_of(os.fstat(self.fd))

    def set_flags(self, flags: Fdflags) -> None:
        check_synchronous(self.flags, flags)
        change_status_flags(self.fd, flags)
        self.flags = flags

    def set_size(self, size: int) -> None:
        os.ftruncate(self.fd, file_offset(size))

    def _set_times(self, times: tuple[int, int]) -> None:
        set_times(self.fd, None, *times)

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        advise(self.fd, offset, size, advice)

    def allocate(self, offset: int, size: int) -> None:
        allocate(self.fd, offset, size, self.scope)

    def sync(self) -> None:
        os.fsync(self.fd)

    def datasync(self) -> None:
        fdatasync(self.fd)
