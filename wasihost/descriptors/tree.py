"""A read-only mount of what Python can walk: an `importlib.resources` Traversable, a `zipfile.Path`.

A directory is a node with its parents, never a string: `..` goes to the parent and stops at the mount. Files are read
as a whole when they are opened. A link, which would be followed out of the tree unseen, is refused with PERM, and
nothing can be changed: ROFS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import ClassVar, Protocol

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Oflags, Rights, Whence

from wasihost import rights as kinds
from wasihost.descriptors.base import MAX_OFFSET, Descriptor, Directory, DirectoryEntry


class Traversable(Protocol):
    """What a tree is made of; `importlib.resources.abc.Traversable` is the model."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def is_dir(self) -> bool:
        """Whether it is a directory."""

    def is_file(self) -> bool:
        """Whether it is a file."""

    def iterdir(self) -> Iterator[Traversable]:
        """What is in the directory."""

    def read_bytes(self) -> bytes:
        """The file's content."""


class Node:
    """A place in the tree; `above` is None at the mount."""

    __slots__ = ("above", "children", "inode", "item")

    def __init__(self, item: Traversable, above: Node | None) -> None:
        self.item = item
        self.above = above
        # The root's name is not asked for: an archive that is no file has none.
        self.inode: int = hash((above.inode, item.name) if above else id(item)) & 0x7FFFFFFFFFFFFFFF or 1
        self.children: dict[str, Node] | None = None

    def listing(self) -> dict[str, Node]:
        """The children by name, asked for once."""
        if self.children is None:
            self.children = {child.name: Node(child, self) for child in self.item.iterdir()}
        return self.children

    def filetype(self) -> Filetype:
        """A directory, a regular file, or a link that leads nowhere here."""
        if is_link(self.item):
            return Filetype.SYMBOLIC_LINK
        return Filetype.DIRECTORY if self.item.is_dir() else Filetype.REGULAR_FILE


def is_link(item: Traversable) -> bool:
    """Whether it is a symbolic link, for items that can tell (a `pathlib.Path` in a namespace package's resources)."""
    tell = getattr(item, "is_symlink", None)
    try:
        return tell is not None and bool(tell())
    except KeyError:  # zipfile.Path of Python 3.13, for a directory that the archive has no entry of
        return False


def walk(node: Node, path: str) -> Node:
    """Where `path` leads from `node`. NOENT, NOTDIR, PERM for a way out, INVAL for a NUL."""
    if not path:
        raise WasiError(Errno.NOENT)
    if "\0" in path:
        raise WasiError(Errno.INVAL)
    if path.startswith("/"):
        raise WasiError(Errno.PERM)
    for part in path.split("/"):
        if not node.item.is_dir():
            raise WasiError(Errno.NOTDIR)
        if part in ("", "."):
            continue
        if part == "..":
            if node.above is None:
                raise WasiError(Errno.PERM)
            node = node.above
            continue
        found = node.listing().get(part)
        if found is None:
            raise WasiError(Errno.NOENT)
        if is_link(found.item):
            raise WasiError(Errno.PERM)
        node = found
    return node


