"""A read-only tree of an `importlib.resources` Traversable. Zip archives have a tree of their own, in `archive`.

Rules of this file: a link cannot be read (EPERM), because Python would follow it out of the tree.
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
    """The part of `importlib.resources.abc.Traversable` that is used."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def is_dir(self) -> bool:
        """Whether it is a directory."""

    def is_file(self) -> bool:
        """Whether it is a file."""

    def iterdir(self) -> Iterator[Traversable]:
        """The entries of the directory."""

    def read_bytes(self) -> bytes:
        """The file's content."""


def is_traversable(source: object) -> TypeGuard[Traversable]:
    """Whether `source` looks like a Traversable."""
    return all(hasattr(source, name) for name in ("is_dir", "iterdir", "read_bytes"))


def directory_of(item: Traversable, parent: Directory | None = None) -> Directory:
    """Return the tree of an item that is known to be a directory."""
    return ZipTree(item, parent) if is_in_zip(item) else TraversableDirectory(item, parent)


class TraversableDirectory(ListedDirectory):
    """A directory of a Traversable."""

    __slots__ = ("_item",)

    def __init__(self, item: Traversable, parent: Directory | None = None) -> None:
        super().__init__(parent)
        self._item = item

    def listing(self) -> dict[str, Node]:
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
        """Return the status from the host for a path-like item; else only the size, by reading the file once."""
        if isinstance(self._item, os.PathLike) and hasattr(self._item, "stat"):
            st = self._item.stat()
            return Stat(st.st_size, st.st_mtime_ns, st.st_atime_ns, st.st_ctime_ns)
        if self._size is None:
            self._size = len(self.load())
        return Stat(self._size)

    def load(self) -> bytes:
        try:
            return self._item.read_bytes()
        except Exception as error:
            raise_as_errno(error, self._item, self._item.name)


def _is_link(item: Any) -> bool:
    """Whether it is known to be a link, as of a `pathlib.Path` in the resources of a namespace package."""
    is_symlink = getattr(item, "is_symlink", None)
    return is_symlink is not None and bool(is_symlink())
