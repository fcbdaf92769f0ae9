"""A host fd whose position is kept by the host: a pipe, a terminal, a FIFO, or a device.

Reads and writes use the host's own offset, because other processes may share it, and because a device defines what its
position means. Seeking and reading at an offset are left to the OS, which may refuse them.

With the extension, C polls, reads and writes those that are `PLAIN` too, as long as that does not wait
(`wasihost/native/plain.h`). C must never use what a stream no longer has: its copy is changed first.
"""

from __future__ import annotations

import errno
import os

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Rights, Whence

from wasihost.common.unpatched import select
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Descriptor, Stream
from wasihost.descriptors.file_calls import (
    NONBLOCK,
    advise,
    allocate,
    change_status_flags,
    check_synchronous,
    fdatasync,
    file_offset,
    stamps,
)
from wasihost.descriptors.hoststat import host_filestat
from wasihost.errors import BY_SIGNAL_HANDLER
from wasihost.waiting.cancel_scope import CancelScope, ready_now
from wasihost.waiting.pieces import are_large, each
from wasihost.waiting.poller import bytes_to_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from wasihost.native import _native

_REGULAR_FILE = Filetype.REGULAR_FILE
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
"""Flag of preadv2(2) and pwritev2(2) in Linux: this call does not block. 0 elsewhere."""
_NOWAIT_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE)
"""Errnos of these calls for a kind of file that does not support the flag, such as a terminal."""


class HostStream(Stream):
    """readv and writev on a host fd, which is owned and closed by this object.

    If the guest can be cancelled, calls do not block in the OS: they are tried without blocking, and if that fails the
    wait happens here. Polling before a blocking call would not be enough: another process may take the data first.
    """

    __slots__ = ("_file_scope", "_nowait", "fd", "kind", "scope", "shared")

    OWNS: ClassVar[bool] = True
    FIXED_FD: ClassVar[bool] = True
    PLAIN: ClassVar[bool] = True
    """Whether it is read and written as here: by nothing but system calls."""

    def __init__(self, fd: int, rights: int, kind: Filetype, flags: Fdflags) -> None:
        super().__init__(rights, 0, flags)
        self.fd: int = fd
        self.kind: Filetype = kind
        self.scope: CancelScope | None = None
        self._file_scope: CancelScope | None = None
        self._nowait = bool(_NOWAIT)
        self.shared: _native.PlainFile | None = None

    def share(self, calls: _native.PlainCalls, number: int) -> None:
        """Let C use it, if it is plain and of a kind that is not always ready."""
        if self.shared is not None:
            calls.put(number, self.shared)
        elif self.PLAIN and self.kind in (Filetype.CHARACTER_DEVICE, Filetype.UNKNOWN):
            self.shared = calls.share(number, self.fd, self.kind, self.rights, self.flags, 0)

    def keep(self, rights: int, inheriting: int) -> None:
        if self.shared is not None:
            self.shared.update(self.rights & rights, self.flags)
        super().keep(rights, inheriting)

    def _unshare(self) -> None:
        if self.shared is not None:
            self.shared.close()

    def _set_shared_flags(self, flags: Fdflags | None) -> None:
        if self.shared is not None:
            self.shared.update(self.rights, flags)

    def set_scope(self, scope: CancelScope) -> None:
        """Reads and writes stop waiting when `scope` ends. A regular file never waits, so it has only the check between
        two pieces of a large call."""
        self.scope, self._file_scope = (None, scope) if self.kind == Filetype.REGULAR_FILE else (scope, None)

    def filetype(self) -> Filetype:
        """The type found when it was opened."""
        return self.kind

    def close(self) -> None:
        """close(2), once."""
        self._unshare()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def host_fd(self) -> int | None:
        """The fd; None for a regular file, which is always ready."""
        return None if self.kind is _REGULAR_FILE else self.fd

    def available(self) -> int:
        """FIONREAD; for a regular file the bytes up to its end."""
        if self.kind is _REGULAR_FILE:
            return max(0, os.fstat(self.fd).st_size - os.lseek(self.fd, 0, os.SEEK_CUR))
        return bytes_to_read(self.fd)

    def read(self, buffers: list[memoryview]) -> int:
        if self.scope is None or not self.scope.active:
            return os.readv(self.fd, buffers)
        return self._retry_when_ready(select.POLLIN, os.readv, os.preadv, buffers)

    def write(self, buffers: list[memoryview]) -> int:
        """writev(2). If the guest can be cancelled, writes as much as is possible without blocking."""
        if self.scope is None or not self.scope.active:
            return os.write(self.fd, buffers[0]) if len(buffers) == 1 else os.writev(self.fd, buffers)
        return self._retry_when_ready(select.POLLOUT, os.writev, os.pwritev, buffers)

    def _retry_when_ready(
        self,
        event: int,
        call: Callable[[int, list[memoryview]], int],
        call_nowait: Callable[..., int],
        buffers: list[memoryview],
    ) -> int:
        """Read or write as soon as that does not block; with NONBLOCK, raise AGAIN if it would."""
        waits = not self.flags & NONBLOCK
        while True:
            try:
                if self._nowait:
                    return call_nowait(self.fd, buffers, -1, _NOWAIT)  # -1: at the current position
                if waits:
                    self._wait(event)
                elif not ready_now(self.fd, event):
                    raise WasiError(Errno.AGAIN)
                return call(self.fd, buffers if event == select.POLLIN else _one_pipe_write(buffers))
            except BlockingIOError as error:
                if not waits or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
            except OSError as error:
                if not self._nowait or error.errno not in _NOWAIT_UNSUPPORTED:
                    raise
                self._nowait = False
                continue
            self._wait(event)

    def _wait(self, event: int) -> None:
        if self.scope is not None:
            self.scope.wait(self.fd, event)

    def stat(self) -> Filestat:
        return host_filestat(self.fd)

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL). Raises NOTSUP if a synchronous flag would change, as for a file."""
        check_synchronous(self.flags, flags)
        self._set_shared_flags(None)
        try:
            change_status_flags(self.fd, flags)
            self.flags = flags
        finally:
            self._set_shared_flags(self.flags)

    # -- calls that only some streams support: the rights say which --------------------------------------------------

    def seek(self, offset: int, whence: Whence) -> int:
        """lseek(2). The OS raises SPIPE for a pipe or a terminal."""
        return os.lseek(self.fd, offset, (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)[whence])

    def tell(self) -> int:
        return os.lseek(self.fd, 0, os.SEEK_CUR)

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        start = file_offset(offset)
        if self._file_scope is not None and are_large(buffers):
            return each(buffers, self._file_scope, lambda piece, done: os.preadv(self.fd, [piece], start + done))
        return os.preadv(self.fd, buffers, start)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        start = file_offset(offset)
        if self._file_scope is not None and are_large(buffers):
            return each(buffers, self._file_scope, lambda piece, done: os.pwrite(self.fd, piece, start + done))
        return os.pwritev(self.fd, buffers, start)

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        advise(self.fd, offset, size, advice)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate(2). The OS raises NODEV for a device."""
        allocate(self.fd, offset, size, self._file_scope)

    def set_size(self, size: int) -> None:
        """ftruncate(2). The OS raises INVAL for a device."""
        os.ftruncate(self.fd, file_offset(size))

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        from wasihost.sandbox.times import set_times  # few guests do this

        set_times(self.fd, None, *stamps(atim, mtim, which))

    def sync(self) -> None:
        os.fsync(self.fd)

    def datasync(self) -> None:
        fdatasync(self.fd)


