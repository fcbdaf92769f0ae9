"""The directories and links of `MemoryFS`.

Rules of this file, and of `memory_file`: each method is one step that holds the file system's lock, and checks by
itself what POSIX has its call check, so that guests in several threads can share a file system. What a guest can make
grow (bytes, entries) is charged to the `Budget` before it is made, and given back when nothing holds it any longer.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from wasihost.sandbox.names import failure
from wasihost.vfs.memory_file import MemoryFile, MemoryNode
from wasihost.vfs.nodes import Directory, File, Link, Node
from wasihost.vfs.quota import Budget, Lazy, name_size


class MemoryLink(MemoryNode, Link):
    """`content` never changes."""

    __slots__ = ("content",)

    def __init__(self, budget: Budget, content: str) -> None:
        super().__init__(budget)
        self.content = content
        budget.charge(self._held())

    def size(self) -> int:
        """Of its content, as POSIX has it."""
        return len(self.content.encode("utf-8", "surrogateescape"))

    def target(self) -> str:
        """What it was made with."""
        return self.content

    def dropped(self) -> None:
        """The content goes with the last name."""
        super().dropped()
        if self.links <= 0:
            self.budget.charge(-self._held())

    def _held(self) -> int:
        """What it counts: the bytes of its content, or what that takes as Python's text, if that is more."""
        return max(self.size(), name_size(self.content))


class MemoryDirectory(MemoryNode, Directory):
    """`parent` is None at the root, and for one that was removed while a guest held it: nothing can be made in it."""

    __slots__ = ("children", "parent")

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.links = 2
        self.children: dict[str, MemoryNode] = {}
        self.parent: MemoryDirectory | None = None

    def lookup(self, name: str) -> Node | None:
        """One look into a dict."""
        return self.children.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        """In the order they were made."""
        with self.budget.lock:
            return list(self.children.items())

    def above(self) -> Directory | None:
        """The parent."""
        return self.parent

    def create_file(self, name: str, content: bytes | Lazy = b"") -> File:
        """A file, or nothing if its content is too much. Raises: ENOSPC, EFBIG."""
        with self.budget.lock:
            node = MemoryFile(self.budget, content)
            try:
                self.add(name, node)
            except OSError:
                node.dropped()
                raise
        return node

    def create_directory(self, name: str) -> None:
        """An empty directory. Raises: ENOSPC."""
        self.add(name, MemoryDirectory(self.budget))

    def create_link(self, name: str, target: str) -> None:
        """Raises: ENAMETOOLONG for content that no path could have, ENOSPC."""
        if len(target.encode("utf-8", "surrogateescape")) >= 4096:
            raise failure(errno.ENAMETOOLONG, target)
        with self.budget.lock:
            node = MemoryLink(self.budget, target)
            try:
                self.add(name, node)
            except OSError:
                node.dropped()
                raise

    def link(self, name: str, node: Node) -> None:
        """Raises: ENOENT for a file whose last name is gone, EXDEV for another tree's, ENOSPC."""
        if not isinstance(node, MemoryNode) or node.budget is not self.budget:
            raise failure(errno.EXDEV, name)
        with self.budget.lock:
            if node.links <= 0:
                raise failure(errno.ENOENT, name)
            self.add(name, node)
            node.ctime = self.ctime

    def add(self, name: str, node: MemoryNode) -> None:
        """Put a node here. Raises: EEXIST, ENOENT if this directory was removed, ENOSPC."""
        with self.budget.lock:
            self._alive(name)
            if name in self.children:
                raise failure(errno.EEXIST, name)
            self.budget.charge_entry(name)
            self.children[name] = node
            if isinstance(node, MemoryDirectory):
                node.parent = self
                self.links += 1
            else:
                node.links += 1
            self.changed()

    def remove(self, name: str) -> None:
        """What is open goes on until it is closed."""
        with self.budget.lock:
            node = self._there(name)
            if isinstance(node, MemoryDirectory):
                raise failure(errno.EISDIR, name)
            self._forget(name)

    def remove_directory(self, name: str) -> None:
        """It stays, empty, for whoever has it open."""
        with self.budget.lock:
            node = self._there(name)
            if not isinstance(node, MemoryDirectory):
                raise failure(errno.ENOTDIR, name)
            if node.children:
                raise failure(errno.ENOTEMPTY, name)
            self._forget(name)

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        """All in one step: what was at `new_name` is replaced or nothing has happened."""
        if not isinstance(target, MemoryDirectory) or target.budget is not self.budget:
            raise failure(errno.EXDEV, new_name)
        with self.budget.lock:
            node, replaced = self._there(name), target.children.get(new_name)
            target._alive(new_name)
            if node is replaced:
                return
            if isinstance(node, MemoryDirectory):
                if node.holds(target):
                    raise failure(errno.EINVAL, new_name)
                if replaced is not None and not isinstance(replaced, MemoryDirectory):
                    raise failure(errno.ENOTDIR, new_name)
            elif isinstance(replaced, MemoryDirectory):
                raise failure(errno.EISDIR, new_name)
            if isinstance(replaced, MemoryDirectory) and replaced.children:
                raise failure(errno.ENOTEMPTY, new_name)
            if replaced is None:
                self.budget.charge(name_size(new_name) - name_size(name))
            target.children[new_name] = node  # before the other goes: no one finds neither
            del self.children[name]
            if replaced is not None:
                self.budget.release_entry(name)
                target._drop(replaced)
            if isinstance(node, MemoryDirectory):
                node.parent = target
                self.links -= 1
                target.links += 1
            node.ctime = self.budget.clock()
            self.changed()
            target.changed()

    def holds(self, other: MemoryDirectory) -> bool:
        """Whether `other` is this directory or somewhere below it."""
        above: MemoryDirectory | None = other
        while above is not None and above is not self:
            above = above.parent
        return above is self

    def _alive(self, name: str) -> None:
        if self.links == 0:
            raise failure(errno.ENOENT, name)

    def _there(self, name: str) -> MemoryNode:
        node = self.children.get(name)
        if node is None:
            raise failure(errno.ENOENT, name)
        return node

    def _forget(self, name: str) -> None:
        self._drop(self.children.pop(name))
        self.budget.release_entry(name)
        self.changed()

    def _drop(self, node: MemoryNode) -> None:
        """A name of it is gone from here."""
        if isinstance(node, MemoryDirectory):
            node.parent = None
            node.links = 0
            self.links -= 1
        else:
            node.dropped()
