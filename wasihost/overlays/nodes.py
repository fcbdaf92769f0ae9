"""What the merged files, directories and links of an overlay have in common; and the links.

Rules of this file, and of `files` and `directories`:

- A directory has an entry in `names` only for what differs from the directory below: a node, or None for an entry that
  is hidden (a whiteout). Everything else is looked up below, at each use.
- A directory without a directory below (`lower`) is opaque: one that a guest made. One that was moved keeps `lower`.
- There is one node for each file as long as it is in use, so all descriptors of a file see each change. A node that
  differs from the file below is kept by the directory in which it was found.
- Nodes keep the inode number of the file below, also when they are changed or moved.
- Each method is one step that holds the overlay's lock, and charges for what it makes before it makes it.
"""

from __future__ import annotations

import errno
import time
from typing import ClassVar

from wasihost.overlays.state import NEW_INODES, FileKey, OverlayState
from wasihost.sandbox.names import os_error
from wasihost.vfs.nodes import Directory, Link, Node, Stat
from wasihost.vfs.quota import name_size


class OverlayNode(Node):
    """What files, directories, links and all others have in common. As such it is a FIFO, a socket or a device below.

    `lower` is the node below, None for what a guest made, and `origin` the path at which it was found there. `home` is
    the directory that has it, and its name there; None for the root, and without a name. `times` are those of access,
    content and status, if they differ from those below; `delta` is the number of names added.
    """

    __slots__ = ("__weakref__", "delta", "device", "home", "key", "lower", "number", "origin", "state", "times")

    def __init__(self, state: OverlayState, lower: Node | None, origin: str | None) -> None:
        self.state: OverlayState = state
        self.lower: Node | None = lower
        self.origin: str | None = origin
        self.number: int = state.number()
        self.home: tuple[Keeper, str] | None = None
        self.key: FileKey | None = None
        self.delta: int = 0
        self.device: int = 0
        self.times: tuple[int, int, int] | None = None
        if lower is None:
            now = state.clock()
            self.times = now, now, now
            self.device = state.device
            self.inode: int = NEW_INODES + self.number
        else:
            self.inode = lower.inode

    def is_same(self, found: Node) -> bool:
        """Whether `found` is still the node below."""
        lower = self.lower
        return lower is found or (
            lower is not None
            and lower.inode == found.inode
            and type(lower) is type(found)
            and getattr(found, "device", 0) in (getattr(lower, "device", 0), 0)
        )

    def below(self) -> Stat:
        """Return the status of the node below; zeros if there is none."""
        return self.lower.stat() if self.lower is not None else Stat(links=0)

    def stat(self) -> Stat:
        found = self.below()
        if self.times is not None:
            atime, mtime, ctime = self.times
            found = found._replace(atime_ns=atime, mtime_ns=mtime, ctime_ns=ctime)
        return found._replace(links=found.links + self.delta, device=self.device or found.device)

    def links(self) -> int:
        """Return the number of its names; also if the file below is gone."""
        try:
            return self.below().links + self.delta
        except OSError:
            return 1 + self.delta

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        self.check_permission(errno.EPERM)
        with self.state.changing:
            atime, mtime, _ = self._times()
            self.keep()
            now = self.state.clock()
            self.times = atime if atime_ns is None else atime_ns, mtime if mtime_ns is None else mtime_ns, now
            self.note()

    def now(self) -> int:
        return self.state.clock()

    def check_permission(self, code: int) -> None:
        """Raise this errno if the process may not change the file below: `apply` would do it for the guest."""
        if self.lower is not None and not self.lower.may_write():
            raise os_error(code, self.origin or ".")

    def status_changed(self) -> None:
        """Set the time of the last change of status."""
        atime, mtime, _ = self._times()
        self.times = atime, mtime, self.state.clock()

    def gone(self) -> None:
        """Called when its last name was removed."""

    def keep(self) -> None:
        """Make the directory that has it keep it, and so on up to the root. Raises: ENOSPC."""
        node: OverlayNode = self
        if node.key is not None:
            self.state.linked[node.key] = node
        while node.home is not None:
            directory, name = node.home
            if directory.names.get(name) is node:
                return
            self.state.charge_entry(name)
            directory.enter(name, node)
            node = directory

    def note(self) -> None:
        """Have the journal keep what this node is now."""
        if self.state.recording:
            self.state.pending.append(self.record())

    def record(self) -> list[object]:
        """Return what the journal keeps of the node."""
        return ["node", self.number, self.KIND, self.origin, self.times, self.delta, self.detail()]

    KIND: ClassVar[str] = "other"

    def detail(self) -> object:
        """Return what only nodes of this kind have."""
        return None

    def _times(self) -> tuple[int, int, int]:
        if self.times is not None:
            return self.times
        found = self.below()
        return found.atime_ns, found.mtime_ns, found.ctime_ns


class OverlayLink(OverlayNode, Link):
    """A symbolic link. `content` is that of a link that a guest made; None for one below."""

    __slots__ = ("content",)
    KIND: ClassVar[str] = "link"

    def __init__(self, state: OverlayState, lower: Node | None, origin: str | None, content: str | None = None) -> None:
        super().__init__(state, lower, origin)
        self.content: str | None = content
        state.charge(self._held())

    def target(self) -> str:
        if self.content is not None:
            return self.content
        assert isinstance(self.lower, Link)
        return self.lower.target()

    def below(self) -> Stat:
        if self.content is not None:
            return Stat(len(self.content.encode("utf-8", "surrogateescape")), links=0)
        return super().below()

    def gone(self) -> None:
        self.state.charge(-self._held())

    def detail(self) -> object:
        return self.content

    def _held(self) -> int:
        if self.content is None:
            return 0
        return max(len(self.content.encode("utf-8", "surrogateescape")), name_size(self.content))


class Keeper(OverlayNode, Directory):
    """A directory as its entries see it: it keeps those that differ from below, in `names`, and in `since` the time by
    the system's clock, in ns, at which each of them began to hide what is below."""

    __slots__ = ("names", "since")

    def __init__(self, state: OverlayState, lower: Node | None, origin: str | None) -> None:
        super().__init__(state, lower, origin)
        self.names: dict[str, OverlayNode | None] = {}
        self.since: dict[str, int] = {}

    def enter(self, name: str, node: OverlayNode | None) -> None:
        """Set an entry that is already charged; None hides the one below."""
        self.names[name] = node
        since = self.since.setdefault(name, time.time_ns())
        state = self.state
        if state.recording:
            if node is not None:
                state.pending.append(node.record())
            state.pending.append(["name", self.number, name, node.number if node is not None else None, since])
