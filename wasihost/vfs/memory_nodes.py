"""The directories and links of `MemoryFS`.

Rules of this file, and of `memory_file`: each method is one step that holds the file system's lock and makes the checks
of its POSIX call itself, so that guests in several threads can share a file system. What a guest can make grow (bytes,
entries) is charged to the `Quota` before it is made, and released when nothing refers to it any more.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from wasihost.sandbox.names import os_error
from wasihost.vfs.memory_file import MemoryFile, MemoryNode
from wasihost.vfs.nodes import Directory, File, Link, Node, check_rename
from wasihost.vfs.quota import Lazy, Quota, name_size


class MemoryLink(MemoryNode, Link):
    """A symbolic link; `content` never changes."""

    __slots__ = ("content",)

    def __init__(self, quota: Quota, content: str) -> None:
        super().__init__(quota)
        self.content: str = content
        quota.charge(self._held())

    def size(self) -> int:
        """Bytes of its content, as in POSIX."""
        return len(self.content.encode("utf-8", "surrogateescape"))

    def target(self) -> str:
        return self.content

    def dropped(self) -> None:
        """Release the content with the last name."""
        super().dropped()
        if self.links <= 0:
            self.quota.charge(-self._held())

    def _held(self) -> int:
        """What is charged: the bytes of its content, or what the `str` takes in memory if that is more."""
        return max(self.size(), name_size(self.content))


class MemoryDirectory(MemoryNode, Directory):
    """A directory.

    `parent` is None for the root, and for a directory that was removed while it was open: nothing can be created there.
    """

    __slots__ = ("children", "parent")

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota)
        self.links: int = 2
        self.children: dict[str, MemoryNode] = {}
        self.parent: MemoryDirectory | None = None

    def lookup(self, name: str) -> Node | None:
        return self.children.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        """All entries, in the order of their creation."""
        with self.quota.lock:
            return list(self.children.items())

    def above(self) -> Directory | None:
        return self.parent

    def create_file(self, name: str, content: bytes | Lazy = b"") -> File:
        """Make a file with this content. Raises: ENOSPC, EFBIG; no file is made then."""
        with self.quota.lock:
            node = MemoryFile(self.quota, content)
            try:
                self.add(name, node)
            except OSError:
                node.dropped()
                raise
        return node

    def create_directory(self, name: str) -> None:
        """mkdirat(2). Raises: ENOSPC."""
        self.add(name, MemoryDirectory(self.quota))

    def create_link(self, name: str, target: str) -> None:
        """symlinkat(2). Raises: ENAMETOOLONG for a target that is longer than a path can be, ENOSPC."""
        if len(target.encode("utf-8", "surrogateescape")) >= 4096:
            raise os_error(errno.ENAMETOOLONG, target)
        with self.quota.lock:
            node = MemoryLink(self.quota, target)
            try:
                self.add(name, node)
            except OSError:
                node.dropped()
                raise

    def link(self, name: str, node: Node) -> None:
        """linkat(2). Raises: ENOENT for a file whose last name is gone, EXDEV for a node of another tree, ENOSPC."""
        if not isinstance(node, MemoryNode) or node.quota is not self.quota:
            raise os_error(errno.EXDEV, name)
        with self.quota.lock:
            if node.links <= 0:
                raise os_error(errno.ENOENT, name)
            self.add(name, node)
            node.ctime = self.ctime

    def add(self, name: str, node: MemoryNode) -> None:
        """Add an entry. Raises: EEXIST, ENOENT if this directory was removed, ENOSPC."""
        with self.quota.lock:
            self._alive(name)
            if name in self.children:
                raise os_error(errno.EEXIST, name)
            self.quota.charge_entry(name)
            self.children[name] = node
            if isinstance(node, MemoryDirectory):
                node.parent = self
                self.links += 1
            else:
                node.links += 1
            self.changed()

    def remove(self, name: str) -> None:
        """unlinkat(2); an open file stays usable until it is closed."""
        with self.quota.lock:
            node = self._existing(name)
            if isinstance(node, MemoryDirectory):
                raise os_error(errno.EISDIR, name)
            self._forget(name)

    def remove_directory(self, name: str) -> None:
        """unlinkat(2) with AT_REMOVEDIR; the directory stays, empty, where it is open."""
        with self.quota.lock:
            node = self._existing(name)
            if not isinstance(node, MemoryDirectory):
                raise os_error(errno.ENOTDIR, name)
            if node.children:
                raise os_error(errno.ENOTEMPTY, name)
            self._forget(name)

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        """renameat(2) in one step: either what was at `new_name` is replaced, or nothing is changed."""
        if not isinstance(target, MemoryDirectory) or target.quota is not self.quota:
            raise os_error(errno.EXDEV, new_name)
        with self.quota.lock:
            node, replaced = self._existing(name), target.children.get(new_name)
            target._alive(new_name)
            if node is replaced:
                return
            check_rename(node, replaced, target, new_name)
            if isinstance(replaced, MemoryDirectory) and replaced.children:
                raise os_error(errno.ENOTEMPTY, new_name)
            if replaced is None:
                self.quota.charge(name_size(new_name) - name_size(name))
            target.children[new_name] = node  # before the old name goes: no thread finds neither
            del self.children[name]
            if replaced is not None:
                self.quota.release_entry(name)
                target._drop(replaced)
            if isinstance(node, MemoryDirectory):
                node.parent = target
                self.links -= 1
                target.links += 1
            node.status_changed()
            self.changed()
            target.changed()

    def _alive(self, name: str) -> None:
        if self.links == 0:
            raise os_error(errno.ENOENT, name)

    def _existing(self, name: str) -> MemoryNode:
        node = self.children.get(name)
        if node is None:
            raise os_error(errno.ENOENT, name)
        return node

    def _forget(self, name: str) -> None:
        self._drop(self.children.pop(name))
        self.quota.release_entry(name)
        self.changed()

    def _drop(self, node: MemoryNode) -> None:
        """Note at the node that an entry of it was removed from here."""
        if isinstance(node, MemoryDirectory):
            node.parent = None
            node.links = 0
            self.links -= 1
        else:
            node.dropped()
