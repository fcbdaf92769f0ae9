"""A read-only tree of what Python can walk: an `importlib.resources` Traversable; archives have a tree of their own.

A link, which Python would follow out of the tree unseen, is one here too, and reading it is refused with EPERM.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Protocol, TypeGuard

from wasihost.vfs.archive import ZipTree, is_in_zip
from wasihost.vfs.foreign import raise_as_errno
from wasihost.vfs.listed import ListedDirectory, SealedLink, WholeFile
from wasihost.vfs.nodes import Directory, Node, Stat


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


def is_traversable(source: object) -> TypeGuard[Traversable]:
    """Whether it looks like one."""
    return all(hasattr(source, name) for name in ("is_dir", "iterdir", "read_bytes"))


def directory_of(item: Traversable, above: Directory | None = None) -> Directory:
    """The tree below what is known to be a directory."""
    return ZipTree(item, above) if is_in_zip(item) else TraversableDirectory(item, above)


class TraversableDirectory(ListedDirectory):
    """A directory of a Traversable."""

    __slots__ = ("_item",)

    def __init__(self, item: Traversable, above: Directory | None = None) -> None:
        super().__init__(above)
        self._item = item

    def listing(self) -> dict[str, Node]:
        """By `iterdir`."""
        try:
            return {item.name: self._node(item) for item in self._item.iterdir()}
        except Exception as error:
            raise_as_errno(error, self._item, self._item.name)

    def _node(self, item: Traversable) -> Node:
        if _is_link(item):
            return SealedLink()
        return directory_of(item, self) if item.is_dir() else TraversableFile(item)


class TraversableFile(WholeFile):
    """A file of a Traversable."""

    __slots__ = ("_item", "_size")

    def __init__(self, item: Traversable) -> None:
        super().__init__()
        self._item = item
        self._size: int | None = None

    def stat(self) -> Stat:
        """The size without reading where the host knows it; else by reading once."""
        if isinstance(self._item, os.PathLike) and hasattr(self._item, "stat"):
            st = self._item.stat()
            return Stat(st.st_size, st.st_mtime_ns, st.st_atime_ns, st.st_ctime_ns)
        if self._size is None:
            self._size = len(self.load())
        return Stat(self._size)

    def load(self) -> bytes:
        """By `read_bytes`."""
        try:
            return self._item.read_bytes()
        except Exception as error:
            raise_as_errno(error, self._item, self._item.name)


def _is_link(item: Any) -> bool:
    """For items that can tell (a `pathlib.Path` in a namespace package's resources)."""
    tell = getattr(item, "is_symlink", None)
    return tell is not None and bool(tell())
