"""A regular file of the host, or a block device.

The position is kept by `PositionedFile` and passed with every call (`preadv`, `pwritev`), so the host's own offset is
never shared with another process.

With the extension, C does most calls on regular files by itself, without the GIL (`wasihost/native/plain.h`). A file in
the table of such a guest is a `SharedFile`: its position is kept in C.
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
from wasihost.descriptors.hoststat import host_filestat
from wasihost.descriptors.positioned_file import PositionedFile
from wasihost.native import extension
from wasihost.sandbox.times import set_times
from wasihost.waiting.pieces import PIECE, are_large, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from wasihost.native import _native
    from wasihost.waiting.cancel_scope import CancelScope

_preadv, _pwritev = (os.preadv, os.pwritev) if extension is None else (extension.preadv, extension.pwritev)
_pwrite = os.pwrite


class HostFile(PositionedFile):
    """A host fd with a position. The fd is owned and closed by this object. Below a read-only mount it was opened only
    for reading."""

    __slots__ = ("fd", "kind", "shared")

    OWNS: ClassVar[bool] = True

    shared: _native.PlainFile
    """Of a `SharedFile` only."""

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

    def share(self, calls: _native.PlainCalls, number: int) -> None:
        """Become a SharedFile. A block device has another size than fstat(2) says, and a subclass other methods."""
        if self.kind is Filetype.REGULAR_FILE and type(self) is HostFile:
            shared = calls.share(number, self.fd, self.kind, self.rights, self.flags, self.position)
            if shared is not None:
                self.shared = shared
                self.__class__ = SharedFile

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
        return host_filestat(self.fd)

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


class SharedFile(HostFile):
    """A regular file that C reads and writes too: `shared` has its position, and a copy of its fd, rights and flags.

    C must never use what this descriptor no longer has: its copy is changed first where something is taken away, also
    if a signal handler raises between the two.
    """

    __slots__ = ()

    @property
    def position(self) -> int:
        """In bytes."""
        return self.shared.position

    @position.setter
    def position(self, value: int) -> None:
        self.shared.position = value

    def share(self, calls: _native.PlainCalls, number: int) -> None:
        calls.put(number, self.shared)

    def close(self) -> None:
        self.shared.close()
        super().close()

    def keep(self, rights: int, inheriting: int) -> None:
        self.shared.update(self.rights & rights, self.flags)
        super().keep(rights, inheriting)

    def set_flags(self, flags: Fdflags) -> None:
        self.shared.update(self.rights, None)
        try:
            super().set_flags(flags)
        finally:
            self.shared.update(self.rights, self.flags)
