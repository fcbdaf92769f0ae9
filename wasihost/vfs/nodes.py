"""The base classes of virtual trees. To mount a file system of your own, derive from `Directory`.

A read-only tree overrides `Directory.lookup` and `Directory.entries`, and returns `File` objects that override `read`.
Everything else has a default; operations that a tree does not support fail with ENOTSUP.

Methods report failures as `OSError`, whose errno the guest gets (`FileNotFoundError`, `OSError(errno.ENOSPC, ...)`).
Any other exception ends the run and reaches its caller.

Names are single components, checked before a method gets them: not empty, no slash, no NUL, neither `.` nor `..`. A
name passed to a `create_*` method did not exist a moment before; one passed to `remove` or `rename` did.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Iterable
from typing import NamedTuple, Self

from wasihost.sandbox.names import os_error

_inodes = itertools.count(1)


class Stat(NamedTuple):
    """The status of a node: size in bytes, times in ns since 1970 (0 is unknown), number of names (`links`)."""

    size: int = 0
    mtime_ns: int = 0
    atime_ns: int = 0
    ctime_ns: int = 0
    links: int = 1
    device: int = 0


def unsupported(what: str) -> OSError:
    """Return ENOTSUP, for an operation that the tree does not support."""
    return OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), what)


class Node:
    """A file, directory or link.

    `inode` is a number that no other node of this process has. A tree that makes new nodes at each lookup may set it,
    so that the guest sees the same file.
    """

    __slots__ = ("inode",)
    inode: int

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """Set `inode` here, so that a subclass need not call `__init__`."""
        self = super().__new__(cls)
        self.inode = next(_inodes)
        return self

    def stat(self) -> Stat:
        """fstat(2). Default: all 0, with one name."""
        return Stat()

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """utimensat(2), in nanoseconds since 1970; None keeps a time as it is."""
        raise unsupported("set_times")

    def may_write(self) -> bool:
        """Whether this process has the permission to change it. Overridden only by our own trees."""
        return True

    def now(self) -> int:
        """Return the current time of this tree, in nanoseconds since 1970. Default: the system's clock."""
        return time.time_ns()


class FileSystem:
    """A file system as a whole, which guests see from its `root` on."""

    __slots__ = ()
    root: Directory

    def host_folders(self) -> tuple[int, ...]:
        """Return descriptors of the host's folders of which it shows the content."""
        return ()


class File(Node):
    """A regular file. Override `read` to make it readable."""

    __slots__ = ()

    def open(self, *, writing: bool) -> File:
        """Called at each open. Return the file to use until `close`, such as one with a connection. Default: itself."""
        return self

    def opens_at_once(self) -> bool:
        """Whether `open` is too quick to check the guest's deadline. Overridden only by trees of this package."""
        return True

    def close(self) -> None:
        """Called once for each `open`, on the file that it returned."""

    def writes_at_once(self) -> bool:
        """Whether changes are too quick to check the guest's deadline. Overridden only by trees of this package."""
        return True

    def read(self, offset: int, size: int) -> bytes:
        """pread(2): return up to `size` bytes at `offset`; b"" is the end."""
        raise unsupported("read")

    def write(self, offset: int, data: bytes) -> int:
        """pwrite(2): return how many bytes were written."""
        raise unsupported("write")

    def truncate(self, size: int) -> None:
        """ftruncate(2): cut the file, or extend it with zeros."""
        raise unsupported("truncate")

    def sync(self) -> None:
        """fsync(2). Default: nothing."""

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
        """`write` at the end: return the offset and how many bytes were written."""
        end = self.stat().size
        if end < 0:
            raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW))
        return end, self.writefrom(end, buffer)

    def allocate(self, size: int) -> None:
        """posix_fallocate(2): `truncate` to `size` if the file is shorter."""
        if size > self.stat().size:
            self.truncate(size)


class Link(Node):
    """A symbolic link."""

    __slots__ = ()

    def target(self) -> str:
        """readlink(2): return the target."""
        raise unsupported("target")


class Directory(Node):
    """A directory. Override `lookup` and `entries` to make it readable."""

    __slots__ = ()

    def lookup(self, name: str) -> Node | None:
        """Return the node called `name`, a link itself if it is one; None if there is none."""
        raise unsupported("lookup")

    def entries(self) -> Iterable[tuple[str, Node]]:
        """Return all names with their nodes, in any order, without `.` and `..`."""
        raise unsupported("entries")

    def listing_entries(self) -> Iterable[tuple[str, Node]]:
        """As `entries`; only inode numbers and kinds of the nodes are used. Overridden only by our own trees."""
        return self.entries()

    def above(self) -> Directory | None:
        """Return the directory that has this one in it, for the inode of `..` in listings. Default: None, unknown."""
        return None

    def create_file(self, name: str) -> File:
        """openat(2) with O_CREAT: make an empty file and return it."""
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
        """unlinkat(2) with AT_REMOVEDIR; ENOTEMPTY if it has entries."""
        raise unsupported("remove_directory")

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        """renameat(2): move the node called `name` to `target`, replacing what is there.

        Both nodes are directories, or neither is, or `new_name` is free. Raise EXDEV for a directory of another tree,
        ENOTEMPTY to replace a directory that has entries, EINVAL to move a directory into itself.
        """
        raise unsupported("rename")


def check_rename(node: Node, replaced: Node | None, target: Directory, new_name: str) -> None:
    """The checks of renameat(2) that need no look into directories, for trees that know what is `above` each of theirs.

    Raises: EINVAL for a directory that would lie in itself; ENOTDIR, EISDIR where a directory and another kind meet.
    """
    if isinstance(node, Directory):
        here: Directory | None = target
        while here is not None:
            if here is node:
                raise os_error(errno.EINVAL, new_name)
            here = here.above()
        if replaced is not None and not isinstance(replaced, Directory):
            raise os_error(errno.ENOTDIR, new_name)
    elif isinstance(replaced, Directory):
        raise os_error(errno.EISDIR, new_name)
