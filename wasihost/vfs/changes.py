"""Which files of a `MemoryFS` a guest created, changed or removed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from wasihost.vfs.quota import Lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasihost.vfs.memory_file import MemoryFile
    from wasihost.vfs.memoryfs import MemoryFS
    from wasihost.vfs.sparse import Sparse

_PATHS: Final = 64 << 20
"""Bytes that the paths of changed files may take in all: a guest can choose long ones."""


class _Before(NamedTuple):
    """A file as it was. Only content that can change in place is copied; nothing is loaded."""

    node: MemoryFile
    data: bytes | Lazy | Sparse
    version: int


class Baseline(dict[str, _Before]):
    """The files of a file system at one moment, to compare later ones with."""

    def __init__(self, fs: MemoryFS) -> None:
        super().__init__()
        known: dict[MemoryFile, _Before] = {}  # a file has one content, whatever its number of names
        for path, node in fs.nodes():
            if node not in known:
                known[node] = _Before(node, node.frozen(), node.version)
            self[path] = known[node]


class Changes(dict[str, bytes]):
    """Path -> content of every file that was created or changed.

    Links and directories are not included. A renamed file counts as one removed and one created. The names of one file
    (hard links) share its content.

    Attributes:
        created: Paths of new files.
        changed: Paths of files with other content than before.
        removed: Paths of files that are gone.
        omitted: Number of files left out because the paths of the others take 64 MiB already.
    """

    created: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    omitted: int

    def __init__(self, before: Baseline, fs: MemoryFS) -> None:
        super().__init__()
        self.omitted = 0
        left, room = set(before), _PATHS
        images: dict[MemoryFile, bytes] = {}
        for path, node in fs.nodes():
            was = before.get(path)
            left.discard(path)
            if was is not None and _same(was, node):
                continue
            room -= sys.getsizeof(path)
            if room < 0:
                self.omitted += 1
                continue
            if node not in images:
                images[node] = node.image()
            self[path] = images[node]
        self.created = tuple(path for path in self if path not in before)
        self.changed = tuple(path for path in self if path in before)
        self.removed = tuple(path for path in before if path in left)

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from wasihost.representation import size, table

        rows = [
            (path, what, size(len(self[path])) if path in self else "")
            for what in ("created", "changed", "removed")
            for path in getattr(self, what)
        ]
        left_out = f", {self.omitted:,} left out" if self.omitted else ""
        return table(f"{len(rows):,} changed files{left_out}", rows, ("path", "what", "size"))

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        """The paths, for rich."""
        for what in ("created", "changed", "removed"):
            yield what, getattr(self, what), ()
        yield "omitted", self.omitted, 0

    def __repr__(self) -> str:
        return f"Changes(created={self.created}, changed={self.changed}, removed={self.removed})"


def _same(was: _Before, node: MemoryFile) -> bool:
    """Whether the content is the same. A lazy file that was loaded since counts as unchanged unless it was written."""
    if was.data is node.data or (was.node is node and was.version == node.version):
        return True
    return not isinstance(was.data, Lazy) and was.data == node.content()
