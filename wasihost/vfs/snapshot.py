"""The tree of a `MemoryFS` as a flat value, for `pickle` and `copy`, which could not recurse into a deep tree.

Hard links are preserved. Open files without a name are not included.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from wasihost.vfs.memory_file import MemoryFile, MemoryNode
from wasihost.vfs.memory_nodes import MemoryDirectory, MemoryLink
from wasihost.vfs.quota import Lazy
from wasihost.vfs.sparse import Sparse

Content: TypeAlias = "bytes | Lazy | Sparse | str | None"
"""The content of a file, or the target of a link; None for a directory."""


class Snapshot(NamedTuple):
    """`nodes`: content and times (access, change of content, change of status) of each node; the root is first.

    `names`: of each name, the number of its directory, the name, and the number of its node.
    """

    nodes: list[tuple[Content, tuple[int, int, int]]]
    names: list[tuple[int, str, int]]


def capture(root: MemoryDirectory) -> Snapshot:
    """Return the present tree; called with its lock held."""
    numbers, names = numbered(root)
    return Snapshot([(content_of(node), (node.atime, node.mtime, node.ctime)) for node in numbers], names)


def numbered(root: MemoryDirectory) -> tuple[dict[MemoryNode, int], list[tuple[int, str, int]]]:
    """Return a number for every node, the root first, and every name; called with the tree's lock held."""
    numbers: dict[MemoryNode, int] = {root: 0}
    names: list[tuple[int, str, int]] = []
    directories = [root]
    for directory in directories:  # the list grows during the loop
        for name, node in directory.children.items():
            if node not in numbers:
                numbers[node] = len(numbers)
                if isinstance(node, MemoryDirectory):
                    directories.append(node)
            names.append((numbers[directory], name, numbers[node]))
    return numbers, names


def restore(root: MemoryDirectory, snapshot: Snapshot) -> None:
    """Make the tree of the snapshot in an empty `root`."""
    nodes: list[MemoryNode] = [root, *(_node(root, content) for content, _ in snapshot.nodes[1:])]
    for parent, name, number in snapshot.names:
        directory, node = nodes[parent], nodes[number]
        assert isinstance(directory, MemoryDirectory)
        directory.add(name, node)
    for node, (_, times) in zip(nodes, snapshot.nodes, strict=True):
        node.atime, node.mtime, node.ctime = times


def content_of(node: MemoryNode) -> Content:
    """Return the present content of a node."""
    if isinstance(node, MemoryFile):
        return node.frozen()
    return node.content if isinstance(node, MemoryLink) else None


def _node(root: MemoryDirectory, content: Content) -> MemoryNode:
    if content is None:
        return MemoryDirectory(root.quota)
    return MemoryLink(root.quota, content) if isinstance(content, str) else MemoryFile(root.quota, content)
