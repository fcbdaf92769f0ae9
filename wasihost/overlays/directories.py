"""The merged directories of an overlay. The rules are those of `nodes`."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from wasihost.overlays.files import OverlayFile
from wasihost.overlays.nodes import Keeper, OverlayLink, OverlayNode
from wasihost.overlays.state import FileKey, OverlayState
from wasihost.sandbox.names import os_error
from wasihost.vfs.names import PATH_MAX
from wasihost.vfs.nodes import Directory, File, Link, Node, Stat, check_rename

_UNSET: Final = object()


class OverlayDirectory(Keeper):
    """A merged directory. `removed`: it was removed while it was open, and nothing can be created in it."""

    __slots__ = ("removed",)
    KIND: ClassVar[str] = "directory"
    delta: int
    device: int
    times: tuple[int, int, int] | None

    def __init__(self, state: OverlayState, lower: Node | None, origin: str | None) -> None:
        super().__init__(state, lower, origin)
        self.removed: bool = False
        if lower is None:
            self.delta = 2

    # -- reading ---------------------------------------------------------------------------------------------------

    def lookup(self, name: str) -> OverlayNode | None:
        known = self.names.get(name, _UNSET)
        if known is not _UNSET:
            return known  # type: ignore[return-value]  # not _UNSET
        if self.lower is None:
            return None
        with self.state.lock:
            known = self.names.get(name, _UNSET)
            if known is not _UNSET:
                return known  # type: ignore[return-value]  # as above
            found = self.lower_entry(name)
            return self._as_below(name, found) if found is not None else None

    def entries(self) -> Iterable[tuple[str, OverlayNode]]:
        """The entries below that are not hidden, then those of the overlay alone."""
        names = self.names.copy()
        for name, found in self._lower_entries():
            if name not in names:
                if self.state.linked and isinstance(found, File):
                    node = self.lookup(name)
                else:
                    with self.state.lock:
                        node = self._as_below(name, found)
                if node is not None:
                    yield name, node
        for name, node in names.items():
            if node is not None:
                yield name, node

    def listing_entries(self) -> Iterable[tuple[str, Node]]:
        """The same with the nodes below where they are not hidden: they have the same kinds and inode numbers."""
        names = self.names.copy()
        for name, found in self._lower_entries():
            if name not in names:
                yield name, found
        for name, node in names.items():
            if node is not None:
                yield name, node

    def above(self) -> Directory | None:
        return self.home[0] if self.home is not None else None

    def lower_entry(self, name: str) -> Node | None:
        """Return the entry below, hidden or not."""
        return self.lower.lookup(name) if isinstance(self.lower, Directory) else None

    def _lower_entries(self) -> Iterator[tuple[str, Node]]:
        if isinstance(self.lower, Directory):
            yield from self.lower.entries()

    def _as_below(self, name: str, found: Node) -> OverlayNode:
        """Return the node for an entry that is as below."""
        state, where = self.state, (self.number, name)
        key = key_of(found)
        if key is not None:
            node = state.linked.get(key) or state.known(key)
            if isinstance(node, OverlayNode):
                if node.home is None:
                    node.home = self, name
                return node
        else:
            node = state.known(where)
            if isinstance(node, OverlayNode) and node.is_same(found) and node.home == (self, name):
                return node
        origin = name if not self.origin else f"{self.origin}/{name}"
        made: OverlayNode
        if isinstance(found, Directory):
            made = OverlayDirectory(state, found, origin)
        elif isinstance(found, File):
            made = OverlayFile(state, found, origin)
        elif isinstance(found, Link):
            made = OverlayLink(state, found, origin)
        else:
            made = OverlayNode(state, found, origin)
        made.home = self, name
        made.key = key
        state.add(where if key is None else key, made)
        if isinstance(made, OverlayDirectory):
            state.recent.append(made)
        return made

    # -- changing --------------------------------------------------------------------------------------------------

    def create_file(self, name: str) -> File:
        with self.state.changing:
            self._check_free(name)
            made = OverlayFile(self.state, None, None)
            self._add(name, made)
            return made

    def create_directory(self, name: str) -> None:
        with self.state.changing:
            self._check_free(name)
            self._add(name, OverlayDirectory(self.state, None, None))

    def create_link(self, name: str, target: str) -> None:
        """symlinkat(2). Raises: ENAMETOOLONG for a target that is longer than a path can be, ENOSPC."""
        if len(target.encode("utf-8", "surrogateescape")) >= PATH_MAX:
            raise os_error(errno.ENAMETOOLONG, target)
        with self.state.changing:
            self._check_free(name)
            self._add(name, OverlayLink(self.state, None, None, target))

    def link(self, name: str, node: Node) -> None:
        """linkat(2). Raises: ENOENT for a file whose last name is gone, EXDEV for a node of another tree, ENOSPC."""
        if not isinstance(node, OverlayNode) or node.state is not self.state:
            raise os_error(errno.EXDEV, name)
        with self.state.changing:
            if node.links() <= 0:
                raise os_error(errno.ENOENT, name)
            self._check_free(name)
            node.keep()
            self._add(name, node)
            node.status_changed()
            node.note()

    def remove(self, name: str) -> None:
        """unlinkat(2); an open file stays usable until it is closed."""
        with self.state.changing:
            node = self._existing(name)
            if isinstance(node, OverlayDirectory):
                raise os_error(errno.EISDIR, name)
            self.check_permission(errno.EACCES)
            self._changed()
            self._take_out(name)
            self._drop(node, name)

    def remove_directory(self, name: str) -> None:
        """unlinkat(2) with AT_REMOVEDIR; the directory stays, empty, where it is open."""
        with self.state.changing:
            node = self._existing(name)
            if not isinstance(node, OverlayDirectory):
                raise os_error(errno.ENOTDIR, name)
            if not node.is_empty():
                raise os_error(errno.ENOTEMPTY, name)
            self.check_permission(errno.EACCES)
            self._changed()
            self._take_out(name)
            self._drop(node, name)

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        """renameat(2) in one step: either what was at `new_name` is replaced, or nothing is changed."""
        if not isinstance(target, OverlayDirectory) or target.state is not self.state:
            raise os_error(errno.EXDEV, new_name)
        with self.state.changing:
            node, replaced = self._existing(name), target.lookup(new_name)
            target._check_alive(new_name)
            if node is replaced:
                return
            check_rename(node, replaced, target, new_name)
            if isinstance(replaced, OverlayDirectory) and not replaced.is_empty():
                raise os_error(errno.ENOTEMPTY, new_name)
            self.check_permission(errno.EACCES)
            target.check_permission(errno.EACCES)
            self._changed()
            target._changed()
            if target.names.get(new_name) is None:
                self.state.charge_entry(new_name)
            if node.key is not None:
                self.state.linked[node.key] = node
            target.enter(new_name, node)
            self._take_out(name)
            if replaced is not None:
                target._drop(replaced, new_name)
            if node.home == (self, name):
                node.home = target, new_name
            if isinstance(node, OverlayDirectory):
                self.delta -= 1
                target.delta += 1
            node.status_changed()
            for changed in (node, self, target):
                changed.note()

    def forget(self) -> None:
        """Show the directory below as it is; one that a guest made is removed."""
        self.names.clear()
        self.since.clear()
        if self.lower is None:
            self.removed = True
        else:
            self.times, self.delta = None, 0

    def is_empty(self) -> bool:
        """Whether it has no entries."""
        names = self.names
        if any(node is not None for node in names.values()):
            return False
        return all(name in names for name, _ in self._lower_entries())

    def stat(self) -> Stat:
        found = super().stat()
        return found._replace(links=0) if self.removed else found

    def _add(self, name: str, node: OverlayNode) -> None:
        """Add a name that is free."""
        try:
            self.check_permission(errno.EACCES)
            self.keep()
            self.state.charge_entry(name)
        except OSError:
            if node.lower is None and node.home is None:
                node.gone()
            raise
        self._changed()
        node.delta += not isinstance(node, OverlayDirectory)
        if node.home is None:
            node.home = self, name
        self.enter(name, node)
        self.delta += isinstance(node, OverlayDirectory)
        self.note()

    def _take_out(self, name: str) -> None:
        """Remove an entry, and hide the one below if there is one."""
        if self.names.get(name) is not None:
            self.state.release_entry(name)
        if self.lower_entry(name) is not None:
            self.enter(name, None)
            return
        self.since.pop(name, None)
        if self.names.pop(name, None) is not None and self.state.recording:
            self.state.pending.append(["name", self.number, name, -1])

    def _drop(self, node: OverlayNode, name: str) -> None:
        """Note at a node that its name was taken out of this directory."""
        if node.home == (self, name):
            node.home = None
        if isinstance(node, OverlayDirectory):
            node.removed = True
            self.delta -= 1
            self.note()
            return
        node.delta -= 1
        if node.links() <= 0:
            if node.key is not None:
                self.state.linked.pop(node.key, None)
            node.gone()
        else:
            if node.key is not None:
                self.state.linked[node.key] = node
            node.status_changed()
        node.note()

    def _changed(self) -> None:
        """Set the times of a change of the entries. Raises: ENOSPC."""
        self.keep()
        now = self.state.clock()
        self.times = self._times()[0], now, now
        self.note()

    def _existing(self, name: str) -> OverlayNode:
        node = self.lookup(name)
        if node is None:
            raise os_error(errno.ENOENT, name)
        return node

    def _check_alive(self, name: str) -> None:
        if self.removed:
            raise os_error(errno.ENOENT, name)

    def _check_free(self, name: str) -> None:
        self._check_alive(name)
        if self.lookup(name) is not None:
            raise os_error(errno.EEXIST, name)


def key_of(found: Node) -> FileKey | None:
    """Return by what a file below with several names is known; None for any other, and for one that was only listed."""
    if isinstance(found, Directory):
        return None
    links = getattr(found, "links", None)
    if isinstance(links, int) and links < 2:  # as it was when it was looked up
        return None
    status = found.stat()
    return (status.device, found.inode, status.size, status.mtime_ns) if status.links > 1 else None
