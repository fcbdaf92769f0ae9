"""What the read-only trees of other people's objects have in common."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Iterable

from wasihost.sandbox.names import os_error
from wasihost.vfs.nodes import Directory, File, Link, Node, Stat


class ListedDirectory(Directory):
    """A directory to be read only, what is in which is asked for once; a listing that fails is asked for again."""

    __slots__ = ("_above", "_nodes")

    def __init__(self, above: Directory | None) -> None:
        self._above = above
        self._nodes: dict[str, Node] | None = None

    def listing(self) -> dict[str, Node]:
        """Ask for it: names, with what they are. Those that cannot be names are left out of what a guest is given."""
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


class _Held:
    """Bytes that go when nothing that is open has them any longer."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data


class WholeFile(File):
    """A file whose content is read when it is opened, and held by what is open only: once, however often it is open."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: weakref.ref[_Held] | None = None

    def load(self) -> bytes:
        """Read it."""
        raise NotImplementedError

    def opens_at_once(self) -> bool:
        """It may be large."""
        return False

    def open(self, *, writing: bool) -> File:
        """Reads it, unless it is open already."""
        held = self._held() if self._held is not None else None
        if held is None:
            held = _Held(self.load())
            self._held = weakref.ref(held)
        return Content(self, held)


class Content(File):
    """An open file whose bytes are all here; to the guest it is the file it was read from."""

    __slots__ = ("_file", "_held")

    def __init__(self, file: WholeFile, held: _Held) -> None:
        self._file = file
        self._held = held
        self.inode = file.inode

    def stat(self) -> Stat:
        """The file's."""
        return self._file.stat()._replace(size=len(self._held.data))

    def read(self, offset: int, size: int) -> bytes:
        """A part of it."""
        return self._held.data[offset : offset + size]


class SealedLink(Link):
    """A link whose content is not for the guest."""

    __slots__ = ()

    def target(self) -> str:
        """Raises: EPERM."""
        raise os_error(errno.EPERM, "a link in a tree of Python objects")
