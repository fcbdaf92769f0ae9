"""A host fd whose position is the host's: a pipe, a terminal, a FIFO, a device, or standard streams as they are.

Reads and writes go by the host's own offset, because it is shared with whoever else holds the file, and because a
device decides by itself what its position means. Seeking and reading at offsets is the system's to do or to refuse.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Rights, Whence

from wasihost.common.unpatched import select
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Descriptor, Stream
from wasihost.descriptors.host_file import (
    SYNCHRONOUS,
    advise,
    allocate,
    change_status_flags,
    fdatasync,
    file_offset,
    status_flags,
)
from wasihost.descriptors.hoststat import filestat_of, filetype_of, stamps
from wasihost.sandbox.times import set_times
from wasihost.waiting.cancel_scope import CancelScope, ready_now
from wasihost.waiting.pieces import are_large, each
from wasihost.waiting.poller import bytes_to_read

if TYPE_CHECKING:
    from wasihost.config.limits import OutputLimit
    from wasihost.descriptors.pipe_end import PipeEnd

_APPEND, _NONBLOCK = int(Fdflags.APPEND), int(Fdflags.NONBLOCK)
_NOW = getattr(os, "RWF_NOWAIT", 0)
"""Of Linux' preadv2 and pwritev2: this call does not wait. 0 where there is none."""
_CANNOT_NOW = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE)
"""What they answer for a kind of file that does not know it, as terminals do not."""


