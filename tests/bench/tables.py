"""The numbers of a run as text, for a terminal.

Rules: pure. Times are in ns, those of a millisecond and more with their unit; what was not measured is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.bench.cases import GROUPS, MIXED, UNITS, Numbers, mean_ratio, ratio
from tests.bench.goals import Verdict
from tests.bench.hosts import OURS, TITLES

_NAME: Final = 26
_NUMBER: Final = 12
_RATIO: Final = 10

_PEERS: Final = {"wasmtime-py": "/wt-py", "node": "/node", "wasmtime": "/wasmtime"}
"""Those that do what we do -> the head of a column of ratios. The other columns are parts of us, or plain Python."""


def table(numbers: Numbers) -> str:
    """The cases by group, with the geometric means of their ratios below; empty if nothing was measured."""
    columns = [column for column in TITLES if any(column in found for found in numbers.values())]
    pairs = [(ours, peer) for ours in OURS[::-1] for peer in _PEERS if {ours, peer} <= set(columns)]
    heads = [ours if index == 0 or pairs[index - 1][0] != ours else "" for index, (ours, _) in enumerate(pairs)]
    lines = [
        _line("", [""] * len(columns), heads),
        _line("ns", columns, [_PEERS[peer] for _, peer in pairs]),
    ]
    for group, names in GROUPS.items():
        shown = [case for case in names if numbers.get(case)]
        if not shown:
            continue
        lines += ["", group]
        for case in shown:
            cells = [cell(numbers[case].get(column), UNITS.get(case, "ns")) for column in columns]
            ratios = [None if case in UNITS else ratio(numbers, case, *pair) for pair in pairs]
            lines.append(_line(f"  {case}", cells, map(decimal, ratios)))
        means = [mean_ratio(numbers, shown, *pair) for pair in pairs if group not in MIXED]
        if len(shown) > 1 and any(means):
            lines.append(_line("  geometric mean", [""] * len(columns), map(decimal, means)))
    return "\n".join(lines) if columns else ""


def _line(name: str, numbers: Iterable[str], ratios: Iterable[str]) -> str:
    cells = [one.rjust(_NUMBER) for one in numbers] + [one.rjust(_RATIO) for one in ratios]
    return (name.ljust(_NAME) + "".join(cells)).rstrip()


def cell(value: float | None, unit: str = "ns") -> str:
    """A number, short enough for a column."""
    if value is None:
        return "-"
    if unit != "ns":
        return f"{value:,.2f} {unit}".rstrip()
    for size, name in ((1e9, "s"), (1e6, "ms")):
        if value >= size:
            return f"{value / size:,.2f} {name}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def decimal(value: float | None) -> str:
    """A ratio."""
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def judged(verdicts: list[Verdict], missing: dict[str, str]) -> str:
    """The goals, and how we stand to each of them, with and without the extension."""
    lines = [_goal("goals", ("pure", "goal", "native", "goal"))]
    for name in dict.fromkeys(verdict.name for verdict in verdicts):
        cells = []
        for column in OURS:
            one = next((one for one in verdicts if (one.name, one.column) == (name, column)), None)
            cells.append("-" if one is None else decimal(one.value) + ("  MISSED" if one.met is False else ""))
            cells.append("-" if one is None else f"{'>=' if one.at_least else '<='} {one.limit:g}")
        lines.append(_goal(f"  {name}", cells))
    lines += [f"{column}: {why}" for column, why in missing.items()]
    return "\n".join(lines)


def _goal(name: str, cells: Iterable[str]) -> str:
    return name.ljust(62) + "".join(one.rjust(14) for one in cells)
