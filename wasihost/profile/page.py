"""A profile as one page of HTML: charts over time, a flame graph, tables.

Rules of this file: the page loads nothing, and its policy (CSP) lets only its own script run. Names and paths come from
the guest: `_text` makes them printable and escapes them, `_data` escapes what ends a script. The tables and charts are
there without JavaScript.
"""

from __future__ import annotations

import base64
import hashlib
import json
import pkgutil
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any, Final

from wasihost.outcomes import printable
from wasihost.profile.flame import tree
from wasihost.profile.timeline import CATEGORIES
from wasihost.representation import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wasihost.profile import Profile
    from wasihost.profile.timeline import Slice

_ROWS: Final = 300
"""Rows that a table has at most."""
_WIDE, _HIGH = 1000, 100
"""Units of a chart."""


def page(profile: Profile) -> str:
    """Return the text of the page."""
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(_file("page.html")).substitute(
        hash=digest,
        title=_text(profile.name),
        style=_file("page.css"),
        script=script,
        sums=_sums(profile),
        notes=_notes(profile.notes),
        charts=_charts(profile),
        functions=_functions(profile),
        calls=_calls(profile),
        data=_data({"tree": tree(profile.report), "slices": _slices(profile)}),
    )


def _file(name: str) -> str:
    content = pkgutil.get_data(__name__, name)
    assert content is not None
    return content.decode()


def _text(text: str) -> str:
    return escape(printable(text))


def _data(value: Any) -> str:
    """JSON that can be within a script element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def seconds(value: float) -> str:
    """A time for people."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if value >= 0.001 else f"{value * 1e6:.0f} us"


# -- head --------------------------------------------------------------------------------------------------------------


def _sums(profile: Profile) -> str:
    interval = profile.recorder.first_interval / 1e9
    facts = (
        ("ran for", seconds(profile.seconds)),
        ("the guest's own code", seconds(profile.guest_seconds)),
        ("calls of the host", seconds(profile.host_seconds)),
        ("memory at the end", size(profile.growth[-1].memory)),
        ("samples", f"{profile.samples:,}, every {seconds(interval)}"),
        ("taken by the profile", seconds(profile.overhead_seconds)),
    )
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in facts)


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(note)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>\n' if items else ""


# -- over time ---------------------------------------------------------------------------------------------------------


def _slices(profile: Profile) -> dict[str, Any]:
    growth = profile.growth
    return {
        "width": profile.report.width / 1e3,
        "categories": CATEGORIES,
        "used": [[round(one / 1e3, 1) for one in each.used] for each in profile.report.slices],
        "memory": [one.memory for one in growth],
        "read": [one.read for one in growth],
        "written": [one.written for one in growth],
    }


def _charts(profile: Profile) -> str:
    report, growth = profile.report, profile.growth
    sums = [sum(each.used[kind] for each in report.slices) / 1e9 for kind in range(len(CATEGORIES))]
    total = sum(sums) or 1
    shown = [kind for kind in range(len(CATEGORIES)) if sums[kind]]
    keys = [
        (f'<rect class="k{kind}" width="10" height="10"/>', f"{CATEGORIES[kind]} {100 * sums[kind] / total:.1f} %")
        for kind in shown
    ]
    areas = "".join(f'<path class="k{kind}" d="{path}"/>' for kind, path in _areas(report.slices, report.width, shown))
    made = [_chart("What the time was used for", keys, areas)]
    lines = {name: [getattr(one, name) for one in growth] for name in ("memory", "written", "read")}
    most = max(lines["memory"])
    text = f"memory, from {size(next(filter(None, lines['memory']), 0))} to {size(lines['memory'][-1])}"
    made.append(_chart("Memory", [(_line_key("memory"), text)], _line("memory", lines["memory"], most)))
    most = max(lines["written"][-1], lines["read"][-1])
    if most:
        keys = [(_line_key(name), f"{name} {size(lines[name][-1])}") for name in ("written", "read")]
        made.append(
            _chart("Bytes moved", keys, "".join(_line(name, lines[name], most) for name in ("written", "read")))
        )
    return "".join(made)


