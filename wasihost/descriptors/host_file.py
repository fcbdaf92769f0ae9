"""A regular file of the host, or a block device.

The position is kept here and passed with every call (`preadv`, `pwritev`), so seek and tell cost no system call and the
host's own offset is never shared. What has no position (a FIFO, a terminal) is a `HostStream` instead.
"""

from __future__ import annotations

import os
from typing import ClassVar

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Whence

from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import MAX_OFFSET, Descriptor
from wasihost.descriptors.hoststat import filestat_of, stamps
from wasihost.sandbox.times import set_times
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.pieces import PIECE, are_large, each

_APPEND = int(Fdflags.APPEND)
SYNCHRONOUS = int(Fdflags.DSYNC | Fdflags.SYNC | Fdflags.RSYNC)

_preadv = os.preadv
_pwritev = os.pwritev
_pwrite = os.pwrite
fdatasync = getattr(os, "fdatasync", os.fsync)
"""fdatasync(2), or fsync(2) where the host does not have it."""


class HostFile(Descriptor):
    """A host fd with a position. The fd is owned and closed by this object.

    `read_only` says that it lies below a read-only mount; it was opened to be read then.
    """

    __slots__ = ("fd", "kind", "position", "read_only", "scope")

    KIND_RIGHTS: ClassVar[int] = kinds.FILE

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
        self.rights, self.inheriting, self.flags, self.given_up = rights, 0, flags, 0  # as Descriptor, without a call
        self.scope: CancelScope | None = None
        self.fd = fd
        self.kind = kind
        self.position = 0
        self.read_only = read_only

    def set_scope(self, scope: CancelScope) -> None:
        """What is large ends with it."""
        self.scope = scope

    def filetype(self) -> Filetype:
        """A regular file, or a block device."""
        return self.kind

    def close(self) -> None:
        """close(2), once."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def available(self) -> int:
        """From the position to the end."""
        return max(0, self.size() - self.position)

    def size(self) -> int:
        """In bytes; that of a block device is where its end is, because fstat(2) says 0."""
        if self.kind is Filetype.BLOCK_DEVICE:
            return os.lseek(self.fd, 0, os.SEEK_END)
        return os.fstat(self.fd).st_size

    def read(self, buffers: list[memoryview]) -> int:
        """preadv at the position kept here."""
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            size = self.pread(buffers, self.position)
            self.position += size
            return size
        size = _preadv(self.fd, buffers, self.position)
        self.position += size
        return size

    def write(self, buffers: list[memoryview]) -> int:
        """pwritev at the position kept here; with APPEND the host finds the end, atomically up to a piece."""
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            return each(buffers, self.scope, lambda piece, _: self.write([piece]))
        if self.flags & _APPEND:
            size = os.writev(self.fd, buffers)
            if size:  # a write of nothing leaves the position where it is
                self.position = os.lseek(self.fd, 0, os.SEEK_CUR)
            return size
        if len(buffers) == 1:  # by far the most; 0.1 us less
            size = _pwrite(self.fd, buffers[0], self.position)
        else:
            size = _pwritev(self.fd, buffers, self.position)
        self.position += size
        return size

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """preadv(2); INVAL for an offset beyond 2**63-1."""
        start = file_offset(offset)
        if (len(buffers) != 1 or len(buffers[0]) > PIECE) and are_large(buffers):
            return each(buffers, self.scope, lambda piece, done: _preadv(self.fd, [piece], start + done))
        return _preadv(self.fd, buffers, start)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """pwritev(2). Linux would append to a file opened with APPEND; POSIX and the spec say `offset`, so say it."""
        if self.flags & _APPEND:
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

    def seek(self, offset: int, whence: Whence) -> int:
        """The new position; INVAL below 0, OVERFLOW above 2**63-1."""
        if whence == 1:
            offset += self.position
        elif whence == 2:
            offset += self.size()
        if offset < 0:
            raise WasiError(Errno.INVAL)
        if offset > MAX_OFFSET:
            raise WasiError(Errno.OVERFLOW)
        self.position = offset
        return offset

    def tell(self) -> int:
        """The position kept here."""
        return self.position

    def stat(self) -> Filestat:
        """fstat(2)."""
        return filestat_of(os.fstat(self.fd))

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL); NOTSUP to change the synchronous flags, which hosts fix at open."""
        if (flags ^ self.flags) & SYNCHRONOUS:
            raise WasiError(Errno.NOTSUP)
        change_status_flags(self.fd, flags)
        self.flags = flags

    def set_size(self, size: int) -> None:
        """ftruncate(2)."""
        os.ftruncate(self.fd, file_offset(size))

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens(2)."""
        if self.read_only:
            raise WasiError(Errno.ROFS)
        set_times(self.fd, None, *stamps(atim, mtim, which))

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        """posix_fadvise(2), where the host has it; else advice is just not taken."""
        advise(self.fd, offset, size, advice)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate(2); INVAL for size 0, NOTSUP where the host does not have it."""
        allocate(self.fd, offset, size, self.scope)

    def sync(self) -> None:
        """fsync(2)."""
        os.fsync(self.fd)

    def datasync(self) -> None:
        """fdatasync(2)."""
        fdatasync(self.fd)


