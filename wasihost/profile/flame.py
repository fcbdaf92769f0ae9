"""The stacks of a profile as one tree, for its flame graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wasihost.outcomes import printable

if TYPE_CHECKING:
    from wasihost.profile.report import Part, Report

_NODES: Final = 4_000
"""Nodes of the tree: those with less time are left out."""
_LEAST: Final = 5_000
"""One part in so many of the whole time, at least, is a node's."""


class _Node:
    __slots__ = ("below", "weight")

    def __init__(self) -> None:
        self.weight = 0
        self.below: dict[Part, _Node] = {}


def tree(report: Report) -> dict[str, Any]:
    """Return the names, and of each node: its name, 1 for a function of the host, us, and its parent. The first node is
    the whole run; without samples there are no nodes. Parents come first, siblings by their time."""
    root = _Node()
    for stack, weight in zip(report.stacks, report.weights, strict=True):
        root.weight += weight
        at = root
        for part in stack:
            at = at.below.setdefault(part, _Node())
            at.weight += weight
    if not root.weight:
        return {"names": [], "nodes": []}
    least = root.weight // _LEAST
    while _count(root, least) > _NODES:
        least = 2 * least + 1
    names = {"all": 0}
    nodes: list[tuple[int, int, float, int]] = [(0, 0, root.weight / 1e3, 0)]
    todo = [(root, 0)]
    for node, number in todo:  # grows meanwhile
        for part, child in sorted(node.below.items(), key=lambda item: -item[1].weight):
            if child.weight >= least:
                name = names.setdefault(printable(report.label(part)), len(names))
                todo.append((child, len(nodes)))
                nodes.append((name, int(isinstance(part, str)), round(child.weight / 1e3, 1), number))
    return {"names": list(names), "nodes": nodes}


def _count(root: _Node, least: int) -> int:
    count, todo = 0, [root]
    while todo:
        below = [node for node in todo.pop().below.values() if node.weight >= least]
        count += len(below)
        todo += below
    return count
