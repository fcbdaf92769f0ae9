"""File systems in memory on their way to the worker and back: back comes only what the guest changed.

Rules of this file: what comes back is checked as it is put together; a tree that is none is refused as a whole, and the
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
    """What the tree is now; and the same for the worker, with lazy content loaded."""
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
    """In the worker, a tree as it came, to be compared with at the end."""

    def __init__(self, fs: MemoryFS) -> None:
        self._fs = fs
        self._known = {
            node: (number, getattr(node, "version", 0)) for node, number in numbered(fs.root)[0].items()
        }  # which keeps the nodes, so that no other takes the place of one that is gone

    def changes(self, blobs: list[bytes | memoryview]) -> dict[str, Any]:
        """The tree as it is now, in types of JSON; content goes to the end of `blobs`."""
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
    """The snapshot that a worker describes; `sent` is the one that it was given. BadMessage for what is no tree."""
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
    """Every directory but the root, the first, has one name, in one that was listed before; files have one or more."""
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
