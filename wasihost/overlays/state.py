"""What all nodes of one overlay share: its limits, lock and clock, its store, and the nodes that are in use.

Rules of this file: it knows nodes only as objects with a number.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, TypeAlias

from wasihost.common.unpatched import threading
from wasihost.vfs.interruption import wait_for
from wasihost.vfs.nodes import File, Node
from wasihost.vfs.quota import Quota

NEW_INODES: Final = 1 << 62
"""Inode numbers of what guests make begin here, which file systems of the host do not reach."""

RECENT: Final = 64
"""Directories that are kept in use, as many as `vfs.host_tree` has open."""

FileKey: TypeAlias = tuple[int, int, int, int]
"""Device, inode number, size and modification time of a file below that has several names."""


class Content(File):
    """What a changed file contains."""

    __slots__ = ()

    def dropped(self) -> None:
        """Called with the file's last name: release the content, once it is closed."""
        raise NotImplementedError

    def status_changed(self) -> None:
        """Set the time of the last change of status."""
        raise NotImplementedError


class Store(Protocol):
    """Where the content of changed files is kept. `slow`: copying a file may take long."""

    slow: bool

    def create(self, number: int) -> Content:
        """Return the content of an empty file, whose node has this number."""

    def copy(self, number: int, lower: File, size: int) -> Content:
        """Return a copy of a file of the tree below, as if of that size. Raises: ENOSPC, EFBIG."""

    def note(self, records: list[list[object]]) -> None:
        """Keep records of changed names and nodes, if they are to outlive this process."""

    def host_folders(self) -> tuple[int, ...]:
        """Return descriptors of the host's folders in which it keeps something."""

    def sync(self) -> None:
        """fsync(2) of the records."""

    def clear(self) -> None:
        """Forget everything."""

    def close(self) -> None:
        """Release what the system holds for it."""


class OverlayState(Quota):
    """The limits of an overlay, and what its nodes share.

    `seen`: the nodes in use that are as below, by the number of their directory and their name, or by their key.
    `recent`: the directories found last, which are kept in use, since paths lead through the same ones again.
    `linked`: the changed files that have several names below. `copying` is held while a slow store copies a file.
    `opens` counts open files, `bases` those that are kept open below for their pages. `recording`: the store keeps
    records, which are collected in `pending`.
    """

    __slots__ = (
        "bases",
        "changing",
        "copying",
        "depth",
        "linked",
        "next_number",
        "opens",
        "pending",
        "prune_at",
        "recent",
        "recording",
        "seen",
        "store",
    )

    def __init__(
        self,
        max_bytes: int | None,
        max_entries: int | None,
        max_file_size: int | None,
        clock: Callable[[], int],
        device: int,
    ) -> None:
        self.store: Store
        self.recording: bool = False
        self.next_number: int = 0
        self.opens: int = 0
        self.bases: int = 0
        self.forget()
        super().__init__(max_bytes, max_entries, max_file_size, clock, device)

    def forget(self) -> None:
        """Start anew, with nothing changed."""
        self.seen: dict[tuple[int, str] | FileKey, weakref.ref[Node]] = {}
        self.linked: dict[FileKey, Node] = {}
        self.recent: deque[Node] = deque(maxlen=RECENT)
        self.prune_at: int = 1024
        self.pending: list[list[object]] = []
        self.depth: int = 0
        self.bytes = self.entries = 0

    def renew_locks(self) -> None:
        super().renew_locks()
        self.depth = 0
        self.changing: Changing = Changing(self)
        self.copying: threading.Lock = threading.Lock()

    def number(self) -> int:
        """Return a number that no other node of this overlay has."""
        self.next_number += 1
        return self.next_number

    def known(self, key: tuple[int, str] | FileKey) -> Node | None:
        """Return the node in use for an entry as below, or for a file with several names; with the lock held."""
        found = self.seen.get(key)
        return found() if found is not None else None

    def add(self, key: tuple[int, str] | FileKey, node: Node) -> None:
        """Note that a node is in use; with the lock held."""
        self.seen[key] = weakref.ref(node)
        if len(self.seen) > self.prune_at:
            self.seen = {key: found for key, found in self.seen.items() if found() is not None}
            self.prune_at = max(1024, 2 * len(self.seen))

    def copy_begins(self) -> None:
        """Wait until no other thread copies a file, and keep others from it until `copying` is released."""
        while not self.copying.acquire(blocking=False):
            wait_for(self.copying)


class Changing:
    """Context manager: one change of the tree, which other threads and a resumed overlay see as a whole."""

    __slots__ = ("_state",)

    def __init__(self, state: OverlayState) -> None:
        self._state = weakref.proxy(state)

    def __enter__(self) -> None:
        self._state.lock.acquire()
        self._state.depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        state = self._state
        state.depth -= 1
        try:
            if not state.depth and state.pending:
                state.store.note(state.pending)
                state.pending = []
        finally:
            state.lock.release()
