"""Doc comments of the spec -> docstrings of the generated code.

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
    """Docstrings for one document."""

    def __init__(self, document: Document) -> None:
        self._types = {definition.name: definition for definition in document.types}

    def prose(self, text: str) -> str:
        """The text with its references in Python's names."""
        if text.startswith("witx `"):  # the spec's own name is what this line is for
            return text
        return re.sub(r"`(\w+)(?:::(\w+))?`", self._reference, text.strip())

    def _reference(self, match: re.Match[str]) -> str:
        name, part = match.group(1), match.group(2)
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
        """A docstring of these paragraphs, each wrapped; empty ones are left out. Lines of a list keep their own."""
        width = WIDTH - indent
        done: list[str] = []
        for paragraph in paragraphs:
            if paragraph.strip():
                done.append("\n".join(_wrap(part, width) for part in self.prose(paragraph).split("\n\n")))
        return quote("\n\n".join(done), indent)

    def section(self, title: str, entries: list[tuple[str, str]], indent: int) -> str:
        """`Args:` and the like: a title and indented entries. The result is passed to `block` as it is."""
        lines = [f"{title}:"]
        for name, text in entries:
            body = " ".join(self.prose(text).split()) or "see the type."
            lines.append(textwrap.fill(f"{name}: {body}" if name else body, WIDTH - indent, initial_indent="    ",
                                       subsequent_indent="        "))  # fmt: skip
        return "\n".join(lines)


def _wrap(text: str, width: int) -> str:
    if re.match(r"\w+:\n    ", text):  # a section, wrapped already
        return text
    return textwrap.fill(" ".join(text.split()), width)


def quote(text: str, indent: int) -> str:
    """`text` as a triple-quoted literal whose later lines are indented."""
    pad = " " * indent
    prefix = "r" if "\\" in text else ""
    text = text.replace('"""', "'''")
    if text.endswith('"'):
        text += " "
    lines = text.split("\n")
    if len(lines) == 1:
        return f'{prefix}"""{text}"""'
    rest = "\n".join(pad + line if line else "" for line in lines[1:])
    return f'{prefix}"""{lines[0]}\n{rest}\n{pad}"""'