class HostStream(Stream):
    """readv and writev on a host fd, which is owned and closed by this object.

    Where a guest can be ended, calls do not wait in the system, but are tried first and then waited for here. A poll
    before a call that waits would not do: somebody else may take what there was.
    """

    __slots__ = ("_now", "_of_file", "fd", "kind", "scope")

    OWNS: ClassVar[bool] = True

    def __init__(self, fd: int, rights: int, kind: Filetype, flags: Fdflags) -> None:
        super().__init__(rights, 0, flags)
        self.fd = fd
        self.kind = kind
        self.scope: CancelScope | None = None
        self._of_file: CancelScope | None = None
        self._now = bool(_NOW)

    def set_scope(self, scope: CancelScope) -> None:
        """Reads and writes wait no longer than that. A regular file is always ready, and moved in pieces."""
        self.scope, self._of_file = (None, scope) if self.kind == Filetype.REGULAR_FILE else (scope, None)

    def filetype(self) -> Filetype:
        """As it was when it was opened."""
        return self.kind

    def close(self) -> None:
        """close(2), once."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def host_fd(self) -> int | None:
        """The fd, unless it is a regular file, which is always ready."""
        return None if self.kind == Filetype.REGULAR_FILE else self.fd

    def available(self) -> int:
        """FIONREAD, or what of a regular file is left."""
        if self.kind == Filetype.REGULAR_FILE:
            return max(0, os.fstat(self.fd).st_size - os.lseek(self.fd, 0, os.SEEK_CUR))
        return bytes_to_read(self.fd)

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2)."""
        if self.scope is None or not self.scope.active:
            return os.readv(self.fd, buffers)
        return self._retry_when_ready(select.POLLIN, os.readv, os.preadv, buffers)

    def write(self, buffers: list[memoryview]) -> int:
        """writev(2); where the guest can be ended, as much as goes without waiting."""
        if self.scope is None or not self.scope.active:
            return os.write(self.fd, buffers[0]) if len(buffers) == 1 else os.writev(self.fd, buffers)
        return self._retry_when_ready(select.POLLOUT, os.writev, os.pwritev, buffers)

    def _retry_when_ready(
        self,
        event: int,
        plain: Callable[[int, list[memoryview]], int],
        at: Callable[..., int],
        buffers: list[memoryview],
    ) -> int:
        """Read or write once it does not have to be waited for; with NONBLOCK, AGAIN if it has to."""
        waits = not self.flags & _NONBLOCK
        while True:
            try:
                if self._now:
                    return at(self.fd, buffers, -1, _NOW)  # -1: where the file stands
                if waits:
                    self._wait(event)
                elif not ready_now(self.fd, event):
                    raise WasiError(Errno.AGAIN)
                return plain(self.fd, buffers if event == select.POLLIN else _one_pipe_write(buffers))
            except BlockingIOError:
                if not waits:
                    raise
            except OSError as error:
                if not self._now or error.errno not in _CANNOT_NOW:
                    raise
                self._now = False
                continue
            self._wait(event)

    def _wait(self, event: int) -> None:
        if self.scope is not None:
            self.scope.wait(self.fd, event)

    def stat(self) -> Filestat:
        """fstat(2)."""
        return filestat_of(os.fstat(self.fd))

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL); NOTSUP to change the synchronous flags, as for a file."""
        if (flags ^ self.flags) & SYNCHRONOUS:
            raise WasiError(Errno.NOTSUP)
        change_status_flags(self.fd, flags)
        self.flags = flags

    # -- what only some have: their rights say which ----------------------------------------------------------------

    def seek(self, offset: int, whence: Whence) -> int:
        """lseek(2): SPIPE for a pipe or a terminal."""
        return os.lseek(self.fd, offset, (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)[whence])

    def tell(self) -> int:
        """lseek(2) by 0."""
        return os.lseek(self.fd, 0, os.SEEK_CUR)

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """preadv(2)."""
        start = file_offset(offset)
        if self._of_file is not None and are_large(buffers):
            return each(buffers, self._of_file, lambda piece, done: os.preadv(self.fd, [piece], start + done))
        return os.preadv(self.fd, buffers, start)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """pwritev(2)."""
        start = file_offset(offset)
        if self._of_file is not None and are_large(buffers):
            return each(buffers, self._of_file, lambda piece, done: os.pwrite(self.fd, piece, start + done))
        return os.pwritev(self.fd, buffers, start)

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        """posix_fadvise(2)."""
        advise(self.fd, offset, size, advice)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate(2): NODEV for a device."""
        allocate(self.fd, offset, size, self._of_file)

    def set_size(self, size: int) -> None:
        """ftruncate(2): INVAL for a device."""
        os.ftruncate(self.fd, file_offset(size))

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens(2)."""
        set_times(self.fd, None, *stamps(atim, mtim, which))

    def sync(self) -> None:
        """fsync(2)."""
        os.fsync(self.fd)

    def datasync(self) -> None:
        """fdatasync(2)."""
        fdatasync(self.fd)


class HostDevice(HostStream):
    """A character device that is no terminal: it has every right of a file, so that a guest's isatty tells the truth.

    `read_only` says that it lies below a read-only mount.
    """

    __slots__ = ("read_only",)

    KIND_RIGHTS: ClassVar[int] = kinds.FILE

    def __init__(self, fd: int, rights: int, kind: Filetype, flags: Fdflags, *, read_only: bool = False) -> None:
        super().__init__(fd, rights, kind, flags)
        self.read_only = read_only

    def missing_right(self, right: Rights) -> WasiError:
        """As for a file."""
        return Descriptor.missing_right(self, right)

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens(2)."""
        if self.read_only:
            raise WasiError(Errno.ROFS)
        super().set_times(atim, mtim, which)


