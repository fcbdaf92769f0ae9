"""The nodes of `MemoryFS`: files, directories and links that hold what they are in memory.

Rules of this file: each method is one step that holds the file system's lock, and checks by itself what POSIX has its
call check, so that guests in several threads can share a file system. What a guest can make grow (bytes, entries) is
charged to the `Budget` before it is made, and given back when nothing holds it any longer.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from wasihost.sandbox.names import failure
from wasihost.vfs.budget import Budget, Lazy, exceeded
from wasihost.vfs.nodes import Directory, File, Link, Node, Stat


class MemoryNode(Node):
    """What all three have: times, and how many names lead here."""

    __slots__ = ("atime", "budget", "ctime", "links", "mtime")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.links = 0
        self.atime = self.mtime = self.ctime = budget.clock()

    def size(self) -> int:
        """In bytes."""
        return 0

    def stat(self) -> Stat:
        """Everything is known."""
        return Stat(self.size(), self.mtime, self.atime, self.ctime, self.links, self.budget.device)

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Sets the change time too."""
        self.atime = self.atime if atime_ns is None else atime_ns
        self.mtime = self.mtime if mtime_ns is None else mtime_ns
        self.ctime = self.now()

    def now(self) -> int:
        """The file system's clock."""
        return self.budget.clock()

    def changed(self) -> None:
        """The content is another now."""
        self.mtime = self.ctime = self.budget.clock()

    def dropped(self) -> None:
        """One name fewer; called under the lock."""
        self.links -= 1
        self.ctime = self.budget.clock()


class MemoryFile(MemoryNode, File):
    """`data` is what was given until the first write, and a `bytearray` from then on: it grows by more than is asked
    for, so that appending costs O(1) on the average. It is never exported beyond a step, else it could not grow."""

    __slots__ = ("data", "opens", "version")

    def __init__(self, budget: Budget, data: bytes | Lazy = b"") -> None:
        super().__init__(budget)
        self.data: bytes | bytearray | Lazy = b""
        self.opens = 0
        self.version = 0
        self._fit(data.size if isinstance(data, Lazy) else len(data))
        self.data = data

    def changed(self) -> None:
        """Counted too, since a clock may stand still."""
        super().changed()
        self.version += 1

    def size(self) -> int:
        """In bytes; nothing is loaded for it."""
        data = self.data  # looked at once: another thread may be loading it
        return data.size if isinstance(data, Lazy) else len(data)

    def open(self, *, writing: bool) -> File:
        """Counted: a file without a name keeps its bytes until the last one that opened it closes it."""
        with self.budget.lock:
            self.content()
            if self.links <= 0 and self.opens <= 0:  # its last name went after it was looked up: no longer charged
                self.budget.charge(self.size())
            self.opens += 1
        return self

    def close(self) -> None:
        """The content goes with the last name and the last open."""
        with self.budget.lock:
            self.opens -= 1
            self._release()

    def dropped(self) -> None:
        """The content goes with the last name and the last open."""
        super().dropped()
        self._release()

    def content(self) -> bytes | bytearray:
        """The bytes, loaded now if they were not yet. Raises: EIO if the loader gives another size than was said."""
        if isinstance(self.data, Lazy):
            data = self.data.load()
            if len(data) != self.data.size:
                raise failure(errno.EIO, f"a lazy file of {self.data.size} bytes that loaded {len(data)}")
            self.data = data
        return self.data

    def replace(self, data: bytes | Lazy) -> None:
        """Other content altogether."""
        with self.budget.lock:
            self._fit(data.size if isinstance(data, Lazy) else len(data))
            self.data = data
            self.changed()

    def read(self, offset: int, size: int) -> bytes:
        """Does not change the access time, as on a host mounted `noatime`."""
        with self.budget.lock:
            return bytes(self.content()[offset : offset + size])

    def readinto(self, offset: int, buffer: memoryview) -> int:
        """One copy."""
        with self.budget.lock, memoryview(self.content())[offset : offset + len(buffer)] as part:
            size = len(part)
            buffer[:size] = part
        return size

    def write(self, offset: int, data: bytes) -> int:
        """Past the end, the gap is zeros."""
        return self.writefrom(offset, memoryview(data))

    def writefrom(self, offset: int, buffer: memoryview) -> int:
        """One copy. Raises: ENOSPC, EFBIG; nothing is written then."""
        size = len(buffer)
        if size:
            with self.budget.lock:
                data, end = self._writable(), offset + size
                if offset == len(data):
                    self._grow(data, end, buffer)
                else:
                    if end > len(data):
                        self._grow(data, end)
                    with memoryview(data) as view:
                        view[offset:end] = buffer
                self.changed()
        return size

    def appendfrom(self, buffer: memoryview) -> tuple[int, int]:
        """In one step, as O_APPEND promises."""
        with self.budget.lock:
            end = self.size()
            return end, self.writefrom(end, buffer)

    def truncate(self, size: int) -> None:
        """Raises: ENOSPC, EFBIG for zeros that would not fit."""
        with self.budget.lock:
            if not size:
                self._fit(0)
                self.data = b""
            else:
                data = self._writable()
                if size > len(data):
                    self._grow(data, size)
                else:
                    self._fit(size)
                    del data[size:]
            self.changed()

    def allocate(self, size: int) -> None:
        """In one step."""
        with self.budget.lock:
            super().allocate(size)

    def _writable(self) -> bytearray:
        data = self.content()
        if not isinstance(data, bytearray):
            try:
                self.data = data = bytearray(data)
            except MemoryError:
                raise failure(errno.ENOSPC, f"{len(data)} bytes") from None
        return data

    def _grow(self, data: bytearray, size: int, tail: memoryview | None = None) -> None:
        """`tail` or zeros at the end, once `size` is charged; ENOSPC too where this process has no room for them."""
        old = len(data)
        self._fit(size)
        try:
            data.extend(bytes(size - old) if tail is None else tail)
        except (MemoryError, OverflowError):
            self.budget.charge(old - size)
            raise failure(errno.ENOSPC, f"{size} bytes") from None

    def _fit(self, size: int) -> None:
        """Charge for the content to be of `size`."""
        budget = self.budget
        if budget.max_file_size is not None and size > budget.max_file_size and size > self.size():
            raise exceeded(errno.EFBIG, f"more than {budget.max_file_size} bytes in a file", "max_file_size")
        budget.charge(size - self.size())

    def _release(self) -> None:
        """Give the bytes back with the last name and open. They stay for another thread that is about to open it."""
        if self.links <= 0 and self.opens <= 0:
            self.budget.charge(-self.size())


class MemoryLink(MemoryNode, Link):
    """`content` never changes."""

    __slots__ = ("content",)

    def __init__(self, budget: Budget, content: str) -> None:
        super().__init__(budget)
        self.content = content
        budget.charge(self.size())

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
            self.budget.charge(-self.size())


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
            self.budget.charge_entry()
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
            target.children[new_name] = node  # before the other goes: no one finds neither
            del self.children[name]
            if replaced is not None:
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
        self.changed()

    def _drop(self, node: MemoryNode) -> None:
        """A name of it is gone from here."""
        self.budget.entries -= 1
        if isinstance(node, MemoryDirectory):
            node.parent = None
            node.links = 0
            self.links -= 1
        else:
            node.dropped()
