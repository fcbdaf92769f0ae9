"""The summary as a picture: how long each host takes for a kind of work, as a multiple of what wasihost takes.

Rules: pure; plain SVG, which its own background makes readable on light and on dark pages. The scale is logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Final

from tests.bench.cases import Numbers
from tests.bench.hosts import TITLES, USUAL
from tests.bench.summary import Row

WIDTH: Final = 860
LEFT, RIGHT, TOP, STEP, BOTTOM = 190, 30, 96, 34, 54
COLOURS: Final = {"pure": "#3b82f6", "wasmtime-py": "#e08a00", "node": "#2f9e55", "wasmtime": "#a35cd6"}
"""Of the dots; readable on both backgrounds."""

STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 12px; fill: #59636e }
  .title { font-size: 15px; font-weight: 600 }
  .page { fill: #ffffff; stroke: #d1d9e0 }
  .grid { stroke: #d1d9e0 }
  .one { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .page { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #3d444d }
    .one { stroke: #f0f6fc }
  }
"""


def svg(rows: list[Row], numbers: Numbers, taken: str) -> str:
    """One line of dots per row; a host that cannot do it has none."""
    multiples = [(row, row.multiples(numbers)) for row in rows]
    found = [value for _, line in multiples for value in line.values()]
    low = math.floor(math.log10(min([*found, 0.5])))
    high = math.ceil(math.log10(max([*found, 2.0])))
    bottom = TOP + STEP * len(rows)

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img"'
        ' aria-labelledby="title">',
        '<title id="title">Time of each host as a multiple of the time of wasihost</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{bottom + BOTTOM - 1}" rx="8"/>',
        '<text class="title" x="20" y="28">Time as a multiple of wasihost\'s</text>',
        f'<text class="small" x="{WIDTH - RIGHT}" y="28" text-anchor="end">left of 1: faster than wasihost;'
        " right of 1: slower</text>",
        *_legend(),
    ]
    for power in range(low, high + 1):
        at = x(10.0**power)
        kind = "one" if power == 0 else "grid"
        lines.append(f'<line class="{kind}" x1="{at:.1f}" y1="{TOP - 18}" x2="{at:.1f}" y2="{bottom}"/>')
        label = f"{10.0**power:g}&#215;"
        lines.append(f'<text class="small" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    for index, (row, line) in enumerate(multiples):
        y = TOP + STEP * index
        lines.append(f'<text x="{LEFT - 16}" y="{y + 4}" text-anchor="end">{escape(row.short)}</text>')
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke-dasharray="1 4"/>')
        for column, value in line.items():
            said = f"{row.short}: {TITLES[column]} takes {value:.3g} times as long"
            lines.append(
                f'<circle cx="{x(value):.1f}" cy="{y}" r="6.5" fill="{COLOURS[column]}" fill-opacity="0.9">'
                f"<title>{escape(said)}</title></circle>"
            )
    lines.append(f'<text class="small" x="20" y="{bottom + 40}">{escape(taken)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _legend() -> Iterator[str]:
    at = 26
    for column in USUAL[1:]:
        yield f'<circle cx="{at}" cy="52" r="6.5" fill="{COLOURS[column]}"/>'
        yield f'<text x="{at + 12}" y="56">{escape(TITLES[column])}</text>'
        at += 40 + round(7.4 * len(TITLES[column]))
    yield f'<line class="one" x1="{at}" y1="44" x2="{at}" y2="60"/>'
    yield f'<text x="{at + 10}" y="56">{escape(TITLES["native"])}</text>'