class HostDevice(HostStream):
    """A character device that is not a terminal. It has every right of a file, so that isatty returns false in guests.

    `read_only`: it lies below a read-only mount.
    """

    __slots__ = ("read_only",)

    KIND_RIGHTS: ClassVar[int] = kinds.FILE

    def __init__(self, fd: int, rights: int, kind: Filetype, flags: Fdflags, *, read_only: bool = False) -> None:
        super().__init__(fd, rights, kind, flags)
        self.read_only: bool = read_only

    def missing_right(self, right: Rights) -> WasiError:
        """The same errno as for a file."""
        return Descriptor.missing_right(self, right)

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        if self.read_only:
            raise WasiError(Errno.ROFS)
        super().set_times(atim, mtim, which)


class Fifo(HostStream):
    """A FIFO that the guest opened by its path.

    Opening did not wait for the first writer, so the first read does: poll(2) reports a hangup only after there has
    been a writer. With NONBLOCK a FIFO without a writer is at its end, as in POSIX.
    """

    __slots__ = ("_begun",)

    PLAIN: ClassVar[bool] = False

    def __init__(self, fd: int, rights: int, kind: Filetype, flags: Fdflags) -> None:
        super().__init__(fd, rights, kind, flags)
        self._begun = False

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2), after there has been a writer."""
        if not self._begun and not self.flags & NONBLOCK:
            self._wait(select.POLLIN)
            self._begun = True
        return super().read(buffers)


def _one_pipe_write(buffers: list[memoryview]) -> list[memoryview]:
    """The first PIPE_BUF bytes: all that poll(2) promises a ready pipe will take without blocking."""
    return [next((buffer for buffer in buffers if len(buffer)), memoryview(b""))[: select.PIPE_BUF]]
