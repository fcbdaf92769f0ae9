"""`Overlay`: copy on write over a folder of the host or any tree."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Final, Self

from wasihost.common.sizes import checked_size
from wasihost.errors import ConfigError, OverlayError
from wasihost.overlays.applying import Plan, Target
from wasihost.overlays.changes import Difference, OverlayChanges, differences
from wasihost.overlays.contents import MemoryStore
from wasihost.overlays.diffs import as_text
from wasihost.overlays.directories import OverlayDirectory
from wasihost.overlays.folder import FolderStore
from wasihost.overlays.folder_target import FolderTarget
from wasihost.overlays.journal import resume
from wasihost.overlays.nodes import OverlayNode
from wasihost.overlays.state import OverlayState
from wasihost.overlays.tree_target import TreeTarget
from wasihost.sandbox.names import os_error
from wasihost.vfs.host_tree import HostTree
from wasihost.vfs.mounting import VirtualSource, can_change, is_source, root_of
from wasihost.vfs.nodes import Directory, File, FileSystem
from wasihost.vfs.resolve import node_at

DEFAULT_MAX_BYTES: Final = 1 << 30
DEFAULT_MAX_ENTRIES: Final = 250_000
"""Default limits of what is kept in memory: bytes of content, and names."""


class Overlay(FileSystem):
    """A folder or a tree that guests can change without changing it: what they change is kept apart.

    Mount it as any other file system. Afterwards look at what is different (`changes`, `diff`), and make the same
    changes below (`apply`) or forget them (`drop`). Several guests, also in several threads, may share one. As a
    context manager it is closed at the end.

    A guest that exceeds a limit gets ENOSPC, for `max_file_size` EFBIG; a write takes the part that fits. Sizes can be
    text such as "64MiB"; None is no limit. The limits count what is kept apart, and never what was there before.

    Args:
        lower: A folder of the host, or anything else that can be mounted. It is only read, until `apply`.
        upper: The folder in which what guests change is kept: an empty one, one that does not exist, or that of an
            earlier overlay over the same `lower`, whose changes are there again. None keeps it in memory.
        max_bytes: Bytes of all changed and new files; of a large file that was there, only of the pages that were
            written. Default: 1 GiB.
        max_entries: Names of files, directories and links that are new or changed. Default: 250,000.
        max_file_size: Bytes up to which a file can grow. Default: no limit.
        clock: Returns nanoseconds since 1970, for the times of changed files. Default: `time.time_ns`.
        kernel_files: For a folder, as for `FSConfig.with_dir_mount`.
        one_file_system: For a folder, as for `FSConfig.with_dir_mount`.

    Raises:
        ConfigError: `lower` cannot be mounted, or is a folder that cannot be opened; `upper` cannot be used, is in use,
            is damaged, or lies in `lower`; a limit is not a size or number of 0 or more.
    """

    __slots__ = ("_closed", "_source", "_state", "_tree", "lower", "root")

    def __init__(
        self,
        lower: str | os.PathLike[str] | VirtualSource,
        upper: str | os.PathLike[str] | None = None,
        *,
        max_bytes: int | str | None = DEFAULT_MAX_BYTES,
        max_entries: int | None = DEFAULT_MAX_ENTRIES,
        max_file_size: int | str | None = None,
        clock: Callable[[], int] = time.time_ns,
        kernel_files: bool = False,
        one_file_system: bool = False,
    ) -> None:
        limits = (
            checked_size("max_bytes", max_bytes),
            checked_size("max_entries", max_entries),
            checked_size("max_file_size", max_file_size),
        )
        self._source: str | os.PathLike[str] | VirtualSource = lower
        self._tree: HostTree | None = None
        self._closed: bool = False
        self.lower: Directory = self._opened(lower, kernel_files, one_file_system)
        self._state: OverlayState = OverlayState(*limits, clock, self.lower.stat().device)
        store = None if upper is None else FolderStore(self._state, self._apart(upper))
        self._state.store = store or MemoryStore(self._state)
        self.root: OverlayDirectory = OverlayDirectory(self._state, self.lower, "")
        if store is not None:
            try:
                resume(store, self.root)
            except BaseException:
                store.close()
                raise

    def _opened(self, lower: object, kernel_files: bool, one_file_system: bool) -> Directory:
        if is_source(lower) and not isinstance(lower, os.PathLike):
            return root_of(lower)  # type: ignore[arg-type]  # `is_source` has looked at it
        if not isinstance(lower, (str, os.PathLike)):
            raise ConfigError(
                f"an Overlay cannot be over {type(lower).__name__}: give a folder, a MemoryFS or anything else that "
                "can be mounted"
            )
        try:
            self._tree = HostTree(lower, kernel_files=kernel_files, one_file_system=one_file_system)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"an Overlay cannot be over {os.fspath(lower)!r}: {reason}") from error
        return self._tree.root

    def _apart(self, upper: str | os.PathLike[str]) -> str:
        """Return the path of the folder for changes, which does not lie in the one below, nor that in it."""
        try:
            path = os.path.realpath(upper)
        except (TypeError, ValueError):
            raise ConfigError(f"changes are kept in a folder, not in {upper!r:.80}: give its path") from None
        if self._tree is not None:
            lower = os.path.realpath(self._tree.path)
            if os.path.commonpath((path, lower)) in (path, lower):
                raise ConfigError(f"changes cannot be kept in {path!r}: it and {lower!r} lie in each other")
        return path

    def host_folders(self) -> tuple[int, ...]:
        return (*(() if self._tree is None else (self._tree.fd,)), *self._state.store.host_folders())

    # -- what was changed ------------------------------------------------------------------------------------------

    def changes(self) -> OverlayChanges:
        """Return what is different from the tree below, sorted by path."""
        with self._state.lock:
            self._check_open()
            return _public(differences(self.root))

    def diff(self) -> str:
        """Return the differences as text, as `git diff` shows them.

        `git apply` and `patch -p1` read it. Of a file that is larger than 1 MiB or not UTF-8 text it says only that it
        differs; differences of times are left out.
        """
        with self._state.lock:
            self._check_open()
            return as_text(differences(self.root))

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file as guests see it. Links are followed.

        Raises:
            OSError: There is no such file (FileNotFoundError), it is a directory (IsADirectoryError), ...
        """
        self._check_open()
        node = node_at(self.root, path.removeprefix("/") or ".", follow=True)
        if not isinstance(node, File):
            raise os_error(errno.EISDIR, path)
        opened = node.open(writing=False)
        try:
            return opened.read(0, opened.stat().size)
        finally:
            opened.close()

    # -- what becomes of it ----------------------------------------------------------------------------------------

    def apply(
        self, to: str | os.PathLike[str] | FileSystem | Directory | None = None, *, overwrite: bool = False
    ) -> OverlayChanges:
        """Make the changes in the tree below, or to another folder or tree; returns them.

        Every file changes in one step: at any moment, also after a crash, its path has the old file or the new one. All
        new content is written to the disk before the first file changes; if that fails, nothing was changed.

        Args:
            to: The folder, or the writable tree, that is changed, such as a copy of the one below. None is the one
                below itself; the overlay is as empty as a new one then.
            overwrite: Also replace files that another process has changed below since a guest first changed them.

        Raises:
            OverlayError: Guests have files open, the tree below cannot be changed, or files in it were changed
                meanwhile; nothing was changed.
            OSError: The system refused a step, as in a full disk.
        """
        with self._state.lock:
            self._check_open()
            if to is None:
                self._check_unused("apply")
            found = differences(self.root)
            plan = Plan(found)
            if to is None and not overwrite and (paths := plan.conflicts(self.root)):
                more = f" and {len(paths) - 3} more" * (len(paths) > 3)
                raise OverlayError(
                    f"changed meanwhile by another process: {', '.join(paths[:3])}{more}; overwrite=True replaces them"
                )
            target = self._target(to)
            try:
                plan.carry_out(target)
            finally:
                target.close()
            made = _public(found)
            if to is None:
                self._forget()
            return made

    def drop(self) -> None:
        """Forget all changes: the tree below is shown as it is.

        Raises:
            OverlayError: Guests have files open.
        """
        with self._state.lock:
            self._check_open()
            self._check_unused("drop")
            self._forget()

    def close(self) -> None:
        """Close the folders. Changes in memory are lost, those in an `upper` are kept. Can be called twice."""
        self._closed = True
        self._state.store.close()
        if self._tree is not None:
            self._tree.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        lower = os.fspath(self._source) if isinstance(self._source, os.PathLike) else self._source
        return f"<Overlay over {lower!r}: {self._state.entries} names, {self._state.bytes} bytes>"

    def _target(self, to: str | os.PathLike[str] | FileSystem | Directory | None) -> Target:
        source = self._source if to is None else to
        if isinstance(source, (FileSystem, Directory)) and can_change(source):
            return TreeTarget(root_of(source))
        if to is not None and not isinstance(to, (str, os.PathLike)):
            raise OverlayError(f"changes cannot be applied to {to!r:.80}: give a folder or a MemoryFS")
        if to is not None:
            return FolderTarget(os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), own=False)
        if self._tree is None:
            raise OverlayError(f"{source!r:.80} cannot be changed: give apply(to=...) a folder or a MemoryFS")
        return FolderTarget(os.dup(self._tree.fd), own=True)

    def _check_open(self) -> None:
        if self._closed:
            raise OverlayError("the overlay is closed: look at its changes, and apply them, before it is closed")

    def _check_unused(self, what: str) -> None:
        if count := self._state.opens:
            raise OverlayError(f"cannot {what} the changes: guests have {count} files open; wait until they have ended")

    def _forget(self) -> None:
        directories, others = [self.root], set(self._state.linked.values())
        for directory in directories:
            for node in directory.names.values():
                if isinstance(node, OverlayDirectory):
                    directories.append(node)
                elif node is not None:
                    others.add(node)
        for directory in directories:
            directory.forget()
        for other in others:
            if isinstance(other, OverlayNode):
                other.gone()
        self._state.forget()
        self._state.store.clear()
        if self._tree is not None:
            self._tree.forget_handles()


def _public(found: list[Difference]) -> OverlayChanges:
    return OverlayChanges(one.public() for one in found)
