"""The changes of an overlay, made to a folder or a tree.

Rules of this file:

- Everything that is new is written aside first (`Target.stage`). If that fails, nothing was changed.
- Then directories are made and files moved into place, each in one step, from the top down: at any moment a path has
  its old file or its new one. What is gone is removed last, from the bottom up.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Protocol

from wasihost.overlays.changes import Difference, joined, walk
from wasihost.overlays.directories import OverlayDirectory
from wasihost.overlays.files import OverlayFile
from wasihost.overlays.nodes import OverlayNode
from wasihost.vfs.host_tree import HostTreeNode
from wasihost.vfs.nodes import Directory, Node, Stat
from wasihost.vfs.resolve import node_at


class Target(Protocol):
    """What changes are made to. Paths have no link on the way: it is not followed, but ENOTDIR."""

    def stage(self, node: Node) -> str:
        """Write a file or a link aside, and return its name there. Raises: ENOTSUP for anything else."""

    def stage_link(self, staged: str) -> str:
        """Make a second name for what was written aside."""

    def place(self, staged: str, path: str) -> None:
        """Move what was written aside to a path, replacing a file or a link that is there."""

    def make_directory(self, path: str, *, replacing: bool) -> None:
        """Make a directory, unless there is one. With `replacing`, a file or a link that is there is removed.

        Raises: ENOTDIR for anything else that is there.
        """

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty directory; does nothing if there is nothing, or more in a directory."""

    def set_times(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        """Set the times of a file or a link."""

    def finish(self) -> None:
        """Write everything to the disk."""

    def close(self) -> None:
        """Remove what is still aside."""


class Plan:
    """What is to be done for a list of differences."""

    def __init__(self, found: Sequence[Difference]) -> None:
        self._found = found
        self.put: dict[str, Node] = {}
        self.gone: dict[str, Node] = {}
        self.touched: dict[str, Node] = {}
        replaced: set[str] = set()
        for one in found:
            if one.kind == "touched" and one.node is not None:
                self.touched[one.path] = one.node
                continue
            if one.node is not None:
                self.put[one.path] = one.node
            if one.kind == "changed" and isinstance(one.below, Directory) and not isinstance(one.node, Directory):
                replaced.add(one.path)
            if one.kind == "removed" and one.below is not None:
                self.gone[one.path] = one.below
            if one.kind == "renamed" and one.node is not None and one.below is not None and one.old_path is not None:
                self._add(self.put, one.path, one.node)
                self._add(self.gone, one.old_path, one.below)

        for path, gone in self.gone.items():
            if isinstance(gone, Directory) and not isinstance(self.put.get(path, gone), Directory):
                replaced.add(path)
        self.replaced: set[str] = replaced
        """Paths of directories that something else replaces."""

    def _add(self, plan: dict[str, Node], path: str, node: Node) -> None:
        plan[path] = node
        if isinstance(node, Directory):
            plan.update((joined(path, below), inner) for below, inner in walk(node))

    def conflicts(self, root: OverlayDirectory) -> list[str]:
        """Return the paths of what another process changed or made below since a guest first changed or hid it.

        What a guest removed or replaced is known by its time only, so this looks at folders of the host alone.
        """
        assert isinstance(root.lower, Directory)
        found = []
        for node in self.put.values():
            if isinstance(node, OverlayFile) and node.was is not None and node.origin is not None:
                status = _status(root.lower, node.origin)
                if status is None or (status.size, status.mtime_ns) != node.was:
                    found.append(node.origin)
        for one in self._found:
            path = one.old_path or one.path
            if not isinstance(one.below, HostTreeNode) or isinstance(one.below, Directory):
                continue
            if one.kind == "touched" or (one.kind == "changed" and one.node and one.node.lower is one.below):
                continue
            low = _path_below(one.below)
            status = _status(root.lower, low)
            since = _since(root, path)
            if status is not None:  # an `apply` that failed may have changed the status of what is moved, by a link
                last = status.mtime_ns if one.kind == "renamed" else max(status.ctime_ns, status.mtime_ns)
            if status is None or (since is not None and last > since):
                found.append(low)
        return sorted(set(found))

    def carry_out(self, target: Target) -> None:
        """Make the changes. Raises: OSError; before the first step of `place` nothing was changed."""
        touched = {path: node.stat() for path, node in self.touched.items()}  # before files below are moved
        staged: dict[str, str] = {}
        first: dict[Node, str] = {}
        for path in sorted(self.put):
            node = self.put[path]
            if isinstance(node, Directory):
                continue
            if node in first:
                staged[path] = target.stage_link(first[node])
            else:
                staged[path] = first[node] = target.stage(node)
        for path in sorted(self.put):
            for parent in _parents(path):
                if parent not in self.put:
                    target.make_directory(parent, replacing=False)
            if path not in staged:
                target.make_directory(path, replacing=True)
                continue
            if path in self.replaced:
                self._clear(target, path)
            target.place(staged[path], path)
        for path in sorted(self.gone.keys() - self.put.keys(), reverse=True):
            target.remove(path)
        for path, status in touched.items():
            target.set_times(path, status.atime_ns, status.mtime_ns)
        target.finish()

    def _clear(self, target: Target, path: str) -> None:
        """Remove a directory that a file replaces, with what was in it."""
        for below in sorted(self.gone, reverse=True):
            if below.startswith(f"{path}/"):
                target.remove(below)
        target.remove(path)


def _status(lower: Directory, path: str) -> Stat | None:
    """Return the status of what is below at a path; None if it is gone."""
    try:
        return node_at(lower, path, follow=False).stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
            raise
        return None


def _path_below(node: HostTreeNode) -> str:
    """Return the path of a node in the folder below. In the overlay it is another one, if its directory was moved."""
    names: list[str] = []
    here: HostTreeNode | None = node
    while here is not None and here.parent is not None:
        names.append(here.name)
        here = here.parent
    return "/".join(reversed(names))


def _since(root: OverlayDirectory, path: str) -> int | None:
    """Return when a guest first changed or hid what is below at a path, or a directory that it is in."""
    found, here = None, root
    for name in path.split("/"):
        found = here.since.get(name, found)
        node = here.lookup(name)
        if not isinstance(node, OverlayDirectory):
            break
        here = node
    return found


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def unsupported_kind(node: Node) -> OSError:
    """Return the error for something that is neither a file, nor a directory, nor a link."""
    path = node.origin if isinstance(node, OverlayNode) else ""
    return OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), path)
