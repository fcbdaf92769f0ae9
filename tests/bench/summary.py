"""The few numbers that say how fast this is: a row for each kind of work.

Rules: pure. A row is the geometric mean of its cases, of those that every column has which has any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.bench import cases
from tests.bench.cases import Numbers, geomean
from tests.bench.hosts import USUAL


class Row(NamedTuple):
    """A kind of work."""

    name: str
    short: str
    cases: tuple[str, ...]
    show: Callable[[float], str]
    """A time in ns -> what the table says."""

    def times(self, numbers: Numbers) -> dict[str, float]:
        """Column -> ns, in the geometric mean of those cases that all of these columns have."""
        columns = [column for column in USUAL if any(column in numbers.get(case, {}) for case in self.cases)]
        common = [case for case in self.cases if all(column in numbers.get(case, {}) for column in columns)]
        means = {column: geomean(numbers[case][column] for case in common) for column in columns}
        return {column: mean for column, mean in means.items() if mean}

    def multiples(self, numbers: Numbers) -> dict[str, float]:
        """Each other column's time to ours, with the extension."""
        times = self.times(numbers)
        ours = times.pop("native", None) or times.get("pure")
        return {column: time / ours for column, time in times.items()} if ours else {}


def ns(time: float) -> str:
    """For calls."""
    return f"{time:,.0f} ns"


def us(time: float) -> str:
    """For what takes a thousand times as long."""
    return f"{time / 1e3:,.0f} µs" if time >= 99_500 else f"{time / 1e3:,.1f} µs"


def ms(time: float) -> str:
    """For starts and programs."""
    return f"{time / 1e6:,.0f} ms" if time >= 99.5e6 else f"{time / 1e6:,.1f} ms"


ROWS: Final = (
    Row("a call that touches no file", "calls, no file", cases.NO_FILE, ns),
    Row("a small call on a file or path", "small calls on files", cases.SMALL, ns),
    Row("64 KiB to 1 MiB read or written", "64 KiB and more", cases.LARGE, us),
    Row("an entry of a directory", "directory entries", cases.READDIR, ns),
    Row("a poll of what is ready", "polls", ("poll_stdout", "poll_clock_0_x64", "poll_stdout_x64"), ns),
    Row("a whole program", "whole programs", cases.PROGRAMS, ms),
    Row("a run of an empty guest, in Python", "empty guests", ("empty_run",), us),
    Row("a process that runs an empty guest", "start to exit", ("start_exit",), ms),
)
