"""What an open descriptor is: the base class of every kind.

Rules of this folder: a descriptor knows its own object (a host fd, a stream, a node) and nothing of the table, of guest
memory or of other kinds. Every method answers in host terms and raises `WasiError` or `OSError`. A kind overrides what
it can do; the rest answers the errno of `unsupported`. Rights are checked by the handlers, before a method is called.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Oflags, Rights, Sdflags, Whence

from wasihost.descriptors import rights as kinds
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.pieces import PIECE

NO_FLAGS = Fdflags(0)
_ALL = int(kinds.ALL)
_SET_SIZE = Rights.FD_FILESTAT_SET_SIZE
MAX_OFFSET = 2**63 - 1
"""The furthest that a position in a file can be: a signed 64-bit number, as the spec's `filedelta`."""


class Descriptor:
    """An open file, directory, stream or socket.

    `rights` apply to itself, `inheriting` bounds what is opened through it; both are bits of `Rights` and only ever
    shrink. `given_up` are those that it could have, had the guest not given them up for it or for what it was opened
    through. `KIND_RIGHTS` are the rights that make sense for the kind: a call that needs another raises
    `unsupported`.
    """

    __slots__ = ("flags", "given_up", "inheriting", "rights")

    KIND_RIGHTS: ClassVar[int] = 0
    OWNS: ClassVar[bool] = False
    """Whether it has an `fd` of this process that is closed with it."""
    unsupported: ClassVar[Errno] = Errno.NOTSUP

    def __init__(self, rights: int, inheriting: int = 0, flags: Fdflags = NO_FLAGS) -> None:
        self.rights = rights
        self.inheriting = inheriting
        self.flags = flags
        self.given_up = 0

    def keep(self, rights: int, inheriting: int) -> None:
        """Give up all other rights."""
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
        """Called when a guest gets it: what waits, waits no longer than that."""

    def filetype(self) -> Filetype:
        """What `fd_fdstat_get` calls it."""
        return Filetype.UNKNOWN

    def close(self) -> None:
        """Give back what the host holds for it; called once."""

    def host_fd(self) -> int | None:
        """The host fd to wait on, or None for what is ready: always, or now."""
        return None

    def available(self) -> int:
        """How many bytes a read would find at once, as far as it is known without reading."""
        return 0

    def at_eof(self) -> bool:
        """Whether what it reads is known to have come to its end, where `host_fd` would not tell."""
        return False

    # -- reading and writing ---------------------------------------------------------------------------------------

    def read(self, buffers: list[memoryview]) -> int:
        """readv: fill the buffers from the current position; 0 is the end."""
        raise WasiError(self.unsupported)

    def write(self, buffers: list[memoryview]) -> int:
        """writev at the current position."""
        raise WasiError(self.unsupported)

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """preadv: the position stays."""
        raise WasiError(self.unsupported)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """pwritev: the position stays."""
        raise WasiError(self.unsupported)

    def seek(self, offset: int, whence: Whence) -> int:
        """lseek: the new position."""
        raise WasiError(self.unsupported)

    def tell(self) -> int:
        """The position."""
        raise WasiError(self.unsupported)

    # -- attributes ------------------------------------------------------------------------------------------------

    def stat(self) -> Filestat:
        """fstat."""
        raise WasiError(self.unsupported)

    def set_flags(self, flags: Fdflags) -> None:
        """fcntl(F_SETFL)."""
        raise WasiError(self.unsupported)

    def set_size(self, size: int) -> None:
        """ftruncate."""
        raise WasiError(self.unsupported)

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens; times in ns since 1970."""
        raise WasiError(self.unsupported)

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        """posix_fadvise."""
        raise WasiError(self.unsupported)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate."""
        raise WasiError(self.unsupported)

    def sync(self) -> None:
        """fsync."""
        raise WasiError(self.unsupported)

    def datasync(self) -> None:
        """fdatasync."""
        raise WasiError(self.unsupported)


_POSITION = Rights.FD_SEEK | Rights.FD_TELL | Rights.FD_ADVISE | Rights.FD_ALLOCATE


class Stream(Descriptor):
    """What has no position, of any back end: SPIPE for what is about one, INVAL for the rest that it cannot do."""

    __slots__ = ()

    KIND_RIGHTS: ClassVar[int] = kinds.STREAM
    unsupported: ClassVar[Errno] = Errno.INVAL

    def missing_right(self, right: Rights) -> WasiError:
        """As POSIX tells lseek from fsync and ftruncate."""
        return WasiError(Errno.SPIPE) if right & _POSITION & ~self.given_up else super().missing_right(right)


