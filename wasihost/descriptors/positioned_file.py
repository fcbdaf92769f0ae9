"""A file whose position is kept by its descriptor: what host files and files of a virtual tree share.

The position is passed with every read and write, so seek and tell need no system call, and two descriptors of one file
never share a position. What has no position of its own (a FIFO, a terminal) is a `Stream`.
"""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Fstflags, Whence

from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Descriptor
from wasihost.descriptors.file_calls import MAX_OFFSET, check_synchronous, stamps
from wasihost.waiting.cancel_scope import CancelScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class PositionedFile(Descriptor):
    """An open file with a position. `read_only`: it lies below a read-only mount."""

    __slots__ = ("position", "read_only", "scope")

    KIND_RIGHTS: ClassVar[int] = kinds.FILE

    position: int
    read_only: bool
    scope: CancelScope | None

    def set_scope(self, scope: CancelScope) -> None:
        """Reading, writing and allocating a large amount stops when `scope` ends."""
        self.scope = scope

    def size(self) -> int:
        """The size of the file in bytes."""
        raise NotImplementedError

    def _set_times(self, times: tuple[int, int]) -> None:
        """futimens(2) with `stamps`."""
        raise NotImplementedError

    def available(self) -> int:
        """The bytes from the position to the end."""
        return max(0, self.size() - self.position)

    def seek(self, offset: int, whence: Whence) -> int:
        """lseek(2), without a system call. Raises INVAL for a position below 0, OVERFLOW above 2**63-1."""
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
        return self.position

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL). Raises NOTSUP if a synchronous flag would change."""
        check_synchronous(self.flags, flags)
        self.flags = flags

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        if self.read_only:
            raise WasiError(Errno.ROFS)
        self._set_times(stamps(atim, mtim, which))
