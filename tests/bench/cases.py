"""All cases of the benchmark, by group, in the order of the table; and what is made of their numbers.

Rules: pure. A number is ns per unit (a call, a pair of open and close, a directory entry, a run) and lower is better,
unless `UNITS` says otherwise.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Final, NamedTuple

from wasi_preview1.signatures import WASI_SNAPSHOT_PREVIEW1

Samples = dict[str, dict[str, list[float]]]
"""Case -> column -> a number of each repetition."""

Numbers = dict[str, dict[str, float]]
"""Case -> column -> the median."""

NO_FILE: Final = (
    "sched_yield", "clock_time_get", "random_get_16", "args_sizes_get", "poll_clock_0", "fd_seek", "fd_tell",
    "stdin_read_1", "stderr_write_1",
)  # fmt: skip
"""Seek and tell touch no file, as a host keeps the position; neither do the streams, which are /dev/zero and /dev/null.
wasmtime-py's WASI does these on the calling thread and passes every other call to another one, but for the polls."""

SMALL: Final = (
    "fd_fdstat_get", "fd_filestat_get", "fd_read_1", "fd_read_4K", "fd_pread_4K", "fd_write_1", "fd_write_4K",
    "fd_write_16x64", "path_open_close_d1", "path_open_close_d4", "path_filestat_get_d1", "path_filestat_get_d4",
    "path_create_unlink",
)  # fmt: skip

LARGE: Final = ("fd_read_64K", "fd_write_64K", "fd_read_1M", "fd_write_1M")

READDIR: Final = ("fd_readdir_4K", "fd_readdir_64K")

POLLS: Final = ("poll_stdin", "poll_stdout", "poll_file", "poll_clock_0_x64", "poll_stdout_x64")
"""Of what is ready. `x64` is a call with 64 subscriptions, or as many calls as a host needs to report them all."""

SILENT: Final = ("poll_64", "sleep_1ms", "sleep_1ms_stdin")
"""With an input that has nothing to read: 64 descriptors of which one is ready, and sleeps."""

STREAMS: Final = ("stream_blocking", "stream_poll")
"""An echo server, ns per MiB: it waits in its reads, or by `poll_oneoff`."""

TURNS: Final = ("turns_blocking", "turns_poll")

SERVERS: Final = (*STREAMS, *TURNS)

PROGRAMS: Final = ("program_tree", "program_copy", "program_grep", "program_sha256")

FUNCTIONS: Final = tuple(f"{name}()" for name in WASI_SNAPSHOT_PREVIEW1)
"""All functions of the ABI, in the order of the specification. Reads and writes are of 4 KiB, messages of 64 bytes."""

HOOKED: Final = {
    "hook_none": "no hook",
    "hook_elsewhere": "a hook on other functions (`path_*`)",
    "hook_handler": "a handler of your own, which calls `super()`",
    "hook_one": "a hook on this function",
    "hook_all": "a hook on every function",
    "hook_trace": "a trace of every call",
    "hook_record": "a record of every call",
    "hook_profile": "a profile",
}
"""A read of one byte, with this between guest and host."""

PROC_EXIT: Final = "proc_exit()"

EMBEDDED: Final = (
    "start_exit", "import", "empty_run", "threads_1", "threads_2", "python_stream", "python_stream_plain", "busy",
    "busy_timeout", "copy_peak",
)  # fmt: skip
"""In this order: the process of an empty guest from its start to its exit; the import alone; a run of an empty guest
that is compiled; a call of a guest that only makes calls, and the same beside a second thread; 64 KiB from an object of
Python's through a guest to another, and by `readinto` and `write`; the CPU time of CPython that computes, without a
timeout and with one; the bytes by which a copy of 1 GiB raises the peak of memory."""

SCALE: Final = (
    "map_one",
    "map_threads",
    "map_processes",
    "map_dask",
    "call_export",
    "call_function",
    "call_text",
    "function_text",
)
"""Runs per second of a guest that computes for about a millisecond: one after the other, in two threads, in two
processes, in two workers of a Dask cluster; a call of an export that adds two numbers, and of the same as
`wasihost.function`; the same with text."""

SIZES: Final = (100, 1000, 10_000, 100_000)

GROWTH: Final = {
    "memory_append": "append to a file in memory",
    "readdir": "list a directory, per entry",
    "open": "open a file in a directory of N",
    "fds": "close one of N descriptors, open one",
    "memory_fds": "the same, files in memory",
}
"""What is measured at each of `SIZES` -> what it is."""


def growth_cases(kind: str) -> tuple[str, ...]:
    """The cases of a kind of growth: one for each N, and the slope, which is the exponent of N in the time."""
    return (*(f"{kind}_{size}" for size in SIZES), f"{kind}_slope")


MANY: Final = "many runs and many calls"
WAITS, EMBEDDING, SERVING, GROWING = "waits", "embedding", "an echo server, per MiB and per message", "growth with N"
HOOKING: Final = "hooks, a read of one byte"

GROUPS: Final = {
    "calls that touch no file": NO_FILE,
    "small calls on files and paths": SMALL,
    "64 KiB and more": LARGE,
    "readdir, per entry": READDIR,
    "polls of what is ready": POLLS,
    WAITS: SILENT,
    "whole programs": PROGRAMS,
    EMBEDDING: EMBEDDED,
    SERVING: SERVERS,
    MANY: SCALE,
    HOOKING: tuple(HOOKED),
    GROWING: tuple(case for kind in GROWTH for case in growth_cases(kind)),
    "every function": FUNCTIONS,
}

MIXED: Final = (WAITS, EMBEDDING, SERVING, MANY, HOOKING, GROWING)
"""Groups of different things: the mean of their ratios means nothing."""

UNITS: Final[dict[str, str]] = {
    **{f"{kind}_slope": "" for kind in GROWTH},
    "copy_peak": "bytes",
    **dict.fromkeys(("map_one", "map_threads", "map_processes", "map_dask"), "runs/s"),
}
"""Of the cases whose number is no time."""


class Run(NamedTuple):
    """What a run of the benchmark found: what `--json` writes."""

    versions: str
    rounds: int
    missing: dict[str, str]
    """Column -> why it is empty."""
    numbers: Numbers
    machine: str = ""
    date: str = ""


def medians(samples: Samples) -> Numbers:
    """The median of each case's repetitions; what was not measured is left out."""
    return {
        case: {column: statistics.median(found) for column, found in columns.items() if found}
        for case, columns in samples.items()
    }


def geomean(values: Iterable[float]) -> float | None:
    """The geometric mean; None of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def ratio(numbers: Numbers, case: str, over: str, under: str) -> float | None:
    """One column's number to another's; None if one of them was not measured."""
    return quotient(numbers.get(case, {}).get(over), numbers.get(case, {}).get(under))


def quotient(over: float | None, under: float | None) -> float | None:
    """None if one of them was not measured."""
    return over / under if over and under else None


def mean_ratio(numbers: Numbers, cases: Iterable[str], over: str, under: str) -> float | None:
    """The geometric mean of the ratios of those cases that both columns have."""
    found = (ratio(numbers, case, over, under) for case in cases)
    return geomean(value for value in found if value)
