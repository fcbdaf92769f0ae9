"""Open files and directories of a virtual tree: `MemoryFS`, an archive, a user's own.

A directory is its node, never a path. A read-only mount is a flag that every descriptor opened through it inherits, as
for host directories. A file's position is kept here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Filestat, Filetype, Fstflags, Oflags, Rights, Whence

from wasihost.common.logs import warn
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import MAX_OFFSET, Descriptor, Directory, DirectoryEntry, joined
from wasihost.descriptors.host_file import SYNCHRONOUS, file_offset
from wasihost.descriptors.hoststat import stamps
from wasihost.descriptors.reported import CHECKED, file_size, filestat
from wasihost.sandbox.times import UTIME_NOW
from wasihost.vfs import nodes, operations, read_only
from wasihost.vfs.interruption import interrupted_by
from wasihost.vfs.mounting import VirtualSource, root_of
from wasihost.vfs.names import is_entry
from wasihost.vfs.resolve import node_at
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.pieces import PIECE, each

_APPEND = int(Fdflags.APPEND)


def filetype_of(node: nodes.Node) -> Filetype:
    """The file type of a node, which is its class."""
    if isinstance(node, nodes.File):
        return Filetype.REGULAR_FILE
    if isinstance(node, nodes.Directory):
        return Filetype.DIRECTORY
    return Filetype.SYMBOLIC_LINK if isinstance(node, nodes.Link) else Filetype.UNKNOWN


def filestat_of(node: nodes.Node) -> Filestat:
    """All fields."""
    return filestat(node, node.stat(), node.inode, filetype_of(node))


def size_of(node: nodes.Node) -> int:
    """In bytes. Raises: OVERFLOW for a size that cannot be said."""
    return file_size(node, node.stat().size)


def _entries(directory: nodes.Directory) -> Iterator[tuple[bytes, nodes.Node]]:
    """Those whose names a path could spell; the log says how many have others, which came from anywhere."""
    left_out: list[str] = []
    for name, node in directory.entries():
        if not isinstance(name, str):
            raise TypeError(f"{type(directory).__name__}.entries() has the name {name!r}, and names are str")
        if is_entry(name):
            yield name.encode("utf-8", "surrogateescape"), node
        else:
            left_out.append(name)
    if left_out:
        warn(
            "files", "%s.entries(): left out %d that cannot be the name of a file, such as %.80r",
            type(directory).__name__, len(left_out), left_out[0],
        )  # fmt: skip


def set_node_times(node: nodes.Node, times: tuple[int, int]) -> None:
    """utimensat(2), with 'now' as the tree has it."""
    stamp = [node.now() if time == UTIME_NOW else time if time >= 0 else None for time in times]
    if stamp != [None, None]:
        node.set_times(*stamp)


class VirtualDirectory(Directory):
    """An open directory of a virtual tree."""

    __slots__ = ("node", "scope")

    def __init__(self, node: nodes.Directory, read_only: bool, preopen: str | None = None) -> None:
        super().__init__(preopen, read_only)
        self.scope: CancelScope | None = None
        self.node = node

    def set_scope(self, scope: CancelScope) -> None:
        """Opening and listing take no longer than that."""
        self.scope = scope

    def entries(self) -> list[DirectoryEntry]:
        """No stat per entry."""
        above = self.node if self.preopen is not None else self.node.above() or self.node
        out = [(b".", self.node.inode, Filetype.DIRECTORY), (b"..", above.inode, Filetype.DIRECTORY)]
        for name, node in _entries(self.node):
            out.append((name, node.inode, filetype_of(node)))
            if not len(out) % CHECKED and self.scope is not None:
                self.scope.check()
        return out

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, flags: Fdflags, held: list[int]) -> Descriptor:
        """openat(2); the access mode follows FD_READ and FD_WRITE, as with a host directory."""
        directory, create = bool(oflags & Oflags.DIRECTORY), bool(oflags & Oflags.CREAT)
        truncate = bool(oflags & Oflags.TRUNC)
        writing = truncate or bool(rights & Rights.FD_WRITE)
        if directory and create:
            raise WasiError(Errno.INVAL)
        node = operations.open_node(
            self.node, path, follow=follow, directory=directory, create=create,
            exclusive=bool(oflags & Oflags.EXCL), writing=writing, read_only=self.read_only,
        )  # fmt: skip
        if isinstance(node, nodes.Directory):
            return VirtualDirectory(node, self.read_only)
        assert isinstance(node, nodes.File)  # all that `open_node` answers besides
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
        return VirtualFile(opened, kinds.opened(kinds.FILE, rights), flags, read_only=self.read_only)

    def stat(self) -> Filestat:
        """fstat(2)."""
        return filestat_of(self.node)

    def set_flags(self, flags: Fdflags) -> None:
        """Kept; nothing here waits or appends."""
        self.flags = flags

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens(2)."""
        if self.read_only:
            raise WasiError(Errno.ROFS)
        set_node_times(self.node, stamps(atim, mtim, which))

    def sync(self) -> None:
        """Nothing to do."""

    def datasync(self) -> None:
        """Nothing to do."""

    def stat_path(self, path: str, follow: bool) -> Filestat:
        """fstatat(2)."""
        return filestat_of(node_at(self.node, path, follow=follow))

    def set_times_path(self, path: str, follow: bool, atim: int, mtim: int, which: Fstflags) -> None:
        """utimensat(2)."""
        times = stamps(atim, mtim, which)
        if self.read_only:
            raise read_only.utime(self.node, path, follow)
        set_node_times(node_at(self.node, path, follow=follow), times)

    def create_directory(self, path: str) -> None:
        """mkdirat(2)."""
        if self.read_only:
            raise read_only.mkdir(self.node, path)
        operations.mkdir(self.node, path)

    def remove_directory(self, path: str) -> None:
        """unlinkat(2) with AT_REMOVEDIR."""
        if self.read_only:
            raise read_only.rmdir(self.node, path)
        operations.rmdir(self.node, path)

    def unlink(self, path: str) -> None:
        """unlinkat(2)."""
        if self.read_only:
            raise read_only.unlink(self.node, path)
        operations.unlink(self.node, path)

    def rename(self, path: str, target: Directory, target_path: str) -> None:
        """renameat(2); the tree says XDEV for another tree of the same kind."""
        other = self._partner(target)
        if self.read_only or other.read_only:
            raise read_only.rename(self.node, path, other.node, target_path)
        operations.rename(self.node, path, other.node, target_path)

    def link(self, path: str, follow: bool, target: Directory, target_path: str) -> None:
        """linkat(2)."""
        other = self._partner(target)
        if self.read_only or other.read_only:
            raise read_only.link(self.node, path, follow, other.node, target_path)
        operations.link(self.node, path, follow, other.node, target_path)

    def symlink(self, content: str, path: str) -> None:
        """symlinkat(2)."""
        if self.read_only:
            raise read_only.symlink(self.node, path)
        operations.symlink(content, self.node, path)

    def readlink(self, path: str) -> str:
        """readlinkat(2)."""
        return operations.readlink(self.node, path)

    def _partner(self, target: Directory) -> VirtualDirectory:
        """The other end of a link or rename: of a virtual tree too."""
        if not isinstance(target, VirtualDirectory):
            raise WasiError(Errno.XDEV)
        return target


