"""A tree of Python objects, such as a `MemoryFS`, to which the changes of an overlay are made."""

from __future__ import annotations

import errno
import itertools
import secrets
from typing import Final

from wasihost.overlays.applying import unsupported_kind
from wasihost.overlays.folder_target import ASIDE
from wasihost.sandbox.names import os_error
from wasihost.vfs.nodes import Directory, File, Link, Node

_PIECE: Final = 1 << 18


class TreeTarget:
    """The tree from `root` on."""

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._numbers = itertools.count(1)
        self._name = ASIDE + secrets.token_hex(6)
        root.create_directory(self._name)
        aside = root.lookup(self._name)
        assert isinstance(aside, Directory)
        self._aside = aside

    def close(self) -> None:
        """Remove what is still aside."""
        for name, _ in list(self._aside.entries()):
            self._aside.remove(name)
        self._root.remove_directory(self._name)

    def stage(self, node: Node) -> str:
        """Write a file or a link aside."""
        name = str(next(self._numbers))
        if isinstance(node, Link):
            self._aside.create_link(name, node.target())
        elif isinstance(node, File):
            source, made = node.open(writing=False), self._aside.create_file(name).open(writing=True)
            try:
                size = source.stat().size
                for at in range(0, size, _PIECE):
                    rest = memoryview(source.read(at, min(_PIECE, size - at)))
                    while rest:
                        written = made.write(at, bytes(rest))
                        at, rest = at + written, rest[written:]
                made.set_times(source.stat().atime_ns, source.stat().mtime_ns)
                made.sync()
            finally:
                made.close()
                source.close()
        else:
            raise unsupported_kind(node)
        return name

    def stage_link(self, staged: str) -> str:
        """Make a second name for what was written aside."""
        name = str(next(self._numbers))
        node = self._aside.lookup(staged)
        assert node is not None
        self._aside.link(name, node)
        return name

    def place(self, staged: str, path: str) -> None:
        """Move it to a path."""
        parent, _, name = path.rpartition("/")
        self._aside.rename(staged, self._opened(parent), name)

    def make_directory(self, path: str, *, replacing: bool) -> None:
        """Make a directory, unless there is one."""
        parent, _, name = path.rpartition("/")
        directory = self._opened(parent)
        node = directory.lookup(name)
        if isinstance(node, Directory):
            return
        if node is not None:
            if not replacing:
                raise os_error(errno.ENOTDIR, path)
            directory.remove(name)
        directory.create_directory(name)

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty directory."""
        parent, _, name = path.rpartition("/")
        try:
            directory = self._opened(parent)
            node = directory.lookup(name)
            if isinstance(node, Directory):
                directory.remove_directory(name)
            elif node is not None:
                directory.remove(name)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY):
                raise

    def set_times(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        """Set the times of a file or a link."""
        parent, _, name = path.rpartition("/")
        node = self._opened(parent).lookup(name)
        if node is not None:
            node.set_times(atime_ns, mtime_ns)

    def finish(self) -> None:
        """There is no disk."""

    def _opened(self, path: str) -> Directory:
        here: Node | None = self._root
        for name in path.split("/") if path else ():
            here = here.lookup(name) if isinstance(here, Directory) else None
        if not isinstance(here, Directory):
            raise os_error(errno.ENOENT if here is None else errno.ENOTDIR, path)
        return here
