"""A read-only tree of what Python can walk: an `importlib.resources` Traversable, a `zipfile.Path`.

A link, which Python would follow out of the tree unseen, is one here too, and reading it is refused with EPERM.
"""

from __future__ import annotations

import calendar
import errno
import os
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeGuard

from wasihost.sandbox.names import failure, is_single
from wasihost.vfs.nodes import Directory, File, Link, Node, Stat


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


class ListedDirectory(Directory):
    """A directory to be read only, what is in which is asked for once; a listing that fails is asked for again."""

    __slots__ = ("_above", "_nodes")

    def __init__(self, above: Directory | None) -> None:
        self._above = above
        self._nodes: dict[str, Node] | None = None

    def listing(self) -> dict[str, Node]:
        """Ask for it: names, each a single component, with what they are."""
        raise NotImplementedError

    def lookup(self, name: str) -> Node | None:
        """From the listing."""
        return self._listed().get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        """The listing."""
        return self._listed().items()

    def above(self) -> Directory | None:
        """The directory it was found in."""
        return self._above

    def _listed(self) -> dict[str, Node]:
        if self._nodes is None:
            self._nodes = self.listing()
        return self._nodes


class TraversableDirectory(ListedDirectory):
    """A directory of a Traversable."""

    __slots__ = ("_item",)

    def __init__(self, item: Traversable, above: TraversableDirectory | None = None) -> None:
        super().__init__(above)
        self._item = item

    def listing(self) -> dict[str, Node]:
        """By `iterdir`."""
        return {item.name: self._node(item) for item in self._item.iterdir() if is_single(item.name)}

    def _node(self, item: Traversable) -> Node:
        if _is_link(item):
            return SealedLink()
        return TraversableDirectory(item, self) if item.is_dir() else TraversableFile(item)


class TraversableFile(File):
    """The content is read when it is opened, and kept by what is open only."""

    __slots__ = ("_item", "_size")

    def __init__(self, item: Traversable) -> None:
        self._item = item
        self._size: int | None = None

    def stat(self) -> Stat:
        """The size without reading where an archive or the host knows it; else by reading once."""
        known = _status(self._item)
        if known is not None:
            return known
        if self._size is None:
            self._size = len(self._item.read_bytes())
        return Stat(self._size)

    def open(self, *, writing: bool) -> File:
        """Reads it."""
        return Content(self, self._item.read_bytes())


class Content(File):
    """An open file whose bytes are all here; to the guest it is the file it was read from."""

    __slots__ = ("_data", "_file")

    def __init__(self, file: File, data: bytes) -> None:
        self._file = file
        self._data = data
        self.inode = file.inode

    def stat(self) -> Stat:
        """The file's."""
        return self._file.stat()._replace(size=len(self._data))

    def read(self, offset: int, size: int) -> bytes:
        """A part of it."""
        return self._data[offset : offset + size]


class SealedLink(Link):
    """A link whose content is not for the guest."""

    __slots__ = ()

    def target(self) -> str:
        """Raises: EPERM."""
        raise failure(errno.EPERM, "a link in a tree of Python objects")


def _is_link(item: Traversable) -> bool:
    """For items that can tell (a `pathlib.Path` in a namespace package's resources)."""
    tell = getattr(item, "is_symlink", None)
    try:
        return tell is not None and bool(tell())
    except KeyError:  # zipfile.Path of Python 3.13, for a directory that the archive has no entry of
        return False


def _status(item: Any) -> Stat | None:
    """Size and times of a `zipfile.Path` or `pathlib.Path`; None of what does not say."""
    if isinstance(item, os.PathLike) and hasattr(item, "stat"):
        st = item.stat()
        return Stat(st.st_size, st.st_mtime_ns, st.st_atime_ns, st.st_ctime_ns)
    at = getattr(item, "at", None)
    if at is None or not hasattr(item.root, "getinfo"):
        return None
    info = item.root.getinfo(at)
    # An archive has local times without a zone: taken as UTC, so that they are the same everywhere.
    time = max(calendar.timegm(info.date_time), 0) * 1_000_000_000
    return Stat(info.file_size, time, time, time)