class Fifo(HostStream):
    """A FIFO that the guest opened by its path.

    Opening did not wait for the first writer, so reading does: poll(2) says that the other end has gone only once there
    has been one. With NONBLOCK it is at its end, as POSIX has it.
    """

    __slots__ = ("_begun",)

    def __init__(self, fd: int, rights: int, kind: Filetype, flags: Fdflags) -> None:
        super().__init__(fd, rights, kind, flags)
        self._begun = False

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2), once there has been a writer."""
        if not self._begun and not self.flags & _NONBLOCK:
            self._wait(select.POLLIN)
            self._begun = True
        return super().read(buffers)


class InheritedStream(HostStream):
    """A stream of this process, which stays open, and as it is, when the guest closes it.

    Its status flags belong to everyone who has it open: a shell whose terminal is left with NONBLOCK fails to read it.
    So they are never changed. What a guest sets is done here, call by call. APPEND that is there stays: a `>>` of the
    user's is to protect a file.
    """

    __slots__ = ("_appends",)

    OWNS: ClassVar[bool] = False

    def __init__(self, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind, status_flags(fd))
        self._appends = Fdflags(self.flags & _APPEND)

    def close(self) -> None:
        """Nothing: it is not ours."""

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2); with NONBLOCK, AGAIN where it would wait."""
        if self.kind == Filetype.REGULAR_FILE:
            if are_large(buffers):
                return each(buffers, self._of_file, lambda piece, _: os.readv(self.fd, [piece]))
            return os.readv(self.fd, buffers)
        if not self.flags and (self.scope is None or not self.scope.active):
            try:
                return os.readv(self.fd, buffers)
            except BlockingIOError:
                pass  # others who have it open made it so
        return self._retry_when_ready(select.POLLIN, os.readv, os.preadv, buffers)

    def write(self, buffers: list[memoryview]) -> int:
        """writev(2); with NONBLOCK, AGAIN where it would wait, else as much as goes without waiting."""
        if self.kind == Filetype.REGULAR_FILE:
            if self.flags & _APPEND and not self._appends:
                os.lseek(self.fd, 0, os.SEEK_END)
            if are_large(buffers):
                return each(buffers, self._of_file, lambda piece, _: os.write(self.fd, piece))
            return os.writev(self.fd, buffers)
        if not self.flags and (self.scope is None or not self.scope.active):
            try:
                return os.write(self.fd, buffers[0]) if len(buffers) == 1 else os.writev(self.fd, buffers)
            except BlockingIOError:
                pass
        return self._retry_when_ready(select.POLLOUT, os.writev, os.pwritev, buffers)

    def set_flags(self, flags: Fdflags) -> None:
        """Kept here; NOTSUP for the synchronous flags."""
        if flags & SYNCHRONOUS:
            raise WasiError(Errno.NOTSUP)
        self.flags = flags | self._appends


def _one_pipe_write(buffers: list[memoryview]) -> list[memoryview]:
    """As much as a pipe that is ready takes for certain without waiting."""
    return [next((buffer for buffer in buffers if len(buffer)), memoryview(b""))[: select.PIPE_BUF]]


class FileStream(InheritedStream):
    """A file object of Python's that writes to a pipe, a terminal or a socket: what it holds first, then the fd."""

    __slots__ = ("_file",)

    def __init__(self, file: Any, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind)
        self._file = file

    def write(self, buffers: list[memoryview]) -> int:
        """As of the fd. ValueError if the object is closed."""
        self._file.flush()
        return super().write(buffers)


class BudgetStream(InheritedStream):
    """One to which only so much may be written."""

    __slots__ = ("_budget",)

    def __init__(self, budget: OutputLimit, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind)
        self._budget = budget

    def write(self, buffers: list[memoryview]) -> int:
        """As of the fd. LimitExceeded for what is too much."""
        return self._budget.write(buffers, super().write)


class PipeStream(InheritedStream):
    """The guest's end of a pipe of its own: closed with the last descriptor of it."""

    __slots__ = ("_end",)

    def __init__(self, end: PipeEnd, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind)
        self._end = end
        end.take()

    def write(self, buffers: list[memoryview]) -> int:
        """As of any stream; PIPE once nobody reads it any more, which is noted."""
        try:
            return super().write(buffers)
        except BrokenPipeError:
            self._end.broken = True
            raise

    def close(self) -> None:
        """One descriptor less."""
        self._end.release()


def inherit(
    fd: int, direction: Rights, file: Any = None, budget: OutputLimit | None = None, end: PipeEnd | None = None
) -> InheritedStream:
    """A host fd of this process, such as 0, 1 or 2, for reading or writing.

    `file` is an object that holds some of the output, `budget` what may be written, `end` whose the fd is.

    A character device that is no terminal gets SEEK and TELL, so that a guest's isatty tells the truth.
    """
    kind = filetype_of(os.fstat(fd).st_mode)
    rights = kinds.STREAM & ~(Rights.FD_READ | Rights.FD_WRITE) | direction
    if kind == Filetype.REGULAR_FILE:
        rights |= Rights.FD_SEEK | Rights.FD_TELL | Rights.FD_SYNC | Rights.FD_DATASYNC
    elif kind == Filetype.CHARACTER_DEVICE and not os.isatty(fd):
        rights |= Rights.FD_SEEK | Rights.FD_TELL
    if end is not None:
        return PipeStream(end, fd, rights, kind)
    if budget is not None:
        return BudgetStream(budget, fd, rights, kind)
    return InheritedStream(fd, rights, kind) if file is None else FileStream(file, fd, rights, kind)
