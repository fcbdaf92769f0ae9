"""A stream of this process that a guest uses: its standard input, output or error, or a file object's fd.

The fd stays open when the guest closes it, and its status flags are never changed.
"""

from __future__ import annotations

import os

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filetype, Rights

from wasihost.common.unpatched import select
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.file_calls import APPEND, SYNCHRONOUS, status_flags
from wasihost.descriptors.host_stream import HostStream
from wasihost.descriptors.hoststat import filetype_of
from wasihost.waiting.pieces import are_large, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from wasihost.config.limits import OutputLimit
    from wasihost.descriptors.pipe_end import PipeEnd


class InheritedStream(HostStream):
    """A stream of this process. It stays open and unchanged when the guest closes it.

    Its status flags are shared with every process that has it open: a shell whose terminal is left with NONBLOCK fails
    to read from it. So they are never changed; flags that the guest sets are applied here, call by call. An APPEND that
    is set already stays: the user's `>>` protects a file.
    """

    __slots__ = ("_appends",)

    OWNS: ClassVar[bool] = False

    def __init__(self, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind, status_flags(fd))
        self._appends = Fdflags(self.flags & APPEND)

    def close(self) -> None:
        """Leaves the fd open: it belongs to this process."""
        self._unshare()

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2). With NONBLOCK, raises AGAIN if it would block."""
        if self.kind == Filetype.REGULAR_FILE:
            if are_large(buffers):
                return each(buffers, self._file_scope, lambda piece, _: os.readv(self.fd, [piece]))
            return os.readv(self.fd, buffers)
        if not self.flags and (self.scope is None or not self.scope.active):
            try:
                return os.readv(self.fd, buffers)
            except BlockingIOError:
                pass  # another process that has it open set O_NONBLOCK
        return self._retry_when_ready(select.POLLIN, os.readv, os.preadv, buffers)

    def write(self, buffers: list[memoryview]) -> int:
        """writev(2). With NONBLOCK, raises AGAIN if it would block."""
        if self.kind == Filetype.REGULAR_FILE:
            if self.flags & APPEND and not self._appends:
                os.lseek(self.fd, 0, os.SEEK_END)
            if are_large(buffers):
                return each(buffers, self._file_scope, lambda piece, _: os.write(self.fd, piece))
            return os.writev(self.fd, buffers)
        if not self.flags and (self.scope is None or not self.scope.active):
            try:
                return os.write(self.fd, buffers[0]) if len(buffers) == 1 else os.writev(self.fd, buffers)
            except BlockingIOError:
                pass
        return self._retry_when_ready(select.POLLOUT, os.writev, os.pwritev, buffers)

    def set_flags(self, flags: Fdflags) -> None:
        """Keep the flags here. Raises NOTSUP for a synchronous flag."""
        if flags & SYNCHRONOUS:
            raise WasiError(Errno.NOTSUP)
        self.flags: Fdflags = flags | self._appends
        self._set_shared_flags(self.flags)


class FileStream(InheritedStream):
    """The fd of a Python file object over a pipe, a terminal or a socket; output that it holds is flushed first."""

    __slots__ = ("_file",)

    PLAIN: ClassVar[bool] = False

    def __init__(self, file: Any, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind)
        self._file = file

    def write(self, buffers: list[memoryview]) -> int:
        """Flush the object, then write to the fd. Raises ValueError if the object is closed."""
        self._file.flush()
        return super().write(buffers)


class BudgetStream(InheritedStream):
    """A stream to which only a limited number of bytes may be written."""

    __slots__ = ("_budget",)

    PLAIN: ClassVar[bool] = False

    def __init__(self, budget: OutputLimit, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind)
        self._budget = budget

    def write(self, buffers: list[memoryview]) -> int:
        """Write up to the remaining budget. Raises LimitExceeded for the bytes beyond it."""
        return self._budget.write(buffers, super().write)


class PipeStream(InheritedStream):
    """The guest's end of a pipe to its caller. The end is closed with the last descriptor that uses it."""

    __slots__ = ("_end",)

    def __init__(self, end: PipeEnd, fd: int, rights: int, kind: Filetype) -> None:
        super().__init__(fd, rights, kind)
        self._end = end
        end.take()

    def write(self, buffers: list[memoryview]) -> int:
        """Write as to any stream. Records in `broken` that the other end was closed."""
        try:
            return super().write(buffers)
        except BrokenPipeError:
            self._end.broken = True
            raise

    def close(self) -> None:
        """Release this descriptor's use of the end."""
        self._unshare()
        self._end.release()


def inherit(
    fd: int, direction: Rights, file: Any = None, budget: OutputLimit | None = None, end: PipeEnd | None = None
) -> InheritedStream:
    """Make a stream of a host fd of this process, such as 0, 1 or 2.

    A character device that is not a terminal gets FD_SEEK and FD_TELL, so that isatty returns false in guests.

    Args:
        fd: The host fd. It stays open.
        direction: FD_READ or FD_WRITE.
        file: A Python file object over `fd` that may hold output still to be written.
        budget: Limits how many bytes may be written.
        end: The pipe end that owns `fd`.
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