class Socket(Stream):
    """An open socket."""

    __slots__ = ()

    def accept(self, flags: Fdflags) -> Socket:
        """accept: a connection, with `flags`."""
        raise WasiError(self.unsupported)

    def receive(self, buffers: list[memoryview], peek: bool, wait_all: bool) -> tuple[int, bool]:
        """recvmsg: how many bytes, and whether a message was longer than the buffers."""
        raise WasiError(self.unsupported)

    def send(self, buffers: list[memoryview]) -> int:
        """sendmsg."""
        raise WasiError(self.unsupported)

    def shutdown(self, how: Sdflags) -> None:
        """shutdown, of one direction or both."""
        raise WasiError(self.unsupported)


_NOT_OF_DIRECTORIES = Rights.FD_SEEK | Rights.FD_TELL | kinds.WRITE
DirectoryEntry: TypeAlias = tuple[bytes, int, Filetype]
"""One name of a listing, its inode number and its type, as far as they are known without a stat. No class of its own:
that would be a sixth of what an entry costs."""

Listing: TypeAlias = tuple[memoryview, list[int]]
"""A directory's entries as a guest gets them, and where each begins."""


class Directory(Descriptor):
    """An open directory of any back end. Paths are guest text, relative to it, not yet resolved.

    `preopen` is the guest path under which it was mounted; None for one that the guest opened itself. `listing` is
    `fd_readdir`'s, kept from one call to the next: the bytes as the guest gets them, and where each entry begins.
    """

    __slots__ = ("listing", "preopen", "read_only")

    KIND_RIGHTS: ClassVar[int] = int(kinds.DIRECTORY)
    unsupported: ClassVar[Errno] = Errno.ISDIR

    def __init__(self, preopen: str | None = None, read_only: bool = False) -> None:
        super().__init__(self.KIND_RIGHTS, _ALL)
        self.preopen = preopen
        self.read_only = read_only
        self.listing: Listing | None = None

    def missing_right(self, right: Rights) -> WasiError:
        """BADF for a position, as wasmtime answers, and for writing, as directories are opened to be read only."""
        if right & _NOT_OF_DIRECTORIES:
            return WasiError(Errno.INVAL if right & _SET_SIZE else Errno.BADF)
        return super().missing_right(right)

    def filetype(self) -> Filetype:
        """Always a directory."""
        return Filetype.DIRECTORY

    def entries(self) -> list[DirectoryEntry]:
        """A fresh listing, `.` and `..` first."""
        raise WasiError(Errno.NOTSUP)

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, flags: Fdflags, held: list[int]) -> Descriptor:
        """openat: a new descriptor of whatever kind the path leads to, which has what `rights.opened` makes of the
        rights asked for. What the host has opened for it is in `held`, which the caller closes if it gets no
        further."""
        raise WasiError(Errno.NOTSUP)

    def stat_path(self, path: str, follow: bool) -> Filestat:
        """fstatat."""
        raise WasiError(Errno.NOTSUP)

    def create_directory(self, path: str) -> None:
        """mkdirat."""
        raise WasiError(Errno.NOTSUP)

    def remove_directory(self, path: str) -> None:
        """unlinkat(AT_REMOVEDIR)."""
        raise WasiError(Errno.NOTSUP)

    def unlink(self, path: str) -> None:
        """unlinkat."""
        raise WasiError(Errno.NOTSUP)

    def rename(self, path: str, target: Directory, target_path: str) -> None:
        """renameat; XDEV where the two are of different back ends."""
        raise WasiError(Errno.NOTSUP)

    def set_times_path(self, path: str, follow: bool, atim: int, mtim: int, which: Fstflags) -> None:
        """utimensat."""
        raise WasiError(Errno.NOTSUP)

    def link(self, path: str, follow: bool, target: Directory, target_path: str) -> None:
        """linkat; XDEV where the two are of different back ends."""
        raise WasiError(Errno.NOTSUP)

    def symlink(self, content: str, path: str) -> None:
        """symlinkat."""
        raise WasiError(Errno.NOTSUP)

    def readlink(self, path: str) -> str:
        """readlinkat."""
        raise WasiError(Errno.NOTSUP)


def joined(buffers: list[memoryview]) -> memoryview:
    """The buffers joined, or as many of the first as are not too much: the guest asks for the rest again.

    They may overlap, so a small guest could name any amount.
    """
    total = 0
    filled = [buffer for buffer in buffers if len(buffer)]
    for number, buffer in enumerate(filled):
        total += len(buffer)
        if total > PIECE:
            filled = filled[: max(number, 1)]
            break
    return filled[0] if len(filled) == 1 else memoryview(b"".join(filled))