_ADVICE = {
    Advice[name]: getattr(os, f"POSIX_FADV_{name}", 0)
    for name in ("NORMAL", "SEQUENTIAL", "RANDOM", "WILLNEED", "DONTNEED", "NOREUSE")
}


def advise(fd: int, offset: int, size: int, advice: Advice) -> None:
    """posix_fadvise(2), where the host has it; INVAL for an end beyond 2**63-1."""
    file_offset(offset + size)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, size, _ADVICE[advice])


def allocate(fd: int, offset: int, size: int, scope: CancelScope | None) -> None:
    """posix_fallocate(2); INVAL for size 0 and for an end beyond 2**63-1, NOTSUP where the host does not have it.

    What is large is done in pieces, after a look whether the file system can have so much.
    """
    end = file_offset(offset + size)
    if not hasattr(os, "posix_fallocate"):
        raise WasiError(Errno.NOTSUP)
    if size <= _ALLOCATED:
        os.posix_fallocate(fd, offset, size)
        return
    room = os.fstatvfs(fd)
    if size > room.f_bavail * room.f_frsize + os.fstat(fd).st_blocks * 512:
        raise WasiError(Errno.NOSPC)
    for at in range(offset, end, _ALLOCATED):
        if scope is not None:
            scope.check()
        os.posix_fallocate(fd, at, min(_ALLOCATED, end - at))


_ALLOCATED = 16 * PIECE
"""Bytes that are allocated at once: 4 ms where the system has to make zeros in memory, less on a disk."""


def file_offset(value: int) -> int:
    """`value` as an `off_t`; INVAL for what does not fit."""
    if value > MAX_OFFSET:
        raise WasiError(Errno.INVAL)
    return value


def status_flags(fd: int) -> Fdflags:
    """fcntl(F_GETFL): APPEND and NONBLOCK as they are."""
    import fcntl

    mode = fcntl.fcntl(fd, fcntl.F_GETFL)
    return Fdflags((_APPEND if mode & os.O_APPEND else 0) | (Fdflags.NONBLOCK if mode & os.O_NONBLOCK else 0))


def change_status_flags(fd: int, flags: Fdflags) -> None:
    """fcntl(F_SETFL) with APPEND and NONBLOCK as in `flags`, the rest as it is."""
    import fcntl

    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & ~(os.O_APPEND | os.O_NONBLOCK)
    mode |= os.O_APPEND if flags & Fdflags.APPEND else 0
    mode |= os.O_NONBLOCK if flags & Fdflags.NONBLOCK else 0
    fcntl.fcntl(fd, fcntl.F_SETFL, mode)
