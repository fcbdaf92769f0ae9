"""What an open descriptor is: the base class of every kind.

Rules of this folder: a descriptor knows its own object (a host fd, a stream, a node) and nothing of the table or of
guest memory; only a directory knows other kinds: those that it opens. Methods take and return host values and raise
`WasiError` or `OSError`. A kind overrides what it can do; every other method raises the errno in `unsupported`. The
handlers check rights before they call a method. An override has a docstring only if it adds something.
"""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Oflags, Rights, Sdflags, Whence

from wasihost.descriptors import rights as kinds
from wasihost.descriptors.file_calls import stamps
from wasihost.descriptors.reported import DirectoryEntry, Listing, packed
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.pieces import PIECE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from wasihost.native import _native

NO_FLAGS = Fdflags(0)
_ALL = int(kinds.ALL)
_SET_SIZE = Rights.FD_FILESTAT_SET_SIZE


class Descriptor:
    """An open file, directory, stream or socket.

    `rights` apply to the descriptor itself, `inheriting` limits the rights of what is opened through it; both are bits
    of `Rights` and only ever shrink. `given_up` are rights that the guest gave up, for this descriptor or for the one
    through which it was opened. `KIND_RIGHTS` are the rights that make sense for the kind: a call that needs another
    right fails with `unsupported`.
    """

    __slots__ = ("flags", "given_up", "inheriting", "rights")

    KIND_RIGHTS: ClassVar[int] = 0
    OWNS: ClassVar[bool] = False
    """True if it has an `fd` of this process that is closed with it."""
    FIXED_FD: ClassVar[bool] = False
    """True if `host_fd` returns the same as long as it is open."""
    unsupported: ClassVar[Errno] = Errno.NOTSUP

    def __init__(self, rights: int, inheriting: int = 0, flags: Fdflags = NO_FLAGS) -> None:
        self.rights: int = rights
        self.inheriting: int = inheriting
        self.flags: Fdflags = flags
        self.given_up: int = 0

    def keep(self, rights: int, inheriting: int) -> None:
        """Give up all rights but these."""
        self.given_up |= self.rights & ~rights
        self.rights &= rights
        self.inheriting &= inheriting

    def missing_right(self, right: Rights) -> WasiError:
        """The error for a call that needs `right`: NOTCAPABLE if it was given up, `unsupported` if the kind never has
        it, else what Linux says of a descriptor that was not opened for this."""
        if self.given_up & right:
            return WasiError(Errno.NOTCAPABLE)
        if not self.KIND_RIGHTS & right:
            return WasiError(self.unsupported)
        return WasiError(Errno.INVAL if right & _SET_SIZE else Errno.BADF)

    def set_scope(self, scope: CancelScope) -> None:
        """Called when the descriptor enters a table. Calls that block must give up when `scope` ends."""

    def share(self, calls: _native.PlainCalls, number: int) -> None:
        """Called when the descriptor gets a number of a guest for which C does plain calls: a kind that C knows then
        shares its state with `calls`."""

    def filetype(self) -> Filetype:
        """The type that `fd_fdstat_get` reports."""
        return Filetype.UNKNOWN

    def close(self) -> None:
        """Release what the host holds for the descriptor. Called once."""

    def host_fd(self) -> int | None:
        """The host fd to wait for in poll(2), or None if the descriptor is ready now."""
        return None

    def available(self) -> int:
        """The number of bytes that a read would return at once, as far as is known without reading."""
        return 0

    def at_eof(self) -> bool:
        """True if end of input is known although `host_fd` does not show it (read-ahead)."""
        return False

    # -- reading and writing ---------------------------------------------------------------------------------------

    def read(self, buffers: list[memoryview]) -> int:
        """readv(2): fill the buffers from the current position. Returns the number of bytes; 0 at the end."""
        raise WasiError(self.unsupported)

    def write(self, buffers: list[memoryview]) -> int:
        """writev(2) at the current position. Returns the number of bytes written."""
        raise WasiError(self.unsupported)

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """preadv(2): read at `offset` without moving the position."""
        raise WasiError(self.unsupported)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """pwritev(2): write at `offset` without moving the position."""
        raise WasiError(self.unsupported)

    def seek(self, offset: int, whence: Whence) -> int:
        """lseek(2). Returns the new position."""
        raise WasiError(self.unsupported)

    def tell(self) -> int:
        """Return the current position."""
        raise WasiError(self.unsupported)

    # -- attributes ------------------------------------------------------------------------------------------------

    def stat(self) -> Filestat:
        """fstat(2)."""
        raise WasiError(self.unsupported)

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL): replace the flags."""
        raise WasiError(self.unsupported)

    def set_size(self, size: int) -> None:
        """ftruncate(2): `size` in bytes."""
        raise WasiError(self.unsupported)

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens(2); times in ns since 1970."""
        raise WasiError(self.unsupported)

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        """posix_fadvise(2)."""
        raise WasiError(self.unsupported)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate(2)."""
        raise WasiError(self.unsupported)

    def sync(self) -> None:
        """fsync(2)."""
        raise WasiError(self.unsupported)

    def datasync(self) -> None:
        """fdatasync(2)."""
        raise WasiError(self.unsupported)


_POSITION = Rights.FD_SEEK | Rights.FD_TELL | Rights.FD_ADVISE | Rights.FD_ALLOCATE


class Stream(Descriptor):
    """A descriptor without a position, of any back end. Calls about a position raise SPIPE, other unsupported ones
    INVAL."""

    __slots__ = ()

    KIND_RIGHTS: ClassVar[int] = kinds.STREAM
    unsupported: ClassVar[Errno] = Errno.INVAL

    def missing_right(self, right: Rights) -> WasiError:
        """SPIPE for calls about a position, as POSIX has it for lseek."""
        return WasiError(Errno.SPIPE) if right & _POSITION & ~self.given_up else super().missing_right(right)


class Socket(Stream):
    """An open socket."""

    __slots__ = ()

    def accept(self, flags: Fdflags) -> Socket:
        """accept(2): wait for a connection. `flags` are those of the new socket."""
        raise WasiError(self.unsupported)

    def receive(self, buffers: list[memoryview], peek: bool, wait_all: bool) -> tuple[int, bool]:
        """recvmsg(2). Returns the number of bytes, and True if a message was longer than the buffers."""
        raise WasiError(self.unsupported)

    def send(self, buffers: list[memoryview]) -> int:
        """sendmsg(2). Returns the number of bytes sent."""
        raise WasiError(self.unsupported)

    def shutdown(self, how: Sdflags) -> None:
        """shutdown(2) of one direction or both."""
        raise WasiError(self.unsupported)


_NOT_OF_DIRECTORIES = Rights.FD_SEEK | Rights.FD_TELL | kinds.WRITE


class Directory(Descriptor):
    """An open directory of any back end. Paths are guest text, relative to it, not yet resolved.

    `preopen` is the guest path of the mount; None for a directory that the guest opened itself. `listing` is kept
    from one `fd_readdir` to the next. Opening and listing stop when the scope ends.
    """

    __slots__ = ("listing", "preopen", "read_only", "scope")

    KIND_RIGHTS: ClassVar[int] = int(kinds.DIRECTORY)
    unsupported: ClassVar[Errno] = Errno.ISDIR

    def __init__(self, preopen: str | None = None, read_only: bool = False) -> None:
        super().__init__(self.KIND_RIGHTS, _ALL)
        self.preopen: str | None = preopen
        self.read_only: bool = read_only
        self.listing: Listing | None = None
        self.scope: CancelScope | None = None

    def set_scope(self, scope: CancelScope) -> None:
        self.scope = scope

    def missing_right(self, right: Rights) -> WasiError:
        """BADF for calls about a position, as in wasmtime, and for writing: directories are opened for reading."""
        if right & _NOT_OF_DIRECTORIES:
            return WasiError(Errno.INVAL if right & _SET_SIZE else Errno.BADF)
        return super().missing_right(right)

    def filetype(self) -> Filetype:
        return Filetype.DIRECTORY

    def entries(self) -> list[DirectoryEntry]:
        """The entries as they are now, `.` and `..` first."""
        raise WasiError(Errno.NOTSUP)

    def listed(self, check: Callable[[], None]) -> Listing:
        """A new listing. `check` is called now and then, and raises if the guest has to end."""
        return packed(self.entries(), check)

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        if self.read_only:
            raise WasiError(Errno.ROFS)
        self._set_times(stamps(atim, mtim, which))

    def _set_times(self, times: tuple[int, int]) -> None:
        """futimens(2) with the result of `stamps`."""
        raise WasiError(Errno.NOTSUP)

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, flags: Fdflags, held: list[int]) -> Descriptor:
        """openat(2). Returns a new descriptor of the kind that the path leads to; `rights.opened` makes its rights from
        the `rights` requested. Host fds opened for it are appended to `held`: the caller closes them if the descriptor
        does not reach the table."""
        raise WasiError(Errno.NOTSUP)

    def stat_path(self, path: str, follow: bool) -> Filestat:
        """fstatat(2)."""
        raise WasiError(Errno.NOTSUP)

    def create_directory(self, path: str) -> None:
        """mkdirat(2)."""
        raise WasiError(Errno.NOTSUP)

    def remove_directory(self, path: str) -> None:
        """unlinkat(2) with AT_REMOVEDIR."""
        raise WasiError(Errno.NOTSUP)

    def unlink(self, path: str) -> None:
        """unlinkat(2)."""
        raise WasiError(Errno.NOTSUP)

    def rename(self, path: str, target: Directory, target_path: str) -> None:
        """renameat(2). Raises XDEV for directories of different back ends."""
        raise WasiError(Errno.NOTSUP)

    def set_times_path(self, path: str, follow: bool, atim: int, mtim: int, which: Fstflags) -> None:
        """utimensat(2)."""
        raise WasiError(Errno.NOTSUP)

    def link(self, path: str, follow: bool, target: Directory, target_path: str) -> None:
        """linkat(2). Raises XDEV for directories of different back ends."""
        raise WasiError(Errno.NOTSUP)

    def symlink(self, content: str, path: str) -> None:
        """symlinkat(2)."""
        raise WasiError(Errno.NOTSUP)

    def readlink(self, path: str) -> str:
        """readlinkat(2)."""
        raise WasiError(Errno.NOTSUP)


def joined(buffers: list[memoryview]) -> memoryview:
    """Join the buffers, or only the first ones if all would exceed `PIECE` bytes: the guest calls again for the rest.

    The limit is needed because buffers may overlap, so a small guest could name any amount.
    """
    total = 0
    filled = [buffer for buffer in buffers if len(buffer)]
    for number, buffer in enumerate(filled):
        total += len(buffer)
        if total > PIECE:
            filled = filled[: max(number, 1)]
            break
    return filled[0] if len(filled) == 1 else memoryview(b"".join(filled))
