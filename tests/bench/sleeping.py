"""How long a sleep of a millisecond takes by `poll_oneoff`: a table of its own, as no call gains by being shorter.

Rules: the guest measures by its monotonic clock; every sleep of every round counts, because the longest matters as well
as the shortest. All but `measure` is pure.
"""

from __future__ import annotations

import statistics
from typing import Final, NamedTuple

from tests.bench.processes import printed, silent
from tests.bench.report import Verdict

COLUMNS: Final = ("ours", "native", "node")
"""In the order they are printed. `naive` has the handlers of `ours`."""

CASES: Final = ("sleep_1ms", "sleep_1ms_stdin")
"""With nothing else to wait for, and with an input that has nothing to read."""

WANTED: Final = 1_000_000
"""What each asks for, in ns: no sleep may be shorter."""

MEDIAN_LIMIT: Final = 1_500_000
"""What the median may be at most, in ns, on a quiet machine. The longest is told and not judged: one sleep of many that
the system lets wait says nothing about the host."""

Sleeps = dict[str, dict[str, list[float]]]
"""Column -> case -> ns of each sleep."""


def measure(commands: dict[str, list[str]], cases: list[str], rounds: int) -> Sleeps:
    """Run `rounds` processes of each column that sleeps."""
    sleeps: Sleeps = {column: {case: [] for case in cases} for column in COLUMNS if column in commands}
    for _ in range(rounds if cases else 0):
        for column, found in sleeps.items():
            with silent() as stdin:
                for case, took in printed(commands[column], cases, stdin):
                    found[case] += took
    return sleeps


class Summary(NamedTuple):
    """What many sleeps took."""

    shortest: float
    median: float
    longest: float


def summary(took: list[float]) -> Summary:
    """Of at least one sleep."""
    return Summary(min(took), statistics.median(took), max(took))


def summaries(sleeps: Sleeps) -> dict[str, dict[str, dict[str, float]]]:
    """Column -> case -> the numbers by name."""
    return {column: {case: summary(took)._asdict() for case, took in cases.items()} for column, cases in sleeps.items()}


def verdicts(sleeps: Sleeps) -> list[Verdict]:
    """For each case of ours: no sleep too short, and the usual one not too long."""
    found = []
    for case, took in sleeps.get("ours", {}).items():
        told = summary(took)
        found.append(Verdict(f"{case}: shortest, ms", told.shortest / 1e6, WANTED / 1e6, at_least=True))
        found.append(Verdict(f"{case}: median, ms", told.median / 1e6, MEDIAN_LIMIT / 1e6))
    return found


def table(sleeps: Sleeps) -> str:
    """Three numbers for each column; empty if nothing was measured."""
    columns = [column for column in COLUMNS if sleeps.get(column)]
    lines = [_HEAD.ljust(44) + "".join(column.rjust(22) for column in columns)]
    for case in CASES:
        cells = [_cell(sleeps[column][case]) for column in columns if case in sleeps[column]]
        if cells:
            lines.append(f"  {case}".ljust(44) + "".join(cell.rjust(22) for cell in cells))
    return "\n".join(lines) if columns else ""


_HEAD = "a sleep of 1 ms: shortest, median, longest"


def _cell(took: list[float]) -> str:
    return ", ".join(f"{ns / 1e6:.3f}" for ns in summary(took))
