"""How results look in notebooks: HTML of values that a guest may have chosen.

Rules of this file: it imports nothing of the package. Everything is escaped here, and cut: what is shown is a summary.
Nothing needs a script or a style sheet.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_ROWS = 100
_CHARACTERS = 4_000
"""The most rows of a table, and characters of a text, that are shown."""
_CELL = 300
"""Characters in a cell."""


def escaped(text: str, *, lines: bool = False) -> str:
    """Return a text for HTML, with whatever is not printable as Python escapes it; with `lines`, line ends stay."""
    from html import escape

    if not text.isprintable():
        text = "".join(
            one if one.isprintable() or (lines and one == "\n") else one.encode("unicode_escape").decode()
            for one in text
        )
    return escape(text)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return escaped(text if len(text) <= _CELL else f"{text[:_CELL]}...")


def table(caption: str, rows: Iterable[Sequence[Any]], heads: Sequence[str] = ()) -> str:
    """Return a table. Without `heads` the first cell of each row is its head."""
    shown: list[str] = []
    more = 0
    for row in rows:
        if len(shown) == _ROWS:
            more += 1
            continue
        first, *others = map(_cell, row)
        tag = "td" if heads else 'th scope="row"'
        cells = "".join(f"<td>{one}</td>" for one in others)
        shown.append(f"<tr><{tag}>{first}</{tag.partition(' ')[0]}>{cells}</tr>")
    head = "".join(f'<th scope="col">{escaped(one)}</th>' for one in heads)
    caption += f" (and {more:,} more)" if more else ""
    return (
        f"<table><caption>{escaped(caption)}</caption>"
        + (f"<thead><tr>{head}</tr></thead>" if head else "")
        + f"<tbody>{''.join(shown)}</tbody></table>"
    )


def output(name: str, text: str | bytes | None) -> str:
    """Return what a guest wrote, closed until it is clicked; "" for nothing. Of a long text the end is shown."""
    if not text:
        return ""
    size = f"{len(text):,} {'characters' if isinstance(text, str) else 'bytes'}"
    end = text[-_CHARACTERS:]
    shown = end if isinstance(end, str) else bytes(end).decode("utf-8", "backslashreplace")
    cut = "the last " if len(end) < len(text) else ""
    note = f", {cut}{_CHARACTERS:,} shown" if cut else ""
    return (
        f"<details><summary>{escaped(name)} ({size}{note})</summary><pre>{escaped(shown, lines=True)}</pre></details>"
    )


def seconds(value: float) -> str:
    """Return a time for people."""
    return f"{value:.3f} s"


def size(value: float) -> str:
    """Return a number of bytes for people: 512 bytes, 1.5 MiB."""
    if value < 1024:
        return f"{value:.0f} bytes"
    power = min((int(value).bit_length() - 1) // 10, 4)
    return f"{value / (1 << 10 * power):.1f} {'KMGT'[power - 1]}iB"
