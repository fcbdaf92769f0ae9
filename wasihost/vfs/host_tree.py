"""Read-only: a folder of the host as a tree of nodes, which an overlay reads from.

Rules of this file: they are those of the walk in `wasihost.sandbox`.

- Each step is one single name beneath an open directory, never followed if it is a link. No path of more than one name
  reaches the system.
- A directory is known by its device and inode number. At most `HANDLES` of them are open at once. One that was closed
  is opened again step by step, and is ENOENT if another file is there by now.
- What is on another file system is checked by the bounds of the mount.

So changes by other processes can hide a file, but never lead out of the folder.
"""

from __future__ import annotations

import errno
import os
import stat as kinds
from collections import OrderedDict
from collections.abc import Iterable
from itertools import starmap
from typing import Final

from wasihost.common.forking import Locked
from wasihost.sandbox.bounds import Bounds, bounds_of
from wasihost.sandbox.held import openers
from wasihost.sandbox.names import os_error, unencodable
from wasihost.sandbox.resolve import DIRECTORY, HANDLE
from wasihost.vfs.nodes import Directory, File, Link, Node, Stat

HANDLES: Final = 64
"""Directories that one tree has open at once, besides the folder itself."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_EFFECTIVE: Final = os.access in os.supports_effective_ids
_UNFOLLOWED: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class HostTree(Locked):
    """An open folder of the host. `root` is its directory.

    Args:
        path: The folder.
        kernel_files: As for `FSConfig.with_dir_mount`.
        one_file_system: As for `FSConfig.with_dir_mount`.

    Raises:
        OSError: There is no such directory, or it cannot be read.
    """

    __slots__ = ("bounds", "handles", "held", "path", "root")

    def __init__(
        self, path: str | os.PathLike[str], *, kernel_files: bool = False, one_file_system: bool = False
    ) -> None:
        super().__init__()
        self.path: str = os.path.abspath(path)
        self.held: list[int] = []
        self.handles: OrderedDict[Node, int] = OrderedDict()
        self.held += map(os.open, (path,), (_LIST,))
        self.bounds: Bounds = bounds_of(self.held[0], kernel_files=kernel_files, one_file_system=one_file_system)
        self.root: HostTreeDirectory = HostTreeDirectory(self, None, "", *self.bounds.root)

    @property
    def fd(self) -> int:
        """The folder's descriptor. Raises: EBADF after `close`."""
        if not self.held:
            raise os_error(errno.EBADF, self.path)
        return self.held[0]

    def close(self) -> None:
        """Close all descriptors of directories. Open files stay open."""
        with self.lock:
            fds = [*self.held, *self.handles.values()]
            self.held.clear()
            self.handles.clear()
            list(map(os.close, fds))

    def __del__(self) -> None:
        if getattr(self, "held", None):
            self.close()

    def handle(self, directory: HostTreeDirectory) -> int:
        """Return a descriptor of a directory; valid while the lock is held."""
        way = []
        here: HostTreeDirectory = directory
        while here.parent is not None:
            if (fd := self.handles.get(here)) is not None:
                self.handles.move_to_end(here)
                break
            way.append(here)
            here = here.parent
        else:
            fd = self.fd
        for node in reversed(way):
            held: list[int] = []
            try:
                held += starmap(openers[fd], ((node.name, DIRECTORY | _UNFOLLOWED, 0),))
                node.check(os.fstat(held[0]))
                self.bounds.check(held[0], node.name)
                self.handles[node] = fd = held[0]
                held.clear()
            finally:
                list(map(os.close, held))
            while len(self.handles) > HANDLES:
                list(map(os.close, (self.handles.popitem(last=False)[1],)))
        return fd

    def look_at(self, directory: HostTreeDirectory, name: str) -> os.stat_result:
        """lstat(2) of one name; called with the lock held. Raises: also what the bounds say of its file system."""
        fd = self.handle(directory)
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if found.st_dev not in self.bounds.known or self.bounds.one_file_system:
            held: list[int] = []
            try:
                held += starmap(openers[fd], ((name, HANDLE | _UNFOLLOWED, 0),))
                self.bounds.check(held[0], name)
            finally:
                list(map(os.close, held))
        return found

    def forget_handles(self) -> None:
        """Close the descriptors of directories below the folder; they are opened again when they are used."""
        with self.lock:
            while self.handles:
                list(map(os.close, (self.handles.popitem()[1],)))


