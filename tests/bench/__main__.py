"""`make bench`: what our calls cost, beside wasmtime's own WASI, Node.js and the public way of wasmtime-py; how long a
sleep takes there; and what an echo server gets through, beside plain Python.

    python -m tests.bench [--rounds N] [--only PATTERN] [--json FILE] [--check] [--quick]
                          [--columns LIST] [--budget MS] [--python PATH]

from the root of the repository. The same guest runs in every column and times its own loops. One process per column and
round, the columns interleaved, the best of all rounds: on a machine with other work, read the ratios. Files lie in
memory (/dev/shm) where there is such a place. Sockets are measured where `ours` is among the columns.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.bench import report, sleeping, sockets
from tests.bench.processes import endless, printed
from tests.support.guests import build_c

HERE = Path(__file__).resolve().parent

_VERSIONS = """
import importlib.metadata, platform
print(f"Python {platform.python_version()}, wasmtime {importlib.metadata.version('wasmtime')}")
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What calls cost, in several hosts.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes per column (default 5)")
    parser.add_argument("--budget", type=int, default=40, metavar="MS", help="time per case and process (default 40)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the cases, such as 'fd_*'")
    parser.add_argument("--columns", default=",".join(report.COLUMNS), metavar="LIST", help="the columns (default all)")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="another interpreter for the columns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    parser.add_argument("--check", action="store_true", help="exit status 1 where a target is missed")
    parser.add_argument("--quick", action="store_true", help="everything once, without Node.js: does it still run?")
    return parser.parse_args()


def _make_files(folder: Path, entries: int) -> None:
    """What the guest expects in descriptor 3."""
    (folder / "data").write_bytes(bytes(1 << 20))
    leaf = folder / "a" / "b" / "c" / "leaf"
    leaf.parent.mkdir(parents=True)
    leaf.touch()
    (folder / "many").mkdir()
    for number in range(entries):
        (folder / "many" / f"entry-{number:04}.txt").touch()


def _commands(options: argparse.Namespace, guest: str, folder: str) -> dict[str, list[str]]:
    """Column -> how to run it."""
    rest = [guest, folder, "0" if options.quick else str(options.budget)]
    node = None if options.quick else shutil.which("node")
    commands = {}
    for column in options.columns.split(","):
        if column != "node":
            commands[column] = [options.python, "-m", "tests.bench.columns", column, *rest]
        elif node:
            commands[column] = [node, "--no-warnings", str(HERE / "node.mjs"), *rest]
    return commands


def _versions(options: argparse.Namespace, columns: list[str]) -> str:
    commands = [[options.python, "-c", _VERSIONS]] + [["node", "--version"]] * ("node" in columns)
    told = [subprocess.run(one, stdout=subprocess.PIPE, text=True, check=True).stdout.strip() for one in commands]
    return ", Node.js ".join(told)


class Measured(NamedTuple):
    """All results. A part is empty if none of its cases was selected."""

    versions: str
    times: report.Times
    sleeps: sleeping.Sleeps
    rates: sockets.Rates


def measure(options: argparse.Namespace) -> Measured:
    """Run whatever `--only` names."""
    known = report.CASES, sleeping.CASES, tuple(sockets.CASES)
    calls, sleeps, servers = (fnmatch.filter(cases, options.only) for cases in known)
    if not (calls or sleeps or servers):
        raise SystemExit(f"no case is called {options.only!r}: there are {', '.join(sum(known, ()))}")
    rounds = 1 if options.quick else options.rounds
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="wasihost-bench-") as folder:
        _make_files(Path(folder), 20 if options.quick else 1000)
        commands = _commands(options, str(build_c("bench")), folder)
        times = _time_calls(commands, calls, rounds)
        slept = sleeping.measure(commands, sleeps, rounds)
    served = servers if "ours" in commands else []
    rates = sockets.measure(options.python, served, rounds, options.quick)
    return Measured(_versions(options, list(commands)), times, slept, rates)


def _time_calls(commands: dict[str, list[str]], cases: list[str], rounds: int) -> report.Times:
    """The best of all rounds."""
    times: report.Times = {column: {} for column in commands}
    for _ in range(rounds if cases else 0):
        for column, command in commands.items():
            refused = report.REFUSED.get(column, ())
            able = ["floor"] if column == "floor" else [case for case in cases if case not in refused]
            with endless() as stdin:
                for case, (time,) in printed(command, able, stdin) if able else ():
                    times[column][case] = min(times[column].get(case, math.inf), time)
    return times


def main() -> int:
    """Print the tables and the targets; the exit status."""
    options = _arguments()
    versions, times, sleeps, rates = measure(options)
    empty = times.pop("floor", {}).get("floor")
    print(f"{versions}; best of {1 if options.quick else options.rounds} rounds")
    floor = f"an empty unchecked callback (floor): {empty:.0f} ns" if empty else ""
    parts = [report.table(times), floor, sleeping.table(sleeps), sockets.table(rates)]
    verdicts = [*report.verdicts(times), *sleeping.verdicts(sleeps), *sockets.verdicts(rates)]
    verdicts = [] if options.quick else verdicts
    parts.append("\n".join(map(str, verdicts)))
    print("\n" + "\n\n".join(filter(None, parts)))
    if options.json:
        slept = sleeping.summaries(sleeps)
        document = {"versions": versions, "floor": empty, "ns": times, "sleeps": slept, "sockets": rates}
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return int(options.check and not all(verdict.met for verdict in verdicts))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
