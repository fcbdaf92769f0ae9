"""What the project promises about its speed, and whether the numbers of a run keep it.

Rules: pure; every goal stands in `GOALS`, and nowhere else. A goal that cannot be judged, as a peer is not installed or
its cases were left out, is listed as such: it is neither met nor missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.bench import cases
from tests.bench.cases import Numbers, mean_ratio, quotient, ratio
from tests.bench.hosts import OURS

Value = Callable[[Numbers, str], float | None]
"""What is judged, of the numbers and one of our columns; None if it was not measured."""


class Goal(NamedTuple):
    """One promise: `value` is at most (or at least) this, without and with the extension."""

    name: str
    value: Value
    pure: float | None
    native: float | None
    at_least: bool = False


class Verdict(NamedTuple):
    """A goal in one of our columns, and what came out."""

    name: str
    column: str
    value: float | None
    limit: float
    at_least: bool

    @property
    def met(self) -> bool | None:
        """None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def off(self) -> float:
        """By which part of the limit the value misses it; negative if it does not."""
        assert self.value is not None
        return (self.limit - self.value if self.at_least else self.value - self.limit) / self.limit

    def __str__(self) -> str:
        goal = f"{self.column}: {self.name}: at {'least' if self.at_least else 'most'} {self.limit:g}"
        if self.value is None:
            return f"not measured: {goal}"
        if self.met:
            return f"met: {goal}, is {self.value:.3g}"
        return f"MISSED by {self.off:.0%}: {goal}, is {self.value:.3g}"


def against(peer: str, *names: str) -> Value:
    """Our time to a peer's, in the geometric mean of the cases."""
    return lambda numbers, column: mean_ratio(numbers, names, column, peer)


def alone(case: str, unit: float = 1) -> Value:
    """Our number of a case."""

    def value(numbers: Numbers, column: str) -> float | None:
        found = numbers.get(case, {}).get(column)
        return None if found is None else found / unit

    return value


def own(over: str, under: str) -> Value:
    """One of our cases to another."""
    return lambda numbers, column: quotient(numbers.get(over, {}).get(column), numbers.get(under, {}).get(column))


def rate(peer: str, case: str) -> Value:
    """How often we do it in a second, to a peer's: more is better."""
    return lambda numbers, column: ratio(numbers, case, peer, column)


MS: Final = 1e6
FLAT: Final = 0.1
"""A slope that caches explain: twice the time for a thousand times as many."""

GOALS: Final = (
    Goal("calls that touch no file / wasmtime-py's WASI", against("wasmtime-py", *cases.NO_FILE), 4.2, 0.5),
    Goal("small calls on files and paths / node:wasi", against("node", *cases.SMALL), 1.9, 1.0),
    Goal("64 KiB and more / node:wasi", against("node", *cases.LARGE), 1.3, 1.05),
    Goal("whole programs / node:wasi", against("node", *cases.PROGRAMS), 1.3, 1.0),
    Goal("two call-bound threads / one", own("threads_2", "threads_1"), None, 1.2),
    Goal("empty guests a second / wasmtime-py", rate("wasmtime-py", "empty_run"), 0.75, 1.0, at_least=True),
    Goal("start to exit of an empty guest / wasmtime-py", against("wasmtime-py", "start_exit"), 0.75, 0.6),
    Goal("import wasihost, ms", alone("import", MS), 10, 8),
    Goal("64 descriptors polled, one ready / wasmtime-py's WASI", against("wasmtime-py", "poll_64"), 1.5, 0.8),
    Goal("64 KiB through Python streams / readinto and write", own("python_stream", "python_stream_plain"), 1.3, 1.2),
    Goal("a timeout's cost for a guest that computes", own("busy_timeout", "busy"), 1.1, 1.1),
    Goal("memory for a copy of 1 GiB, MiB", alone("copy_peak", 1 << 20), 4, 4),
    Goal("a sleep of 1 ms, ms", alone("sleep_1ms", MS), 1.5, 1.5),
    Goal("the shortest sleep of 1 ms, ms", alone("sleep_1ms_shortest", MS), 1, 1, at_least=True),
    Goal("an echo server's stream / the same in plain Python", against("python", *cases.STREAMS), 2.0, 2.0),
    *(Goal(f"slope: {what}", alone(f"{kind}_slope"), FLAT, FLAT) for kind, what in cases.GROWTH.items()),
)


def verdicts(numbers: Numbers, columns: tuple[str, ...] = OURS) -> list[Verdict]:
    """Every goal of these columns of ours."""
    return [
        Verdict(goal.name, column, goal.value(numbers, column), limit, goal.at_least)
        for goal in GOALS
        for column, limit in (("pure", goal.pure), ("native", goal.native))
        if column in columns and limit is not None
    ]
