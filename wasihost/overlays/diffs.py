"""The differences of an overlay as text, in the form of `git diff`, which `git apply` and `patch -p1` read.

Rules of this file: a name that a guest chose is quoted as git does it if it could be mistaken for something else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator
from typing import Final

from wasihost.overlays.changes import Difference, is_alike, walk
from wasihost.overlays.contents import read_exactly
from wasihost.vfs.nodes import Directory, File, Link, Node

LARGEST: Final = 1 << 20
"""Bytes up to which a file is compared line by line."""
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def as_text(found: Iterable[Difference]) -> str:
    """Return the differences as text. Differences of times are left out."""
    found = [one for one in found if one.kind != "touched"]
    changed = {one.path for one in found if one.kind == "changed"}
    return "".join(line for one in found for line in _of_one(one, changed))


def _of_one(one: Difference, changed: Container[str]) -> Iterator[str]:
    before, after = one.below, one.node
    if one.kind == "renamed" and one.old_path is not None:
        yield from _renamed(one.old_path, one.path, after, changed)
    elif before is not None and after is not None and not is_alike(before, after):
        yield from _of_one(Difference("removed", one.path, None, None, before), changed)
        yield from _of_one(Difference("created", one.path, None, after, None), changed)
    elif isinstance(after or before, Directory):
        yield f"directory {one.kind}: {_quoted(one.path)}\n"
    else:
        yield from _edited(one.old_path or one.path, one.path, before, after)


def _renamed(old: str, path: str, node: Node | None, changed: Container[str]) -> Iterator[str]:
    """What was moved, and of a directory all files in it; those with other content too come by themselves."""
    if isinstance(node, Directory):
        yield f"directory renamed: {_quoted(old)} -> {_quoted(path)}\n"
        for below, inner in sorted(walk(node), key=lambda one: one[0]):
            if not isinstance(inner, Directory) and getattr(inner, "origin", None) == f"{old}/{below}":
                yield from _renamed(f"{old}/{below}", f"{path}/{below}", inner, changed)
    elif path not in changed:
        yield f"diff --git {_quoted(f'a/{old}')} {_quoted(f'b/{path}')}\n"
        yield "similarity index 100%\n"
        yield f"rename from {_quoted(old)}\n"
        yield f"rename to {_quoted(path)}\n"


def _edited(origin: str, path: str, before: Node | None, after: Node | None) -> Iterator[str]:
    old, new = _quoted(f"a/{origin}"), _quoted(f"b/{path}")
    yield f"diff --git {old} {new}\n"
    if origin != path:
        yield f"rename from {_quoted(origin)}\n"
        yield f"rename to {_quoted(path)}\n"
    if before is None:
        yield f"new file mode {_mode(after)}\n"
        old = "/dev/null"
    elif after is None:
        yield f"deleted file mode {_mode(before)}\n"
        new = "/dev/null"
    first, second = _text(before), _text(after)
    if first is None or second is None:
        yield f"Binary files {old} and {new} differ\n"
        return
    for number, line in enumerate(difflib.unified_diff(_lines(first), _lines(second), old, new, lineterm="")):
        if line.endswith("\n"):
            yield line
        else:
            yield f"{line}\n" if number < 2 or line[0] == "@" else f"{line}\n\\ No newline at end of file\n"


def _mode(node: Node | None) -> str:
    return "120000" if isinstance(node, Link) else "100644"


def _text(node: Node | None) -> str | None:
    """Return the content of a file, or the target of a link; None if it is large, or not text."""
    if node is None:
        return ""
    if isinstance(node, Link):
        return node.target()
    if not isinstance(node, File) or node.stat().size > LARGEST:
        return None
    opened = node.open(writing=False)
    try:
        content = read_exactly(opened, 0, node.stat().size)
    finally:
        opened.close()
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> list[str]:
    """Split at newlines only, and keep them."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _quoted(path: str) -> str:
    if path.isprintable() and '"' not in path and "\\" not in path:
        return path
    return '"' + "".join(map(_escaped, path)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
