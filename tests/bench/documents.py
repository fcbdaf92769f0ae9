"""What the documentation shows of a run: docs/speed.json, and the tables and the plot that are made of it.

Rules: no number is typed by hand. The text between two marks of a page is written here, and a test compares it with
docs/speed.json. A page has its marks already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from tests.bench import cases, goals, plot, summary
from tests.bench.cases import Run
from tests.bench.hosts import OURS, ROOT, TITLES, USUAL
from tests.bench.tables import cell, decimal

SAVED: Final = ROOT / "docs/speed.json"
_OURS: Final = OURS[::-1]
PLOT: Final = ROOT / "docs/speed.svg"
PAGES: Final = (ROOT / "README.md", ROOT / "docs/speed.md")
MARKS: Final = re.compile(r"(<!-- `make bench-docs` writes: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load() -> Run:
    """The run that the documentation shows."""
    return Run(**json.loads(SAVED.read_text("utf-8")))


def save(run: Run) -> None:
    """Write the numbers, the tables and the plot."""
    SAVED.write_text(json.dumps(run._asdict(), indent=1) + "\n", "utf-8")
    PLOT.write_text(picture(run), "utf-8")
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8"), run), "utf-8")


def picture(run: Run) -> str:
    """The plot."""
    return plot.svg(list(summary.ROWS), run.numbers, f"Geometric means. {run.versions}.")


def filled(page: str, run: Run) -> str:
    """The page with the tables of this run."""
    return MARKS.sub(lambda mark: f"{mark[1]}\n{TABLES[mark[2]](run)}\n\n{mark[3]}", page)


def _summary(run: Run) -> str:
    rows = []
    for row in summary.ROWS:
        times = row.times(run.numbers)
        rows.append([row.name, *(row.show(times[column]) if column in times else "" for column in USUAL)])
    return _table(["", *(TITLES[column] for column in USUAL)], rows)


def _taken(run: Run) -> str:
    missing = "".join(f" {TITLES[column]}: {why}." for column, why in run.missing.items())
    return (
        f"Taken on {run.date} by `make bench-docs`: {run.machine}; {run.versions}; medians of {run.rounds} interleaved"
        f" rounds, files in memory.{missing}"
    )


def _goals(run: Run) -> str:
    rows = []
    verdicts = goals.verdicts(run.numbers)
    for name in dict.fromkeys(verdict.name for verdict in verdicts):
        cells = [name]
        for column in _OURS:
            one = next((one for one in verdicts if (one.name, one.column) == (name, column)), None)
            if one is None or one.value is None:
                cells += ["", ""]
            else:
                missed = "" if one.met else f" (missed by {one.off:.0%})"
                cells += [f"{decimal(one.value)}{missed}", f"{'at least' if one.at_least else 'at most'} {one.limit:g}"]
        rows.append(cells)
    return _table(["", TITLES["native"], "goal", TITLES["pure"], "goal"], rows)


def _functions(run: Run) -> str:
    rows = [
        [f"`{case.removesuffix('()')}`", *(cell(run.numbers.get(case, {}).get(column)) for column in USUAL)]
        for case in cases.FUNCTIONS
    ]
    return _table(["ns per call", *(TITLES[column] for column in USUAL)], rows)


def _hooks(run: Run) -> str:
    rows = [[what, *(cell(run.numbers.get(case, {}).get(one)) for one in _OURS)] for case, what in cases.HOOKED.items()]
    return _table(["ns per call", *(TITLES[column] for column in _OURS)], rows)


def _growth(run: Run) -> str:
    rows = []
    for kind, what in cases.GROWTH.items():
        for column in USUAL:
            found = [run.numbers.get(f"{kind}_{size}", {}).get(column) for size in cases.SIZES]
            if any(found):
                slope = run.numbers.get(f"{kind}_slope", {}).get(column)
                rows.append([what, TITLES[column], *map(cell, found), "-" if slope is None else f"{slope:.2f}"])
    return _table(["ns", "", *(f"N = {size:,}" for size in cases.SIZES), "slope"], rows)


TABLES: Final = {
    "summary": _summary, "taken": _taken, "goals": _goals, "functions": _functions, "growth": _growth,
    "hooks": _hooks,
}  # fmt: skip
"""What a mark may name."""


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |")
