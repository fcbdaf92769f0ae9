"""The differences of an overlay as text, in the form of `git diff`, which `git apply` and `patch -p1` read.

Rules of this file: a name that a guest chose is quoted as git does it if it could be mistaken for something else.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Final

from wasihost.overlays.changes import Difference, is_alike, walk
from wasihost.overlays.contents import read_exactly
from wasihost.vfs.nodes import Directory, File, Link, Node

LARGEST: Final = 1 << 20
"""Bytes up to which a file is compared line by line."""
MOST_PAIRS: Final = 2_000_000
"""Pairs of equal lines up to which lines are matched, which takes a second or less."""
_CONTEXT: Final = 3
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
    for number, line in enumerate(_unified(_lines(first), _lines(second), old, new)):
        if line.endswith("\n"):
            yield line
        else:
            yield f"{line}\n" if number < 2 or line[0] == "@" else f"{line}\n\\ No newline at end of file\n"


def _unified(first: list[str], second: list[str], old: str, new: str) -> Iterator[str]:
    """As `difflib.unified_diff`. Where that could take minutes, all lines between the first and the last difference are
    one change: a guest chooses the lines."""
    if _pairs(first, second) <= MOST_PAIRS:
        yield from difflib.unified_diff(first, second, old, new, lineterm="")
        return
    begin = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    if begin is None:
        begin = min(len(first), len(second))
    same = 0
    while same < min(len(first), len(second)) - begin and first[-1 - same] == second[-1 - same]:
        same += 1
    start, after = max(0, begin - _CONTEXT), min(same, _CONTEXT)
    ends = len(first) - same, len(second) - same
    yield f"--- {old}"
    yield f"+++ {new}"
    yield f"@@ -{start + 1},{ends[0] + after - start} +{start + 1},{ends[1] + after - start} @@"
    yield from (f" {line}" for line in first[start:begin])
    yield from (f"-{line}" for line in first[begin : ends[0]])
    yield from (f"+{line}" for line in second[begin : ends[1]])
    yield from (f" {line}" for line in first[ends[0] : ends[0] + after])


def _pairs(first: list[str], second: list[str]) -> int:
    """Return how many pairs of equal lines difflib would look at: not those of lines that it finds too frequent."""
    counts = Counter(second)
    if len(second) >= 200:
        most = len(second) // 100 + 1
        counts = Counter({line: count for line, count in counts.items() if count <= most})
    return sum(counts[line] for line in first)


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
