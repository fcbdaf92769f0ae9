"""Open files and directories of a virtual tree: `MemoryFS`, an archive, a tree of the embedder's.

A directory is held as its node, never as a path. A read-only mount is a flag that every descriptor opened through it
inherits, as for host directories.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Oflags, Rights

from wasihost.common.logs import warn
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Descriptor, Directory, joined
from wasihost.descriptors.file_calls import APPEND, file_offset, stamps
from wasihost.descriptors.positioned_file import PositionedFile
from wasihost.descriptors.reported import CHECKED, DirectoryEntry, file_size, filestat
from wasihost.errors import BY_SIGNAL_HANDLER
from wasihost.sandbox.times import UTIME_NOW
from wasihost.vfs import nodes, operations, read_only
from wasihost.vfs.interruption import interrupted_by
from wasihost.vfs.mounting import VirtualSource, root_of
from wasihost.vfs.names import is_entry
from wasihost.vfs.resolve import node_at
from wasihost.waiting.pieces import PIECE, each

if TYPE_CHECKING:
    from wasihost.waiting.cancel_scope import CancelScope


def filetype_of(node: nodes.Node) -> Filetype:
    """The file type of a node, which its class decides."""
    if isinstance(node, nodes.File):
        return Filetype.REGULAR_FILE
    if isinstance(node, nodes.Directory):
        return Filetype.DIRECTORY
    return Filetype.SYMBOLIC_LINK if isinstance(node, nodes.Link) else Filetype.UNKNOWN


def filestat_of(node: nodes.Node) -> Filestat:
    """The `filestat` of a node."""
    return filestat(node, node.stat(), node.inode, filetype_of(node))


def _entries(directory: nodes.Directory) -> Iterator[tuple[bytes, nodes.Node]]:
    """The entries whose names a path can contain. The log reports how many others were left out: a tree may report any
    name."""
    left_out: list[str] = []
    for name, node in directory.listing_entries():
        if not isinstance(name, str):
            raise TypeError(f"{type(directory).__name__}.entries() has the name {name!r}, and names are str")
        if is_entry(name):
            yield name.encode("utf-8", "surrogateescape"), node
        else:
            left_out.append(name)
    if left_out:
        text = "%s.entries(): left out %d that cannot be the name of a file, such as %.80r"
        warn("files", text, type(directory).__name__, len(left_out), left_out[0])


def set_node_times(node: nodes.Node, times: tuple[int, int]) -> None:
    """utimensat(2) on a node; "now" is the tree's own clock."""
    stamp = [node.now() if time == UTIME_NOW else time if time >= 0 else None for time in times]
    if stamp != [None, None]:
        node.set_times(*stamp)


class VirtualDirectory(Directory):
    """An open directory of a virtual tree. Opening and listing stop when the scope ends."""

    __slots__ = ("node",)

    def __init__(self, node: nodes.Directory, read_only: bool, preopen: str | None = None) -> None:
        super().__init__(preopen, read_only)
        self.node: nodes.Directory = node

    def entries(self) -> list[DirectoryEntry]:
        parent = self.node if self.preopen is not None else self.node.above() or self.node
        out = [(b".", self.node.inode, Filetype.DIRECTORY), (b"..", parent.inode, Filetype.DIRECTORY)]
        for name, node in _entries(self.node):
            out.append((name, node.inode, filetype_of(node)))
            if not len(out) % CHECKED and self.scope is not None:
                self.scope.check()
        return out

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, flags: Fdflags, held: list[int]) -> Descriptor:
        """openat(2). FD_READ and FD_WRITE are the access mode, as for a host directory."""
        directory, create = bool(oflags & Oflags.DIRECTORY), bool(oflags & Oflags.CREAT)
        truncate = bool(oflags & Oflags.TRUNC)
        writing = truncate or bool(rights & Rights.FD_WRITE)
        if directory and create:
            raise WasiError(Errno.INVAL)
        node = operations.open_node(
            self.node,
            path,
            follow=follow,
            directory=directory,
            create=create,
            exclusive=bool(oflags & Oflags.EXCL),
            writing=writing,
            read_only=self.read_only,
        )
        if isinstance(node, nodes.Directory):
            return VirtualDirectory(node, self.read_only)
        assert isinstance(node, nodes.File)  # `open_node` returns nothing else
        if node.opens_at_once() or self.scope is None:
            opened = node.open(writing=writing)
        else:
            with interrupted_by(self.scope.check):
                opened = node.open(writing=writing)
        try:
            if truncate:
                opened.truncate(0)
        except BaseException:
            opened.close()
            raise
        kind = VirtualFile if opened.writes_at_once() else SlowFile
        return kind(opened, kinds.opened(kinds.FILE, rights), flags, read_only=self.read_only)

    def stat(self) -> Filestat:
        return filestat_of(self.node)

    def set_flags(self, flags: Fdflags) -> None:
        """Keep the flags, which have no effect: nothing in here waits or appends."""
        self.flags = flags

    def _set_times(self, times: tuple[int, int]) -> None:
        set_node_times(self.node, times)

    def sync(self) -> None:
        """Does nothing: there is nothing to write back."""

    def datasync(self) -> None:
        """Does nothing: there is nothing to write back."""

    def stat_path(self, path: str, follow: bool) -> Filestat:
        return filestat_of(node_at(self.node, path, follow=follow))

    def set_times_path(self, path: str, follow: bool, atim: int, mtim: int, which: Fstflags) -> None:
        times = stamps(atim, mtim, which)
        if self.read_only:
            raise read_only.utime(self.node, path, follow)
        set_node_times(node_at(self.node, path, follow=follow), times)

    def create_directory(self, path: str) -> None:
        if self.read_only:
            raise read_only.mkdir(self.node, path)
        operations.mkdir(self.node, path)

    def remove_directory(self, path: str) -> None:
        if self.read_only:
            raise read_only.rmdir(self.node, path)
        operations.rmdir(self.node, path)

    def unlink(self, path: str) -> None:
        if self.read_only:
            raise read_only.unlink(self.node, path)
        operations.unlink(self.node, path)

    def rename(self, path: str, target: Directory, target_path: str) -> None:
        """renameat(2). XDEV also for two trees of the same kind: the operation raises it."""
        other = self._same_kind(target)
        if self.read_only or other.read_only:
            raise read_only.rename(self.node, path, other.node, target_path)
        operations.rename(self.node, path, other.node, target_path)

    def link(self, path: str, follow: bool, target: Directory, target_path: str) -> None:
        other = self._same_kind(target)
        if self.read_only or other.read_only:
            raise read_only.link(self.node, path, follow, other.node, target_path)
        operations.link(self.node, path, follow, other.node, target_path)

    def symlink(self, content: str, path: str) -> None:
        if self.read_only:
            raise read_only.symlink(self.node, path)
        operations.symlink(content, self.node, path)

    def readlink(self, path: str) -> str:
        return operations.readlink(self.node, path)

    def _same_kind(self, target: Directory) -> VirtualDirectory:
        if not isinstance(target, VirtualDirectory):
            raise WasiError(Errno.XDEV)
        return target


