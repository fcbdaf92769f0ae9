"""File systems in memory, sent to the worker and back. Only what the guest changed is sent back.

Rules of this file: what comes back is checked while it is rebuilt; an invalid tree is refused as a whole, and the
embedder's stays as it was.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from wasihost.isolation.wire import BadMessage
from wasihost.vfs.quota import Lazy
from wasihost.vfs.snapshot import Content, Snapshot, capture, content_of, numbered
from wasihost.vfs.sparse import PAGE, Sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wasihost.vfs import MemoryFS
    from wasihost.vfs.memory_file import MemoryNode

_TIMES = 1 << 70
_NAME = 4096


def taken(fs: MemoryFS) -> tuple[Snapshot, Snapshot]:
    """Two snapshots of the tree: as it is, and for the worker, with lazy content loaded."""
    with fs.quota.lock:
        now = capture(fs.root)
    lazy = [node for _, node in fs.nodes() if isinstance(node.frozen(), Lazy)]
    if not lazy:
        return now, now
    for node in lazy:
        node.content()
    with fs.quota.lock:
        return now, capture(fs.root)


class Before:
    """In the worker: a tree as it was received, to compare with at the end."""

    def __init__(self, fs: MemoryFS) -> None:
        self._fs = fs
        self._known = {
            node: (number, getattr(node, "version", 0)) for node, number in numbered(fs.root)[0].items()
        }  # keeps the nodes alive, so that the identity of a deleted one is not reused

    def changes(self, blobs: list[bytes | memoryview]) -> dict[str, Any]:
        """The tree as it is now, in JSON types; content is appended to `blobs`."""
        with self._fs.quota.lock:
            numbers, names = numbered(self._fs.root)
            nodes = [[self._content(node, blobs), [node.atime, node.mtime, node.ctime]] for node in numbers]
        return {"nodes": nodes, "names": names}

    def _content(self, node: MemoryNode, blobs: list[bytes | memoryview]) -> Any:
        number, version = self._known.get(node, (-1, 0))
        content = content_of(node)
        if content is None:
            return None
        if isinstance(content, str):
            return content
        if number >= 0 and getattr(node, "version", 0) == version:
            return {"same": number}
        if isinstance(content, Lazy):
            raise TypeError("content that nobody has loaded")
        if isinstance(content, Sparse):
            base = len(blobs)
            blobs.append(memoryview(content.base)[: content.kept])
            pages = []
            for at, page in content.pages.items():
                pages.append(at)
                blobs.append(memoryview(page))
            return {"size": content.size, "base": base, "pages": pages}
        blobs.append(content)
        return {"blob": len(blobs) - 1}


def put_together(sent: Snapshot, tree: Any, blobs: Sequence[memoryview]) -> Snapshot:
    """The snapshot that a worker describes; `sent` is the one that it received. BadMessage for an invalid tree."""
    try:
        nodes = [(_content(sent, content, blobs), _times(times)) for content, times in tree["nodes"]]
        names = [(_number(parent), _name(name), _number(node)) for parent, name, node in tree["names"]]
        _check(nodes, names)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadMessage(f"a tree is no tree: {error!r}") from None
    return Snapshot(nodes, names)


def _content(sent: Snapshot, content: Any, blobs: Sequence[memoryview]) -> Content:
    if content is None or isinstance(content, str):
        return content
    if "same" in content:
        return sent.nodes[_number(content["same"])][0]
    if "blob" in content:
        return bytes(blobs[_number(content["blob"])])
    made = Sparse(bytes(blobs[at := _number(content["base"])]))
    made.size = _number(content["size"])
    for page in content["pages"]:
        at += 1
        if len(blobs[at]) != PAGE or _number(page) * PAGE >= made.size:
            raise BadMessage("a page that is none")
        made.pages[page] = bytearray(blobs[at])
    if made.kept > made.size:
        raise BadMessage("a file shorter than what is in it")
    return made


def _check(nodes: list[Any], names: list[tuple[int, str, int]]) -> None:
    """Check that every directory but the root (the first node) has exactly one name, in a directory that was listed
    before, and that files have one or more."""
    if not nodes or nodes[0][0] is not None:
        raise BadMessage("a tree without a root")
    named = {0}
    seen: set[tuple[int, str]] = set()
    for parent, name, node in names:
        if nodes[parent][0] is not None or parent not in named or node == 0 or node >= len(nodes):
            raise BadMessage("a name in what is no directory")
        if (nodes[node][0] is None and node in named) or (parent, name) in seen:
            raise BadMessage("a directory with two names, or a name with two nodes")
        named.add(node)
        seen.add((parent, name))
    if len(named) != len(nodes):
        raise BadMessage("a node without a name")


def _times(times: Any) -> tuple[int, int, int]:
    first, second, third = (_number(one, _TIMES) for one in times)
    return first, second, third


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) < _NAME or "/" in name or "\0" in name or name in (".", ".."):
        raise BadMessage("a name that is none")
    return name


def _number(number: Any, most: int = sys.maxsize) -> int:
    if type(number) is not int or not 0 <= number <= most:
        raise BadMessage("a number out of range")
    return number
