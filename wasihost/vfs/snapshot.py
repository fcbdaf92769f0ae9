"""The tree of a `MemoryFS` as a flat value, for `pickle` and `copy`: nested, a deep one is more than they can recurse.

Hard links stay what they are. What is open but has no name left is not in it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from wasihost.vfs.memory_file import MemoryFile, MemoryNode
from wasihost.vfs.memory_nodes import MemoryDirectory, MemoryLink
from wasihost.vfs.quota import Lazy
from wasihost.vfs.sparse import Sparse

Content: TypeAlias = "bytes | Lazy | Sparse | str | None"
"""Of a file; of a link, its target; None is a directory."""


class Snapshot(NamedTuple):
    """Of each node, the root first, what is in it and its times; of each name, where it is and the node it leads to."""

    nodes: list[tuple[Content, tuple[int, int, int]]]
    names: list[tuple[int, str, int]]


def capture(root: MemoryDirectory) -> Snapshot:
    """What the tree is now; called under its lock."""
    numbers, names = numbered(root)
    return Snapshot([(content_of(node), (node.atime, node.mtime, node.ctime)) for node in numbers], names)


def numbered(root: MemoryDirectory) -> tuple[dict[MemoryNode, int], list[tuple[int, str, int]]]:
    """Every node with its number, the root first, and every name; called under the tree's lock."""
    numbers: dict[MemoryNode, int] = {root: 0}
    names: list[tuple[int, str, int]] = []
    directories = [root]
    for directory in directories:  # grows while it is gone through
        for name, node in directory.children.items():
            if node not in numbers:
                numbers[node] = len(numbers)
                if isinstance(node, MemoryDirectory):
                    directories.append(node)
            names.append((numbers[directory], name, numbers[node]))
    return numbers, names


def restore(root: MemoryDirectory, snapshot: Snapshot) -> None:
    """Make the tree anew in an empty `root`."""
    nodes: list[MemoryNode] = [root, *(_node(root, content) for content, _ in snapshot.nodes[1:])]
    for parent, name, number in snapshot.names:
        directory, node = nodes[parent], nodes[number]
        assert isinstance(directory, MemoryDirectory)
        directory.add(name, node)
    for node, (_, times) in zip(nodes, snapshot.nodes, strict=True):
        node.atime, node.mtime, node.ctime = times


def content_of(node: MemoryNode) -> Content:
    """What is in it, as it is now."""
    if isinstance(node, MemoryFile):
        return node.frozen()
    return node.content if isinstance(node, MemoryLink) else None


def _node(root: MemoryDirectory, content: Content) -> MemoryNode:
    if content is None:
        return MemoryDirectory(root.quota)
    return MemoryLink(root.quota, content) if isinstance(content, str) else MemoryFile(root.quota, content)