class VirtualFile(Descriptor):
    """An open file of a virtual tree. `read_only` says that it lies below a read-only mount."""

    __slots__ = ("node", "position", "read_only", "scope")

    KIND_RIGHTS: ClassVar[int] = kinds.FILE

    def __init__(self, node: nodes.File, rights: int, flags: Fdflags, *, read_only: bool) -> None:
        super().__init__(rights, 0, flags)
        self.scope: CancelScope | None = None
        self.node = node
        self.position = 0
        self.read_only = read_only

    def set_scope(self, scope: CancelScope) -> None:
        """What is large ends with it."""
        self.scope = scope

    def filetype(self) -> Filetype:
        """A regular file."""
        return Filetype.REGULAR_FILE

    def close(self) -> None:
        """Tells the node."""
        self.node.close()

    def available(self) -> int:
        """From the position to the end."""
        return max(0, size_of(self.node) - self.position)

    def read(self, buffers: list[memoryview]) -> int:
        """The next bytes."""
        size = self.pread(buffers, self.position)
        self.position += size
        return size

    def write(self, buffers: list[memoryview]) -> int:
        """At the position; at the end with APPEND, up to a piece of bytes in one step."""
        if self.flags & _APPEND:
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
        """The bytes at `offset`; INVAL where they would end beyond 2**63-1."""
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
        """To `offset`, also with APPEND. What was written before an error counts; the error comes with the next."""
        given = sum(map(len, buffers))
        file_offset(offset + given)
        if given > PIECE:
            return each(buffers, self.scope, lambda piece, done: self.node.writefrom(offset + done, piece))
        at = start = offset
        for buffer in buffers:
            if not len(buffer):
                continue
            try:
                size = self.node.writefrom(at, buffer)
            except OSError:
                if at == start:
                    raise
                break
            at += size
            if size < len(buffer):
                break
        return at - start

    def seek(self, offset: int, whence: Whence) -> int:
        """The new position; INVAL below 0, OVERFLOW above 2**63-1."""
        if whence == 1:
            offset += self.position
        elif whence == 2:
            offset += size_of(self.node)
        if offset < 0:
            raise WasiError(Errno.INVAL)
        if offset > MAX_OFFSET:
            raise WasiError(Errno.OVERFLOW)
        self.position = offset
        return offset

    def tell(self) -> int:
        """The position."""
        return self.position

    def stat(self) -> Filestat:
        """fstat(2)."""
        return filestat_of(self.node)

    def set_flags(self, flags: Fdflags) -> None:
        """NOTSUP to change the synchronous flags, as for a host file."""
        if (flags ^ self.flags) & SYNCHRONOUS:
            raise WasiError(Errno.NOTSUP)
        self.flags = flags

    def set_size(self, size: int) -> None:
        """ftruncate(2)."""
        self.node.truncate(file_offset(size))

    def set_times(self, atim: int, mtim: int, which: Fstflags) -> None:
        """futimens(2)."""
        if self.read_only:
            raise WasiError(Errno.ROFS)
        set_node_times(self.node, stamps(atim, mtim, which))

    def advise(self, offset: int, size: int, advice: Advice) -> None:
        """Nothing to do."""
        file_offset(offset + size)

    def allocate(self, offset: int, size: int) -> None:
        """posix_fallocate(2): the file is at least that long then; INVAL for size 0."""
        end = file_offset(offset + size)
        if not size:
            raise WasiError(Errno.INVAL)
        self.node.allocate(end)

    def sync(self) -> None:
        """fsync(2)."""
        self.node.sync()

    def datasync(self) -> None:
        """fdatasync(2)."""
        self.node.sync()


def open_virtual(source: VirtualSource, guest_path: str, read_only: bool) -> VirtualDirectory:
    """The preopen of a virtual tree. Raises what `vfs.mounting.root_of` raises."""
    return VirtualDirectory(root_of(source), read_only, guest_path)
