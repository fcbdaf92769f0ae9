"""What a guest did to the files that it was given in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wasihost.vfs.budget import Lazy

if TYPE_CHECKING:
    from wasihost.vfs.memory_file import MemoryFile
    from wasihost.vfs.memoryfs import MemoryFS
    from wasihost.vfs.sparse import Sparse


class _Before(NamedTuple):
    """A file as it was; nothing is copied or loaded but what can change in place."""

    node: MemoryFile
    data: bytes | Lazy | Sparse
    version: int


class Picture(dict[str, _Before]):
    """A file system's files at one moment, to be compared with later."""

    def __init__(self, fs: MemoryFS) -> None:
        super().__init__()
        for path, node in fs.nodes():
            self[path] = _Before(node, node.frozen(), node.version)


class Changes(dict[str, bytes]):
    """Path -> content of every file that is new, or another than before.

    `created` and `changed` say which of the two, `removed` names files that are gone. A renamed file is one removed and
    one created; links and directories are not files.
    """

    created: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def __init__(self, before: Picture, fs: MemoryFS) -> None:
        super().__init__()
        paths = set()
        for path, node in fs.nodes():
            paths.add(path)
            was = before.get(path)
            if was is None or not _same(was, node):
                self[path] = node.image()
        self.created = tuple(path for path in self if path not in before)
        self.changed = tuple(path for path in self if path in before)
        self.removed = tuple(path for path in before if path not in paths)

    def __repr__(self) -> str:
        return f"Changes(created={self.created}, changed={self.changed}, removed={self.removed})"


def _same(was: _Before, node: MemoryFile) -> bool:
    """Whether the file has the content that it had. One that was loaded meanwhile has, unless it was written to."""
    if was.data is node.data or (was.node is node and was.version == node.version):
        return True
    return not isinstance(was.data, Lazy) and was.data == node.content()