class TreeDirectory(Directory):
    """A directory of the tree."""

    __slots__ = ("node",)

    KIND: ClassVar[int] = kinds.DIRECTORY

    def __init__(self, node: Node, rights: int, inheriting: int, preopen: str | None = None) -> None:
        super().__init__(rights, inheriting, preopen, read_only=True)
        self.node = node

    def entries(self) -> list[DirectoryEntry]:
        """Everything in it."""
        above = self.node.above or self.node
        out = [(b".", self.node.inode, Filetype.DIRECTORY), (b"..", above.inode, Filetype.DIRECTORY)]
        for name, node in self.node.listing().items():
            out.append((os.fsencode(name), node.inode, node.filetype()))
        return out

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, inheriting: int, flags: Fdflags) -> Descriptor:
        """A file is read now; ROFS for whatever would change something."""
        writes = not oflags & Oflags.DIRECTORY and rights & ~kinds.READ_ONLY & kinds.FILE_WRITE
        if writes or oflags & (Oflags.CREAT | Oflags.TRUNC):
            raise WasiError(Errno.ROFS)
        node = walk(self.node, path)
        if node.item.is_dir():
            return TreeDirectory(node, rights & kinds.DIRECTORY & kinds.READ_ONLY, inheriting)
        if oflags & Oflags.DIRECTORY:
            raise WasiError(Errno.NOTDIR)
        return TreeFile(node, rights & kinds.FILE & kinds.READ_ONLY, flags)

    def stat(self) -> Filestat:
        """Type and inode."""
        return node_stat(self.node)

    def stat_path(self, path: str, follow: bool) -> Filestat:
        """Type, inode and size; the size of a file is known by reading it."""
        return node_stat(walk(self.node, path))

    def readlink(self, path: str) -> str:
        """INVAL for what is there: no link of the tree can be reached."""
        walk(self.node, path)
        raise WasiError(Errno.INVAL)


class TreeFile(Descriptor):
    """An open file of the tree: its bytes and a position."""

    __slots__ = ("data", "node", "position")

    KIND: ClassVar[int] = kinds.FILE

    def __init__(self, node: Node, rights: int, flags: Fdflags) -> None:
        super().__init__(rights, 0, flags)
        self.node = node
        self.data = memoryview(node.item.read_bytes())
        self.position = 0

    def lacks(self, right: Rights) -> WasiError:
        """ROFS for a change."""
        return WasiError(Errno.ROFS) if right & ~kinds.READ_ONLY else super().lacks(right)

    def filetype(self) -> Filetype:
        """A regular file."""
        return Filetype.REGULAR_FILE

    def available(self) -> int:
        """From the position to the end."""
        return max(0, len(self.data) - self.position)

    def read(self, buffers: list[memoryview]) -> int:
        """The next bytes."""
        size = self.pread(buffers, self.position)
        self.position += size
        return size

    def pread(self, buffers: list[memoryview], offset: int) -> int:
        """The bytes at `offset`."""
        at = offset
        for buffer in buffers:
            chunk = self.data[at : at + len(buffer)]
            buffer[: len(chunk)] = chunk
            at += len(chunk)
        return at - offset

    def seek(self, offset: int, whence: Whence) -> int:
        """The new position; INVAL below 0."""
        offset += (0, self.position, len(self.data))[whence]
        if not 0 <= offset <= MAX_OFFSET:
            raise WasiError(Errno.INVAL)
        self.position = offset
        return offset

    def tell(self) -> int:
        """The position."""
        return self.position

    def stat(self) -> Filestat:
        """Type, inode and size."""
        return Filestat(0, self.node.inode, Filetype.REGULAR_FILE, 1, len(self.data), 0, 0, 0)

    def set_flags(self, flags: Fdflags) -> None:
        """Kept; nothing here waits or appends."""
        self.flags = flags

    def advise(self, offset: int, size: int, advice: object) -> None:
        """Nothing to do."""

    def sync(self) -> None:
        """Nothing to do."""

    def datasync(self) -> None:
        """Nothing to do."""


def node_stat(node: Node) -> Filestat:
    """What is known about a place in the tree; times are unknown, which the spec writes as 0."""
    kind = node.filetype()
    size = len(node.item.read_bytes()) if kind == Filetype.REGULAR_FILE else 0
    return Filestat(0, node.inode, kind, 1, size, 0, 0, 0)


def mount_tree(root: Traversable, guest_path: str) -> TreeDirectory:
    """The preopen of a tree; NotADirectoryError if its root is no directory."""
    if not root.is_dir():
        raise NotADirectoryError(f"{root!r} is no directory")
    return TreeDirectory(Node(root, None), kinds.READ_ONLY & kinds.DIRECTORY, kinds.ALL, guest_path)
