"""Toolchains' own tests, on wasmtime's WASI and on ours: `make go-tests`, `make suites`, or
`python -m tests.suites go zig cpython`.

Rules of this folder: nothing of those tests is kept here; they come with the compilers and with the machine's Python.
Each program runs in a process of its own. A test that is better on wasmtime's WASI is a bug of ours, unless `accepted`
has it with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.suites import cpython, go, zig
from tests.suites.accepted import ACCEPTED
from tests.suites.child import OURS, WASMTIME
from tests.suites.compare import compare
from tests.suites.program import Program, SuiteError, Verdicts

SUITES: dict[str, Callable[[], Iterator[Program]]] = {
    "go": go.programs,
    "zig": zig.programs,
    "cpython": cpython.programs,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.suites", description="Run toolchains' own tests on two hosts."
    )
    parser.add_argument("suites", nargs="+", choices=SUITES, metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--on", choices=OURS, action="append", metavar="HOST", help="only host or memory")
    parser.add_argument("-k", default="", metavar="NAME", help="only programs with NAME in theirs")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="time limit for each run (default 600)")
    return parser.parse_args()


def main() -> int:
    """Print what differs, and a line for each program; the exit status."""
    options = _arguments()
    ours = options.on or list(OURS)
    wrong = 0
    try:
        chosen = [(suite, one) for suite in options.suites for one in SUITES[suite]() if options.k in one.name]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            running = {
                (one, host): pool.submit(one.verdicts, host, options.timeout)
                for _, one in chosen
                for host in (WASMTIME, *ours)
            }
            for suite, one in chosen:
                there = running[one, WASMTIME].result()
                for host in ours:
                    wrong += _report(suite, one.name, host, there, running[one, host].result())
    except (SuiteError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(wrong > 0)


def _report(suite: str, program: str, host: str, there: Verdicts, here: Verdicts) -> int:
    """How many are lost, or accepted without need."""
    accepted = [
        entry.test for entry in ACCEPTED if (entry.suite, entry.program) == (suite, program) and host in entry.hosts
    ]
    compared = compare(there, here, accepted)
    for kind in ("lost", "gained"):
        for line in getattr(compared, kind):
            print(f"{kind.upper()} {suite} {program} on {host}: {line}")
    for name in compared.needless:
        print(f"NEEDLESS {suite} {program} on {host}: {name} is in accepted.py and is not lost")
    counts = f"{compared.agree} of {compared.tests} agree ({compared.passed} passed)"
    others = ", ".join(f"{len(getattr(compared, kind))} {kind}" for kind in ("lost", "gained", "accepted"))
    print(f"{suite} {program} on {host}: {counts}, {others}", flush=True)
    return len(compared.lost) + len(compared.needless)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
