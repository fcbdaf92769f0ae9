"""`FaultyFS`: a file system that fails where a test wants it to.

Rule of this file: operations are those of `wasihost.vfs`, on trees of Python objects. `faults` has faults of any call.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from wasihost.vfs import Directory, File, Link, Node, Stat
from wasihost.vfs.mounting import VirtualSource, root_of

Operation: TypeAlias = Literal[
    "stat",
    "set_times",
    "open",
    "close",
    "read",
    "write",
    "truncate",
    "sync",
    "target",
    "lookup",
    "entries",
    "create_file",
    "create_directory",
    "create_link",
    "link",
    "remove",
    "remove_directory",
    "rename",
]
"""What can fail: the methods of `wasihost.vfs.File`, `Link` and `Directory` that a tree may override."""


class _Fault(NamedTuple):
    """Calls `first` to `end` (exclusive) of `operation` raise `code`."""

    operation: Operation
    code: int
    first: int
    end: float


class _Plan:
    """The planned faults of one tree, its count of calls, and its wrapped nodes, each wrapped once."""

    def __init__(self) -> None:
        self.calls: Counter[Operation] = Counter()
        self.faults: list[_Fault] = []
        self.most: dict[Operation, int] = {}
        self.wrapped: WeakValueDictionary[Node, Node] = WeakValueDictionary()

    def step(self, operation: Operation) -> None:
        """Count the call, and raise the planned fault, if any."""
        number = self.calls[operation]
        self.calls[operation] += 1
        for fault in self.faults:
            if fault.operation == operation and fault.first <= number < fault.end:
                raise OSError(fault.code, os.strerror(fault.code), operation)

    def wrap(self, node: Node) -> Node:
        """Return a node that fails as planned, in place of `node`."""
        made = self.wrapped.get(node)
        if made is None:
            if isinstance(node, Directory):
                made = _FaultyDirectory(self, node)
            elif isinstance(node, File):
                made = _FaultyFile(self, node)
            elif isinstance(node, Link):
                made = _FaultyLink(self, node)
            else:
                return node
            self.wrapped[node] = made
        return made


class _FaultyNode(Node):
    def __init__(self, plan: _Plan, node: Node) -> None:
        self._plan = plan
        self._node = node
        self.inode: int = node.inode

    def stat(self) -> Stat:
        self._plan.step("stat")
        return self._node.stat()

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        self._plan.step("set_times")
        self._node.set_times(atime_ns, mtime_ns)

    def now(self) -> int:
        return self._node.now()


class _FaultyFile(_FaultyNode, File):
    def __init__(self, plan: _Plan, file: File) -> None:
        super().__init__(plan, file)
        self._file = file

    def open(self, *, writing: bool) -> File:
        self._plan.step("open")
        return _FaultyFile(self._plan, self._file.open(writing=writing))

    def close(self) -> None:
        self._file.close()  # it is closed in any case, as POSIX has it
        self._plan.step("close")

    def read(self, offset: int, size: int) -> bytes:
        self._plan.step("read")
        return self._file.read(offset, min(size, self._plan.most.get("read", size)))

    def write(self, offset: int, data: bytes) -> int:
        self._plan.step("write")
        return self._file.write(offset, data[: self._plan.most.get("write")])

    def truncate(self, size: int) -> None:
        self._plan.step("truncate")
        self._file.truncate(size)

    def sync(self) -> None:
        self._plan.step("sync")
        self._file.sync()


class _FaultyLink(_FaultyNode, Link):
    def __init__(self, plan: _Plan, link: Link) -> None:
        super().__init__(plan, link)
        self._link = link

    def target(self) -> str:
        self._plan.step("target")
        return self._link.target()


class _FaultyDirectory(_FaultyNode, Directory):
    def __init__(self, plan: _Plan, directory: Directory) -> None:
        super().__init__(plan, directory)
        self._directory = directory

    def lookup(self, name: str) -> Node | None:
        self._plan.step("lookup")
        node = self._directory.lookup(name)
        return None if node is None else self._plan.wrap(node)

    def entries(self) -> Iterable[tuple[str, Node]]:
        self._plan.step("entries")
        return [(name, self._plan.wrap(node)) for name, node in self._directory.entries()]

    def above(self) -> Directory | None:
        above = self._directory.above()
        wrapped = None if above is None else self._plan.wrap(above)
        return wrapped if isinstance(wrapped, Directory) else None

    def create_file(self, name: str) -> File:
        self._plan.step("create_file")
        made = self._plan.wrap(self._directory.create_file(name))
        assert isinstance(made, File)
        return made

    def create_directory(self, name: str) -> None:
        self._plan.step("create_directory")
        self._directory.create_directory(name)

    def create_link(self, name: str, target: str) -> None:
        self._plan.step("create_link")
        self._directory.create_link(name, target)

    def link(self, name: str, node: Node) -> None:
        self._plan.step("link")
        self._directory.link(name, self._bare(node))

    def remove(self, name: str) -> None:
        self._plan.step("remove")
        self._directory.remove(name)

    def remove_directory(self, name: str) -> None:
        self._plan.step("remove_directory")
        self._directory.remove_directory(name)

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        self._plan.step("rename")
        bare = self._bare(target)
        self._directory.rename(name, bare if isinstance(bare, Directory) else target, new_name)

    def _bare(self, node: Node) -> Node:
        """Return the wrapped node, if it is of this tree. The tree below refuses nodes of another one."""
        return node._node if isinstance(node, _FaultyNode) and node._plan is self._plan else node


class FaultyFS(_FaultyDirectory):
    """A file system that fails where a test wants it to. All other calls go through to `source`.

        fs = FaultyFS(MemoryFS())
        fs.fail("write", errno.ENOSPC, after=3)          # the fourth write and all after it
        fs.fail("read", errno.EINTR, times=1)            # the next read
        fs.shorten("write", 10)                          # writes take 10 bytes at most

    `calls` counts the calls of each operation, failed or not.

    Args:
        source: Whatever `with_mount` takes.
    """

    def __init__(self, source: VirtualSource) -> None:
        root = root_of(source)
        super().__init__(_Plan(), root)
        self._plan.wrapped[root] = self

    @property
    def calls(self) -> Counter[Operation]:
        """How often each operation was called."""
        return self._plan.calls

    def fail(self, operation: Operation, code: int, *, after: int = 0, times: int | None = None) -> None:
        """Let `operation` raise an OSError.

        Args:
            operation: What fails.
            code: The errno.
            after: How many calls succeed first, from now on.
            times: How many calls fail; None for all.
        """
        first = self.calls[operation] + after
        self._plan.faults.append(_Fault(operation, code, first, math.inf if times is None else first + times))

    def shorten(self, operation: Literal["read", "write"], most: int) -> None:
        """Let each read or write of a file move at most `most` bytes."""
        self._plan.most[operation] = most

    def heal(self) -> None:
        """Let everything succeed again."""
        self._plan.faults.clear()
        self._plan.most.clear()