class HostTreeNode(Node):
    """A file of the folder: the directory that it was found in, its name there, device and inode number."""

    __slots__ = ("device", "links", "name", "parent", "tree")

    def __init__(
        self, tree: HostTree, parent: HostTreeDirectory | None, name: str, device: int, inode: int, links: int = 0
    ) -> None:
        self.tree: HostTree = tree
        self.parent: HostTreeDirectory | None = parent
        self.name: str = name
        self.device: int = device
        self.inode: int = inode
        self.links: int = links
        """Names it had when it was looked up; 0 if it was only listed."""

    def check(self, found: os.stat_result) -> None:
        """Raises: ENOENT if `found` is another file."""
        if not self.device:  # from a listing
            self.device = found.st_dev
        if found.st_ino != self.inode or found.st_dev != self.device:
            raise os_error(errno.ENOENT, self.name)

    def status(self) -> os.stat_result:
        """lstat(2). Raises: ENOENT if another file has its name by now."""
        with self.tree.lock:
            if self.parent is None:
                return os.fstat(self.tree.fd)
            found = self.tree.look_at(self.parent, self.name)
        self.check(found)
        return found

    def stat(self) -> Stat:
        return stat_of(self.status())

    def may_write(self) -> bool:
        """access(2). That its file system is mounted read-only does not count."""
        with self.tree.lock:
            fd, name = (self.tree.fd, ".") if self.parent is None else (self.tree.handle(self.parent), self.name)
            if os.access(name, os.W_OK, dir_fd=fd, effective_ids=_EFFECTIVE, follow_symlinks=False):
                return True
            return bool(os.fstatvfs(self.tree.fd).f_flag & os.ST_RDONLY)


class HostTreeDirectory(HostTreeNode, Directory):
    """A directory."""

    __slots__ = ()

    def lookup(self, name: str) -> Node | None:
        tree = self.tree
        try:
            with tree.lock:
                found = tree.look_at(self, name)
        except FileNotFoundError:
            return None
        except ValueError as reason:
            raise unencodable(reason, name) from None
        make = _CLASSES.get(kinds.S_IFMT(found.st_mode), HostTreeNode)
        return make(tree, self, name, found.st_dev, found.st_ino, found.st_nlink)

    def entries(self) -> Iterable[tuple[str, Node]]:
        held: list[int] = []
        try:
            with self.tree.lock:
                held += starmap(openers[self.tree.handle(self)], ((".", _LIST, 0),))
            with os.scandir(held[0]) as found:
                for entry in found:
                    yield entry.name, self._listed(entry)
        finally:
            list(map(os.close, held))

    def _listed(self, entry: os.DirEntry[str]) -> Node:
        """Make a node without a system call, where the file system reports types in listings."""
        make: type[HostTreeNode] = HostTreeNode
        if entry.is_symlink():
            make = HostTreeLink
        elif entry.is_dir(follow_symlinks=False):
            make = HostTreeDirectory
        elif entry.is_file(follow_symlinks=False):
            make = HostTreeFile
        return make(self.tree, self, entry.name, 0, entry.inode())

    def above(self) -> Directory | None:
        return self.parent


class HostTreeFile(HostTreeNode, File):
    """A regular file; `open` opens it for reading."""

    __slots__ = ()

    def open(self, *, writing: bool) -> File:
        assert self.parent is not None
        opened = OpenHostFile()
        with self.tree.lock:
            opened.held += starmap(openers[self.tree.handle(self.parent)], ((self.name, _READ, 0),))
        self.check(os.fstat(opened.held[0]))
        self.tree.bounds.check(opened.held[0], self.name)
        opened.inode = self.inode
        return opened

    def read(self, offset: int, size: int) -> bytes:
        opened = self.open(writing=False)
        try:
            return opened.read(offset, size)
        finally:
            opened.close()


class OpenHostFile(File):
    """A file that is open for reading."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: list[int] = []

    @property
    def fd(self) -> int:
        """Its descriptor. Raises: EBADF after `close`."""
        if not self.held:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self.held[0]

    def stat(self) -> Stat:
        return stat_of(os.fstat(self.fd))

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def readinto(self, offset: int, buffer: memoryview) -> int:
        return os.preadv(self.fd, [buffer], offset)

    def close(self) -> None:
        list(map(os.close, map(self.held.pop, (-1,) * len(self.held))))

    def __del__(self) -> None:
        self.close()


class HostTreeLink(HostTreeNode, Link):
    """A symbolic link."""

    __slots__ = ()

    def target(self) -> str:
        assert self.parent is not None
        with self.tree.lock:
            return os.readlink(self.name, dir_fd=self.tree.handle(self.parent))


_CLASSES: Final = {kinds.S_IFDIR: HostTreeDirectory, kinds.S_IFREG: HostTreeFile, kinds.S_IFLNK: HostTreeLink}


def stat_of(found: os.stat_result) -> Stat:
    """Return what `Stat` has of a status of the host."""
    return Stat(found.st_size, found.st_mtime_ns, found.st_atime_ns, found.st_ctime_ns, found.st_nlink, found.st_dev)
