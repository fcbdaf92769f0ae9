"""What the benchmark makes of its numbers: groups of cases, ratios, geometric means, targets.

Rules: pure; times are ns per unit (a call, a pair of open and close, a directory entry), by column and case.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

COLUMNS: Final = ("ours", "native", "node", "naive", "floor")
"""In the order they are printed; `floor` is one empty call and has one number, below the table."""

GROUPS: Final = {
    "calls that touch no file": (
        "sched_yield", "clock_time_get", "random_get_16", "args_sizes_get", "poll_clock_0", "fd_seek", "fd_tell",
        "stdin_read_1", "stderr_write_1",
    ),
    "small calls on files": (
        "fd_fdstat_get", "fd_filestat_get", "fd_read_1", "fd_read_4K", "fd_pread_4K", "fd_write_1", "fd_write_4K",
        "fd_write_16x64", "path_open_close_d1", "path_open_close_d4", "path_filestat_get_d1", "path_filestat_get_d4",
    ),
    "64 KiB transfers": ("fd_read_64K", "fd_write_64K"),
    "1 MiB transfers": ("fd_read_1M", "fd_write_1M"),
    "readdir": ("fd_readdir_4K", "fd_readdir_64K"),
    "polls of what is ready": ("poll_stdin", "poll_stdout", "poll_file", "poll_clock_0_x64", "poll_stdout_x64"),
}  # fmt: skip
"""The cases by what they cost. Seek and tell touch no file, as a host keeps the position; neither do the streams, which
are /dev/zero and /dev/null. wasmtime answers the first group on the spot and hands every other call to a thread, but
for the polls. `x64` is a call with so many subscriptions, or as many calls as a host needs to tell of them all.
"""

CASES: Final = tuple(case for cases in GROUPS.values() for case in cases)

REFUSED: Final = {"node": ("poll_stdin", "poll_file")}
"""Column -> what it cannot do: epoll(7), by which Node.js waits, takes neither /dev/zero nor a file."""

TARGETS: Final = {"calls that touch no file": 5.0, "small calls on files": 0.35, "64 KiB transfers": 0.45}
"""Group -> what the geometric mean of ours to native may be at most."""

Times = dict[str, dict[str, float]]
"""Column -> case -> ns per unit; the best of all rounds."""


class Verdict(NamedTuple):
    """A target and what came out."""

    subject: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = "least" if self.at_least else "most"
        return f"{'met' if self.met else 'MISSED'}: {self.subject} {self.value:.4g}, at {bound} {self.limit:g}"


def geomean(ratios: list[float]) -> float:
    """The geometric mean; NaN of nothing."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def ratios(times: Times, group: str, over: str, under: str) -> list[float]:
    """`over` to `under` for each case of a group that both columns have."""
    first, second = times.get(over, {}), times.get(under, {})
    return [first[case] / second[case] for case in GROUPS[group] if case in first and case in second]


def verdicts(times: Times) -> list[Verdict]:
    """Each target whose group was measured."""
    found = ((group, limit, ratios(times, group, "ours", "native")) for group, limit in TARGETS.items())
    return [Verdict(f"{group}: ours/native", geomean(values), limit) for group, limit, values in found if values]


def table(times: Times) -> str:
    """The cases by group, with the geometric mean of each group's ratios below it; empty if nothing was measured."""
    columns = [column for column in COLUMNS[:-1] if times.get(column)]
    lines = ["ns per call".ljust(24) + "".join(column.rjust(12) for column in columns) + _RATIOS_HEAD]
    for group, cases in GROUPS.items():
        shown = [case for case in cases if any(case in times.get(column, {}) for column in columns)]
        if not shown:
            continue
        lines += ["", group]
        for case in shown:
            cells = "".join(_number(times[column].get(case)).rjust(12) for column in columns)
            lines.append(
                "  " + case.ljust(22) + cells + _pair(_ratio(times, case, "native"), _ratio(times, case, "node"))
            )
        means = [geomean(ratios(times, group, "ours", other)) for other in ("native", "node")]
        lines.append("  geometric mean".ljust(24) + " " * 12 * len(columns) + _pair(*means))
    return "\n".join(lines) if columns else ""


_RATIOS_HEAD = "ours/native".rjust(13) + "ours/node".rjust(13)


def _ratio(times: Times, case: str, other: str) -> float:
    both = times.get("ours", {}).get(case), times.get(other, {}).get(case)
    return both[0] / both[1] if both[0] and both[1] else math.nan


def _pair(native: float, node: float) -> str:
    return "".join(("-" if math.isnan(value) else f"{value:.3g}").rjust(13) for value in (native, node))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
