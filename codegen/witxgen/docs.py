"""Doc comments of the spec to docstrings of the generated code.

Rules of this file: text only. References such as `errno::inval` are rewritten to the Python names they have here.
"""

from __future__ import annotations

import re
import textwrap

from witxgen import names
from witxgen.model import Document, Enum, Flags, Record, Variant

WIDTH = 114
"""Columns of a docstring's text, its quotes not counted."""


class Docs:
    """Docstrings for one document, or for one function of it, whose parameters come before types of their names."""

    def __init__(self, document: Document, params: dict[str, str] | None = None) -> None:
        self._document = document
        self._types = {definition.name: definition for definition in document.types}
        self._params = params or {}

    def within(self, params: dict[str, str]) -> Docs:
        """The docstrings of a function; `params` are its parameters, the spec's names to Python's."""
        return Docs(self._document, params)

    def prose(self, text: str) -> str:
        """The text with its references rewritten to Python's names."""
        if text.startswith("witx `"):  # the spec's own name is what this line is for
            return text
        return re.sub(r"`(\w+)(?:::(\w+))?`", self._reference, text.strip())

    def _reference(self, match: re.Match[str]) -> str:
        name, part = match.group(1), match.group(2)
        if part is None and name in self._params:
            return f"`{self._params[name]}`"
        definition = self._types.get(name)
        if definition is None:
            return match.group(0) if part is None else f"`{name}`'s `{names.value_name(part)}`"
        owner = names.class_name(name)
        if part is None:
            return f"`{owner}`"
        match definition.type:
            case Enum() | Flags():
                return f"`{owner}.{names.member_name(part)}`"
            case Record():
                return f"`{owner}.{names.field_name(part)}`"
            case Variant():
                return f"`{names.case_class_name(name, part)}`"
            case _:
                return match.group(0)

    def block(self, *paragraphs: str, indent: int) -> str:
        """A docstring of these paragraphs, wrapped, with blank lines between them; empty ones are left out.

        Each item of a list starts a line, and code between fences keeps its lines.
        """
        width = WIDTH - indent
        done = [text for paragraph in paragraphs for text in _parts(self.prose(paragraph), width)]
        return quote("\n\n".join(done), indent)

    def section(self, title: str, entries: list[tuple[str, str]], indent: int) -> str:
        """`Args:` and the like: a title and the entries that have a text, indented; empty where none has.

        The result is passed to `block` unchanged.
        """
        lines = [f"{title}:"]
        for name, text in entries:
            body = " ".join(self.prose(text).split())
            if not body:
                continue
            lines.append(_fill(f"{name}: {body}" if name else body, WIDTH - indent, "    ", "        "))
        return "\n".join(lines) if len(lines) > 1 else ""


_ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])(\s+)")
_SECTION = re.compile(r"\w+:\n    ")


def _parts(text: str, width: int) -> list[str]:
    """The paragraphs, lists and pieces of code of a text, each wrapped as its kind is."""
    if _SECTION.match(text):  # wrapped already
        return [text]
    done: list[str] = []
    for i, piece in enumerate(re.split(r"^([ \t]*```[\s\S]*?^[ \t]*```[^\n]*)$", text, flags=re.M)):
        if i % 2:
            lines = textwrap.dedent(piece).rstrip().split("\n")
            done.append("\n".join(_code(line, width) for line in lines))
        else:
            done += [_wrap(part, width) for part in re.split(r"\n\s*\n", piece) if part.strip()]
    return done


def _wrap(text: str, width: int) -> str:
    """A paragraph as lines of at most `width`; each item of a list, and a heading, starts a line."""
    items: list[tuple[str, str, list[str]]] = []
    for line in text.strip("\n").split("\n"):
        mark = _ITEM.match(line)
        if mark:
            items.append((mark.group().expandtabs(4), " " * len(mark.group().expandtabs(4)), [line[mark.end() :]]))
        elif items and not line.startswith("#"):
            items[-1][2].append(line)
        else:
            items.append(("", "", [line]))
    return "\n".join(_fill(" ".join(" ".join(words).split()), width, first, rest) for first, rest, words in items)


def _code(line: str, width: int) -> str:
    """A line of code as it is, unless it is too long."""
    margin = line[: len(line) - len(line.lstrip())]
    return line if len(line) <= width else _fill(line.strip(), width, margin, margin + "    ")


def _fill(text: str, width: int, first: str, rest: str) -> str:
    """Wrapped text; a word, such as an address, is never broken."""
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def quote(text: str, indent: int) -> str:
    """`text` as a triple-quoted literal whose later lines are indented."""
    pad = " " * indent
    prefix = "r" if "\\" in text else ""
    text = text.replace('"""', "'''").strip()
    lines = text.split("\n")
    if lines[0].startswith('"'):
        lines[0] = " " + lines[0]
    if len(lines) == 1:
        gap = " " if text.endswith(('"', "\\")) else ""
        return f'{prefix}"""{lines[0]}{gap}"""'
    rest = "\n".join(pad + line.rstrip() if line.strip() else "" for line in lines[1:])
    return f'{prefix}"""{lines[0]}\n{rest}\n{pad}"""'
