"""A map on a real Dask cluster of processes: thousands of inputs, one that traps, one without an end, a killed worker.

`python -m tests.scale.cluster --inputs 10000` prints what it took; `make cluster` runs it.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import distributed

import wasihost
from tests.scale.echo import ECHO

POISONED, SLOW = 7, 11
"""Which input traps, and which has no end."""


class Report(NamedTuple):
    """What a map on a cluster came to."""

    seconds: float
    wrong: list[str]  # results that are not the right one, each as input and result
    missing: list[int]
    doubled: list[int]
    killed: int  # the process that was killed
    compiled: int  # files in the cache of compiled code
    kept: list[int]  # how many modules each worker has in the end, the restarted one included


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[distributed.Client]:
    """A client of a cluster of so many processes, with a cache of compiled code of its own."""
    os.environ["XDG_CACHE_HOME"] = str(folder)
    with (
        distributed.LocalCluster(  # type: ignore[no-untyped-call]  # distributed declares few types
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", local_directory=str(folder)
        ) as made,
        distributed.Client(made) as client,  # type: ignore[no-untyped-call]  # the same
    ):
        yield client


def executor_of(client: distributed.Client) -> Executor:
    """Its executor."""
    made: Executor = client.get_executor()  # type: ignore[no-untyped-call]  # distributed declares few types
    return made


def kept_modules() -> int:
    """How many modules this worker has for tasks."""
    from wasihost.scale.references import _kept

    return len(_kept.modules)


def expected(index: int) -> str:
    """What the result of an input has to be."""
    return {POISONED: "TrapError", SLOW: "TimeoutExpired"}.get(index, f"input {index}")


def found(result: wasihost.MapResult) -> str:
    """What the result of an input is."""
    if result.error is not None:
        return type(result.error).__name__
    stdout = result.stdout
    assert isinstance(stdout, bytes)
    return stdout.decode()


def inputs(count: int) -> Iterator[bytes]:
    """One text for each input, the same length for all, with one to trap and one to spin."""
    for index in range(count):
        start = {POISONED: "!", SLOW: "@"}.get(index, "")
        yield f"{start}input {index}".encode()


def run(client: distributed.Client, count: int) -> Report:
    """Run so many inputs, kill a worker half-way, and compare every result with the right one."""
    seen: dict[int, int] = {}
    wrong: list[str] = []
    killed = 0
    before = time.monotonic()
    executor = executor_of(client)
    results = wasihost.map(
        ECHO, inputs(count), executor=executor, ordered=False, on_error="return", timeout=5, buffersize=200
    )
    for done, result in enumerate(results):
        if done == count // 2:
            killed = min(client.run(os.getpid).values())
            os.kill(killed, signal.SIGKILL)
        seen[result.index] = seen.get(result.index, 0) + 1
        if found(result) != expected(result.index):
            wrong.append(f"{result.index}: {found(result)}")
    seconds = time.monotonic() - before
    client.wait_for_workers(2)
    return Report(
        seconds,
        wrong,
        [index for index in range(count) if index not in seen],
        [index for index, times in seen.items() if times > 1],
        killed,
        len(list(Path(os.environ["XDG_CACHE_HOME"]).rglob("*.cwasm"))),
        [*client.run(kept_modules).values()],
    )


def main() -> int:
    """Run it and print what it took."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, cluster(options.workers, Path(folder)) as client:
        report = run(client, options.inputs)
    print(f"{options.inputs} inputs on {options.workers} workers: {report.seconds:.1f} s, ", end="")
    print(f"{options.inputs / report.seconds:.0f} a second; the process {report.killed} was killed half-way")
    print(f"wrong {len(report.wrong)}, missing {len(report.missing)}, doubled {len(report.doubled)}")
    print(*report.wrong, sep="\n", end="")
    return 1 if report.wrong or report.missing or report.doubled else 0


if __name__ == "__main__":
    raise SystemExit(main())
