"""`MemoryFS`: a complete file system in memory for guests, and a dict of its files for Python."""

from __future__ import annotations

import contextlib
import errno
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Final

from wasihost.common.sizes import checked_size
from wasihost.sandbox.names import os_error
from wasihost.vfs import operations
from wasihost.vfs.memory_file import MemoryFile
from wasihost.vfs.memory_nodes import MemoryDirectory
from wasihost.vfs.names import PATH_MAX
from wasihost.vfs.nodes import Directory, FileSystem, Stat
from wasihost.vfs.quota import Lazy, Quota
from wasihost.vfs.resolve import node_at, resolve
from wasihost.vfs.snapshot import Snapshot, capture, restore

if TYPE_CHECKING:
    from typing_extensions import Buffer

DEFAULT_MAX_BYTES: Final = 1 << 30
DEFAULT_MAX_ENTRIES: Final = 250_000
"""Default limits of a `MemoryFS`: bytes of content, and names."""

_devices = itertools.count(1)


class MemoryFS(FileSystem, MutableMapping[str, bytes]):
    """Files, directories and links in memory.

    As a mapping it is path -> content of every regular file: `MemoryFS({"a/b.txt": b"..."})`, `fs["a/b.txt"]`,
    `dict(fs)`. Setting a file makes its directories. Paths are relative to the root, with or without a leading slash;
    links are followed. Several guests, also in several threads, may share one. Pickling or copying it takes a snapshot,
    which is an independent file system.

    A guest that exceeds a limit gets ENOSPC, for `max_file_size` EFBIG; a write takes the part that fits. Sizes can be
    text such as "64MiB"; None is no limit.

    Args:
        files: Path -> content, as bytes-like objects or `Lazy`.
        max_bytes: Bytes of all content, and of long names. Holes in files take no memory, but count. Default: 1 GiB.
        max_entries: Names of files, directories and links. Default: 250,000.
        max_file_size: Bytes of one file. Default: no limit.
        clock: Returns nanoseconds since 1970, for the times of files. Default: `time.time_ns`.

    Raises:
        ConfigError: A limit is not a size or number of 0 or more.
        OSError: Raised by methods as by functions of `os` (FileNotFoundError, FileExistsError, ...);
            PermissionError for a path that leads out of the root.
        KeyError: Raised by `fs[path]` and `del fs[path]` if there is no such file.
    """

    __slots__ = ("quota", "root")

    def __init__(
        self,
        files: Mapping[str, Buffer | Lazy] | None = None,
        *,
        max_bytes: int | str | None = DEFAULT_MAX_BYTES,
        max_entries: int | None = DEFAULT_MAX_ENTRIES,
        max_file_size: int | str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.quota: Quota = Quota(
            checked_size("max_bytes", max_bytes),
            checked_size("max_entries", max_entries),
            checked_size("max_file_size", max_file_size),
            clock,
            next(_devices),
        )
        self.root: MemoryDirectory = MemoryDirectory(self.quota)
        for path, content in (files or {}).items():
            self.put(path, content)

    # -- as a dict of files ----------------------------------------------------------------------------------------

    def __getitem__(self, path: str) -> bytes:
        try:
            node = node_at(self.root, _relative(path), follow=True)
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(path) from None
        if not isinstance(node, MemoryFile):
            raise KeyError(path)
        return node.image()

    def __setitem__(self, path: str, content: Buffer) -> None:
        self.put(path, content)

    def __delitem__(self, path: str) -> None:
        try:
            self.remove(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(path) from None

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in self.nodes())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, str) and isinstance(node_at(self.root, _relative(path), follow=True), MemoryFile)
        except OSError:
            return False

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __getstate__(self) -> tuple[int | None, int | None, int | None, Callable[[], int], Snapshot]:
        limits = self.quota
        with limits.lock:
            return limits.max_bytes, limits.max_entries, limits.max_file_size, limits.clock, capture(self.root)

    def __setstate__(self, state: tuple[int | None, int | None, int | None, Callable[[], int], Snapshot]) -> None:
        *limits, clock, snapshot = state
        self.quota = Quota(None, None, None, clock, next(_devices))
        self.root = MemoryDirectory(self.quota)
        restore(self.root, snapshot)
        self.quota.max_bytes, self.quota.max_entries, self.quota.max_file_size = limits

    def become(self, snapshot: Snapshot) -> None:
        """Replace the whole tree by that of the snapshot. Limits stay, and files that are open keep their content."""
        limits = self.quota
        with limits.lock:
            before = limits.max_bytes, limits.max_entries, limits.max_file_size
            limits.max_bytes = limits.max_entries = limits.max_file_size = None
            self.root.children.clear()
            self.root.links = 2
            limits.bytes = limits.entries = 0
            restore(self.root, snapshot)
            limits.max_bytes, limits.max_entries, limits.max_file_size = before

    def __repr__(self) -> str:
        return f"<MemoryFS of {len(self)} files, {self.quota.bytes} bytes>"

    # -- as a file system ------------------------------------------------------------------------------------------

    def put(self, path: str, content: Buffer | Lazy) -> None:
        """Make a file and the directories that it needs, or replace the content of an existing file."""
        if not isinstance(content, (bytes, Lazy)):
            content = bytes(memoryview(content))  # raises a clear TypeError for a str or a number
        path = _relative(path)
        with self.quota.lock:
            try:
                place = resolve(self.root, path, follow=True, creating=True)
            except FileNotFoundError:
                self.mkdir(path.rpartition("/")[0], parents=True, exist_ok=True)
                place = resolve(self.root, path, follow=True, creating=True)
            if isinstance(place.node, MemoryFile):
                place.node.replace(content)
            elif place.node is None and isinstance(place.directory, MemoryDirectory):
                place.directory.create_file(place.name, content)
            else:
                raise os_error(errno.EISDIR, path)

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a directory, as `pathlib.Path.mkdir` does."""
        path = _relative(path)
        try:
            operations.mkdir(self.root, path)
        except FileExistsError:
            if not exist_ok or not self.is_dir(path):
                raise
        except FileNotFoundError:
            if not parents:
                raise
            for end in (at for at, character in enumerate(path) if character == "/" and at):
                with contextlib.suppress(FileExistsError):
                    operations.mkdir(self.root, path[:end])
            self.mkdir(path, exist_ok=True)

    def listdir(self, path: str = ".") -> list[str]:
        """Return the names in a directory, in the order of their creation."""
        node = node_at(self.root, _relative(path), follow=True)
        if not isinstance(node, Directory):
            raise os_error(errno.ENOTDIR, path)
        return [name for name, _ in node.entries()]

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a directory; links are followed."""
        try:
            return isinstance(node_at(self.root, _relative(path), follow=True), Directory)
        except OSError:
            return False

    def stat(self, path: str, *, follow: bool = True) -> Stat:
        """Return size, times and the rest; of a link itself unless `follow`."""
        return node_at(self.root, _relative(path), follow=follow).stat()

    def set_times(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Set the times, in nanoseconds since 1970; None keeps a time as it is."""
        node_at(self.root, _relative(path), follow=True).set_times(atime_ns, mtime_ns)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link at `path`. Raises: PermissionError for a target that starts with a slash."""
        operations.symlink(target, self.root, _relative(path))

    def readlink(self, path: str) -> str:
        """Return the target of a symbolic link."""
        return operations.readlink(self.root, _relative(path))

    def link(self, old: str, new: str) -> None:
        """Make a second name (a hard link) for a file."""
        operations.link(self.root, _relative(old), False, self.root, _relative(new))

    def rename(self, old: str, new: str) -> None:
        """Move a file, link or directory; replaces what POSIX lets it replace."""
        operations.rename(self.root, _relative(old), self.root, _relative(new))

    def remove(self, path: str) -> None:
        """Remove a file or a link."""
        operations.unlink(self.root, _relative(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        operations.rmdir(self.root, _relative(path))

    def nodes(self) -> Iterator[tuple[str, MemoryFile]]:
        """Yield every regular file with its path, level by level.

        Files so deep that no path leads to them are left out; only a guest that opens one directory after the other can
        make those.
        """
        level = [("", self.root)]
        while level:
            below: list[tuple[str, MemoryDirectory]] = []
            for at, directory in level:
                for name, node in directory.entries():
                    if isinstance(node, MemoryFile):
                        yield at + name, node
                    elif isinstance(node, MemoryDirectory) and len(at) + len(name) < PATH_MAX:
                        below.append((f"{at}{name}/", node))
            level = below


def _relative(path: str) -> str:
    """Return `path` without its leading slash; `.` for the root itself."""
    return (path[1:] if path[:1] == "/" else path) or "."