def _chart(title: str, keys: Sequence[tuple[str, str]], content: str) -> str:
    label = escape(f"{title}: {'; '.join(text for _, text in keys)}")
    legend = "".join(
        f'<span class="key"><svg viewBox="0 0 10 10" aria-hidden="true">{mark}</svg>{escape(text)}</span>'
        for mark, text in keys
    )
    return (
        f'<figure><svg role="img" aria-label="{label}" viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" '
        f'height="{_HIGH * (1 if "time" in title else 0.6):.0f}">{content}</svg>'
        f"<figcaption><strong>{title}</strong>{legend}</figcaption></figure>\n"
    )


def _line_key(name: str) -> str:
    return f'<path class="{name}" d="M0 5H10"/>'


def _areas(slices: Sequence[Slice], width: int, shown: Sequence[int]) -> Iterable[tuple[int, str]]:
    """The outline of each category, one on top of another."""
    step = _WIDE / len(slices)
    floor = [0.0] * len(slices)
    for kind in shown:
        top = [min(low + each.used[kind] / width, 1) for low, each in zip(floor, slices, strict=True)]
        there = _steps(top, step)
        back = _steps(floor, step)[::-1]
        yield kind, "M" + "L".join(f"{x:.1f} {_HIGH * (1 - y):.1f}" for x, y in (*there, *back)) + "Z"
        floor = top


def _steps(heights: Sequence[float], step: float) -> list[tuple[float, float]]:
    return [(x, y) for at, y in enumerate(heights) for x in (at * step, (at + 1) * step)]


def _line(name: str, values: Sequence[int], most: int) -> str:
    points = _steps([0.95 * value / (most or 1) for value in values], _WIDE / len(values))
    path = "M" + "L".join(f"{x:.1f} {_HIGH * (1 - y):.1f}" for x, y in points)
    return f'<path class="{name}" d="{path}"/>'


# -- tables ------------------------------------------------------------------------------------------------------------


def _functions(profile: Profile) -> str:
    total = sum(one.seconds for one in profile.functions) or 1
    placed = any(one.place for one in profile.functions)
    rows = [
        (
            _name(one.name),
            *([_cell("path", str(one.place or ""))] if placed else []),
            _cell("", "" if one.name.startswith("(") else "host" if one.host else "guest"),
            _number(one.seconds, seconds(one.seconds)),
            _number(one.seconds, f"{100 * one.seconds / total:.1f} %"),
            _number(one.total, seconds(one.total)),
            _number(one.samples, f"{one.samples:,}"),
        )
        for one in profile.functions[:_ROWS]
    ]
    heads = "function", *(["in"] if placed else []), "of", "#own time", "#share", "#with what it called", "#samples"
    return _table(
        f"{len(profile.functions):,} functions that samples found; own time is the time in the function itself",
        heads,
        rows,
        len(profile.functions),
    )


def _calls(profile: Profile) -> str:
    rows = [
        (
            _name(one.function),
            f'<td class="path">{_text(one.path)}</td>',
            f'<td class="path">{_text(one.mount)}</td>',
            _number(one.calls, f"{one.calls:,}"),
            _number(one.failed, f"{one.failed:,}"),
            _number(one.seconds, seconds(one.seconds)),
            _number(one.longest, seconds(one.longest)),
            _number(one.read, size(one.read)),
            _number(one.written, size(one.written)),
        )
        for one in profile.calls[:_ROWS]
    ]
    heads = "function", "path", "mount", "#calls", "#failed", "#time", "#longest", "#read", "#written"
    count = sum(one.calls for one in profile.calls)
    return _table(f"{count:,} calls, by function, path and mount", heads, rows, len(profile.calls))


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], count: int) -> str:
    if not rows:
        return "<p>None.</p>\n"
    if count > len(rows):
        caption += f"; the first {len(rows):,} are shown"
    head = "".join(
        f'<th scope="col"{num}>{name.lstrip("#")}</th>'
        for name in heads
        for num in (' class="num"' if name.startswith("#") else "",)
    )
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _cell(kind: str, text: str) -> str:
    return f'<td class="{kind}">{_text(text)}</td>' if kind else f"<td>{_text(text)}</td>"


def _name(text: str) -> str:
    return _cell("name", text)


def _number(value: float, text: str) -> str:
    return f'<td class="num" data-v="{value:.9g}">{text}</td>'
