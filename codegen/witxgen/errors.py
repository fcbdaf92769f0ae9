"""The error for a spec that is wrong: the place, the source line, and what to do.

Rules of this file: an error is complete when it is raised; nothing is printed here. A faulty spec raises no other kind
of exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from witxgen.model import Span


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one file, kept for the excerpts of its errors. `file` is the path as errors print it."""

    file: str
    text: str

    def line(self, number: int) -> str:
        """Line `number` (1-based) without its end; empty past the last one."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 1 <= number <= len(lines) else ""


class Note(NamedTuple):
    """A second place that explains an error, such as the first definition of a repeated name."""

    span: Span
    message: str
    source_line: str


class WitxError(Exception):
    """The generator refuses an input.

    `str()` is `file:line:column: error: message`, the source line and a caret below the column, then the note in the
    same form if there is one. `line` and `column` are 1-based. Where the whole file is at fault, as it cannot be read,
    both are 0 and there is no excerpt.
    """

    def __init__(self, span: Span, message: str, source_line: str = "", note: Note | None = None) -> None:
        super().__init__(message)
        self.file = span.file
        self.line = span.line
        self.column = span.column
        self.message = message
        self.source_line = source_line
        self.note = note

    def __str__(self) -> str:
        text = _show(Span(self.file, self.line, self.column), "error", self.message, self.source_line)
        if self.note is not None:
            text += "\n" + _show(self.note.span, "note", self.note.message, self.note.source_line)
        return text


def _show(span: Span, kind: str, message: str, source_line: str) -> str:
    if span.line == 0:
        return f"{span.file}: {kind}: {message}"
    # A tab is repeated under itself, so that the caret is in the right column for any tab width.
    margin = "".join("\t" if char == "\t" else " " for char in source_line[: span.column - 1])
    margin = margin.ljust(span.column - 1)
    return f"{span.file}:{span.line}:{span.column}: {kind}: {message}\n{source_line}\n{margin}^"