class VirtualFile(PositionedFile):
    """An open file of a virtual tree."""

    __slots__ = ("node",)

    def __init__(self, node: nodes.File, rights: int, flags: Fdflags, *, read_only: bool) -> None:
        super().__init__(rights, 0, flags)
        self.scope: CancelScope | None = None
        self.node: nodes.File = node
        self.position: int = 0
        self.read_only = read_only

    def filetype(self) -> Filetype:
        return Filetype.REGULAR_FILE

    def close(self) -> None:
        """Close the node."""
        self.node.close()

    def size(self) -> int:
        """In bytes. Raises OVERFLOW if the tree reports a size that is not an `off_t`."""
        return file_size(self.node, self.node.stat().size)

    def read(self, buffers: list[memoryview]) -> int:
        size = self.pread(buffers, self.position)
        self.position += size
        return size

    def write(self, buffers: list[memoryview]) -> int:
        """Write at the position; with APPEND at the end, atomically for up to `PIECE` bytes."""
        if self.flags & APPEND:
            data = buffers[0] if len(buffers) == 1 else joined(buffers)
            if not len(data):
                return 0
            if len(data) > PIECE:
                return each([data], self.scope, lambda piece, _: self.write([piece]))
            at, size = self.node.appendfrom(data)
            self.position = at + size
            return size
        size = self.pwrite(buffers, self.position)
        self.position += size
        return size

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """Read at `offset`. Raises INVAL if the buffers would end beyond 2**63-1."""
        wanted = sum(map(len, buffers))
        file_offset(offset + wanted)
        if wanted > PIECE:
            return each(buffers, self.scope, lambda piece, done: self.node.readinto(offset + done, piece))
        at = start = offset
        for buffer in buffers:
            size = self.node.readinto(at, buffer) if len(buffer) else 0
            at += size
            if size < len(buffer):
                break
        return at - start

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """Write at `offset`, also with APPEND. After an error the bytes written before it count; the guest's next call
        gets the error."""
        wanted = sum(map(len, buffers))
        file_offset(offset + wanted)
        if wanted > PIECE:
            return each(buffers, self.scope, lambda piece, done: self.node.writefrom(offset + done, piece))
        at = start = offset
        for buffer in buffers:
            if not len(buffer):
                continue
            try:
                size = self.node.writefrom(at, buffer)
            except OSError as error:
                if at == start or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
                break
            at += size
            if size < len(buffer):
                break
        return at - start

    def stat(self) -> Filestat:
        return filestat_of(self.node)

    def set_size(self, size: int) -> None:
        self.node.truncate(file_offset(size))

    def _set_times(self, times: tuple[int, int]) -> None:
        set_node_times(self.node, times)

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        """Does nothing but check the range: INVAL for an end beyond 2**63-1."""
        file_offset(offset + size)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate(2): extend the file to `offset + size` if it is shorter. Raises INVAL for size 0."""
        end = file_offset(offset + size)
        if not size:
            raise WasiError(Errno.INVAL)
        self.node.allocate(end)

    def sync(self) -> None:
        self.node.sync()

    def datasync(self) -> None:
        self.node.sync()


class SlowFile(VirtualFile):
    """A file whose first change may take long, as for a large one that is copied. It ends when the scope does."""

    __slots__ = ()

    def write(self, buffers: list[memoryview]) -> int:
        with self._interrupted():
            return super().write(buffers)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        with self._interrupted():
            return super().pwrite(buffers, offset)

    def set_size(self, size: int) -> None:
        with self._interrupted():
            super().set_size(size)

    def allocate(self, offset: int, size: int) -> None:
        with self._interrupted():
            super().allocate(offset, size)

    def _interrupted(self) -> interrupted_by:
        return interrupted_by(self.scope.check if self.scope is not None else _never)


def _never() -> None:
    """For a file that no guest has: nothing ends it."""


def open_virtual(source: VirtualSource, guest_path: str, read_only: bool) -> VirtualDirectory:
    """Open the root of a virtual tree as a preopen. Raises what `vfs.mounting.root_of` raises."""
    return VirtualDirectory(root_of(source), read_only, guest_path)
