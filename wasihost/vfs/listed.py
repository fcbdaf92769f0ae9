"""Base classes of the read-only trees over other people's objects."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Iterable

from wasihost.sandbox.names import os_error
from wasihost.vfs.nodes import Directory, File, Link, Node, Stat


class ListedDirectory(Directory):
    """A read-only directory that is listed once. A listing that fails is tried again at the next use."""

    __slots__ = ("_nodes", "_parent")

    def __init__(self, parent: Directory | None) -> None:
        self._parent = parent
        self._nodes: dict[str, Node] | None = None

    def listing(self) -> dict[str, Node]:
        """Return all names and their nodes. Guests do not see names that are not valid."""
        raise NotImplementedError

    def lookup(self, name: str) -> Node | None:
        return self._listed().get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        return self._listed().items()

    def above(self) -> Directory | None:
        return self._parent

    def _listed(self) -> dict[str, Node]:
        if self._nodes is None:
            self._nodes = self.listing()
        return self._nodes


class _Loaded:
    """The bytes of a file, freed when no open file refers to them."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data: bytes = data


class WholeFile(File):
    """A file that is read as a whole when it is opened. All open files share the bytes, which go with the last one."""

    __slots__ = ("_loaded",)

    def __init__(self) -> None:
        self._loaded: weakref.ref[_Loaded] | None = None

    def load(self) -> bytes:
        """Return the whole content."""
        raise NotImplementedError

    def opens_at_once(self) -> bool:
        return False  # it may be large

    def open(self, *, writing: bool) -> File:
        loaded = self._loaded() if self._loaded is not None else None
        if loaded is None:
            loaded = _Loaded(self.load())
            self._loaded = weakref.ref(loaded)
        return Content(self, loaded)


class Content(File):
    """An open file whose bytes are all in memory, with the inode of the file it was read from."""

    __slots__ = ("_file", "_loaded")

    def __init__(self, file: WholeFile, loaded: _Loaded) -> None:
        self._file = file
        self._loaded = loaded
        self.inode: int = file.inode

    def stat(self) -> Stat:
        return self._file.stat()._replace(size=len(self._loaded.data))

    def read(self, offset: int, size: int) -> bytes:
        return self._loaded.data[offset : offset + size]


class SealedLink(Link):
    """A link whose target the guest must not learn: reading it is EPERM."""

    __slots__ = ()

    def target(self) -> str:
        raise os_error(errno.EPERM, "a link in a tree of Python objects")
