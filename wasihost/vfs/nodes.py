"""What a virtual tree is made of. A class that derives from `Directory` is all that a mount takes.

A tree of one's own overrides `Directory.lookup` and `Directory.entries` and gives `File` objects that override `read`;
the rest has defaults, and what a tree cannot do answers ENOTSUP. Methods raise `OSError` where they fail: the guest
gets its errno by name (`FileNotFoundError`, `OSError(errno.ENOSPC, ...)`); any other exception ends the run and reaches
its caller.

Names are single components, proven before a method sees them: not empty, no slash, no NUL, neither `.` nor `..`. A name
given to a `create_*` method was not there a moment before; one given to `remove` or `rename` was.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Iterable
from typing import NamedTuple, Self

_inodes = itertools.count(1)


class Stat(NamedTuple):
    """The status of a node: its size in bytes, times in ns since 1970 with 0 for unknown, how many names it has."""

    size: int = 0
    mtime_ns: int = 0
    atime_ns: int = 0
    ctime_ns: int = 0
    links: int = 1
    device: int = 0


def unsupported(what: str) -> OSError:
    """ENOTSUP for an operation that the tree does not have."""
    return OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), what)


class Node:
    """A file, directory or link. `inode` numbers the nodes of this process, so that no two look like the same file; a
    tree that makes its nodes anew each time may set it to what stays."""

    __slots__ = ("inode",)
    inode: int

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """Numbers the node, so that a subclass need not call `__init__`."""
        self = super().__new__(cls)
        self.inode = next(_inodes)
        return self

    def stat(self) -> Stat:
        """fstat(2)."""
        return Stat()

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """utimensat(2); None leaves a time as it is."""
        raise unsupported("set_times")

    def now(self) -> int:
        """The time that 'now' means in this tree, in ns since 1970."""
        return time.time_ns()


class File(Node):
    """A regular file. `read` is all that one needs to be read."""

    __slots__ = ()

    def open(self, *, writing: bool) -> File:
        """Called at each open; answers the file to use until `close`, such as one that holds a connection."""
        return self

    def opens_at_once(self) -> bool:
        """Whether `open` takes no time worth a look at a guest's deadline; False only in trees of this package."""
        return True

    def close(self) -> None:
        """Called once for each `open`, on what that answered."""

    def read(self, offset: int, size: int) -> bytes:
        """pread(2): up to `size` bytes at `offset`; b"" is the end."""
        raise unsupported("read")

    def write(self, offset: int, data: bytes) -> int:
        """pwrite(2): how many bytes were taken."""
        raise unsupported("write")

    def truncate(self, size: int) -> None:
        """ftruncate(2): cut, or grow with zeros."""
        raise unsupported("truncate")

    def sync(self) -> None:
        """fsync(2); nothing by default."""

    # -- what the descriptor calls: overridden only by trees of this package, which keep no view of a guest's memory --

    def readinto(self, offset: int, buffer: memoryview) -> int:
        """`read` into `buffer`."""
        data = self.read(offset, len(buffer))
        if len(data) > len(buffer):
            raise ValueError(f"{type(self).__name__}.read gave {len(data)} bytes when asked for {len(buffer)}")
        buffer[: len(data)] = data
        return len(data)

    def writefrom(self, offset: int, buffer: memoryview) -> int:
        """`write` from `buffer`."""
        size = self.write(offset, bytes(buffer))
        if not 0 <= size <= len(buffer):
            raise ValueError(f"{type(self).__name__}.write took {size} bytes of {len(buffer)}")
        return size

    def appendfrom(self, buffer: memoryview) -> tuple[int, int]:
        """`write` at the end: where it went and how many bytes were taken."""
        end = self.stat().size
        if end < 0:
            raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW))
        return end, self.writefrom(end, buffer)

    def allocate(self, size: int) -> None:
        """posix_fallocate(2): `truncate` to `size` if it is shorter."""
        if size > self.stat().size:
            self.truncate(size)


class Link(Node):
    """A symbolic link."""

    __slots__ = ()

    def target(self) -> str:
        """readlink(2): its content."""
        raise unsupported("target")


class Directory(Node):
    """A directory: `lookup` and `entries` make it one that can be read."""

    __slots__ = ()

    def lookup(self, name: str) -> Node | None:
        """What `name` is here, a link itself if it is one; None if there is nothing."""
        raise unsupported("lookup")

    def entries(self) -> Iterable[tuple[str, Node]]:
        """All names with what they are, in any order, without `.` and `..`."""
        raise unsupported("entries")

    def above(self) -> Directory | None:
        """The directory that holds this one, for the inode of `..` in listings; None where that is not known."""
        return None

    def create_file(self, name: str) -> File:
        """Make an empty file."""
        raise unsupported("create_file")

    def create_directory(self, name: str) -> None:
        """mkdirat(2)."""
        raise unsupported("create_directory")

    def create_link(self, name: str, target: str) -> None:
        """symlinkat(2)."""
        raise unsupported("create_link")

    def link(self, name: str, node: Node) -> None:
        """linkat(2): a second name for a file or a link; EXDEV for a node of another tree."""
        raise unsupported("link")

    def remove(self, name: str) -> None:
        """unlinkat(2) of a file or a link."""
        raise unsupported("remove")

    def remove_directory(self, name: str) -> None:
        """unlinkat(2) with AT_REMOVEDIR; ENOTEMPTY if something is in it."""
        raise unsupported("remove_directory")

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        """renameat(2): move what `name` is to `target`, over what is there; EXDEV for a directory of another tree.

        Both names are of the same kind or `new_name` is free. ENOTEMPTY for a directory that is not empty, EINVAL for
        one that would get into itself.
        """
        raise unsupported("rename")
