"""What embedders do in Python: runs of empty guests, threads, streams that are Python objects, timeouts, a large copy.

Rules: `inprocess` measures one part of one column in a process of its own; the columns are interleaved, and the median
of all repetitions counts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.bench.cases import Samples
from tests.bench.hosts import OURS, environment
from tests.bench.plan import Plan
from tests.bench.processes import numbers_of


class Part(NamedTuple):
    """A function of `inprocess`, the cases that it reports, and how often it runs."""

    cases: tuple[str, ...]
    columns: tuple[str, ...]
    rounds: int


BOTH: Final = (*OURS, "wasmtime-py")

PARTS: Final = {
    "runs": Part(("empty_run", "proc_exit()"), BOTH, 5),
    "threads": Part(("threads_1", "threads_2"), BOTH, 5),
    "many": Part(("map_one", "map_threads", "map_processes"), BOTH, 3),
    "dask": Part(("map_dask",), ("native",), 2),
    "warm": Part(("call_export", "call_function", "call_text", "function_text"), OURS, 3),
    "streams": Part(("python_stream", "python_stream_plain"), OURS, 3),
    "timeouts": Part(("busy", "busy_timeout"), OURS, 5),
    "copy": Part(("copy_peak",), OURS, 1),
}


def measure(plan: Plan) -> Samples:
    """Each part that the plan has a case of."""
    samples: Samples = {}
    for name, part in PARTS.items():
        wanted = [case for case in part.cases if plan.has(case)]
        for _ in range(min(part.rounds, plan.rounds) if wanted else 0):
            for column in part.columns:
                if column not in plan.hosts.by_column:
                    continue
                command = [plan.hosts.python, "-m", "tests.bench.inprocess", name, column, *["quick"] * plan.quick]
                for case, found in numbers_of(command, environment(column)):
                    samples.setdefault(case, {}).setdefault(column, []).extend(found)
    return {case: found for case, found in samples.items() if plan.has(case)}
