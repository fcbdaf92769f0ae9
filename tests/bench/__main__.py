"""`make bench`: what our calls cost, beside wasmtime's own WASI, Node.js and the public way of wasmtime-py.

    python -m tests.bench [--rounds N] [--only PATTERN] [--json FILE] [--check] [--quick]
                          [--columns LIST] [--budget MS] [--python PATH]

from the root of the repository. The same guest runs in every column and times its own loops. One process per column and
round, the columns interleaved, the best of all rounds: on a machine with other work, read the ratios. Files lie in
memory (/dev/shm) where there is such a place.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import report
from tests.support.guests import build_c

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

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
    parser.add_argument("--quick", action="store_true", help="every call once, without Node.js: does it still run?")
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


def _measure(command: list[str], cases: list[str], into: dict[str, float]) -> None:
    """Run one process; keep the better of its times and those that were there. RuntimeError where it fails."""
    with open("/dev/zero", "rb") as endless:
        done = subprocess.run(
            [*command, ",".join(cases)], cwd=ROOT, stdin=endless, stdout=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:5])}: exit status {done.returncode}\n{done.stdout}")
    for line in done.stdout.splitlines():
        case, time = line.split()
        into[case] = min(into.get(case, float("inf")), float(time))


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


def measure(options: argparse.Namespace) -> tuple[str, report.Times]:
    """The versions, and the times by column and case."""
    cases = fnmatch.filter(report.CASES, options.only)
    if not cases:
        raise SystemExit(f"no case is called {options.only!r}: there are {', '.join(report.CASES)}")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="wasihost-bench-") as folder:
        _make_files(Path(folder), 20 if options.quick else 1000)
        commands = _commands(options, str(build_c("bench")), folder)
        times: report.Times = {column: {} for column in commands}
        for _ in range(1 if options.quick else options.rounds):
            for column, command in commands.items():
                _measure(command, ["floor"] if column == "floor" else cases, times[column])
        return _versions(options, list(commands)), times


def main() -> int:
    """Print the table and the targets; the exit status."""
    options = _arguments()
    versions, times = measure(options)
    empty = times.pop("floor", {}).get("floor")
    print(f"{versions}; best of {1 if options.quick else options.rounds} rounds\n")
    print(report.table(times))
    print(f"\nan empty unchecked callback (floor): {empty:.0f} ns\n" if empty else "")
    verdicts = [] if options.quick else report.verdicts(times)
    for verdict in verdicts:
        told = "met" if verdict.met else "MISSED"
        print(f"{told}: {verdict.group}: ours/native {verdict.ratio:.3g}, at most {verdict.limit:g}")
    if options.json:
        document = {"versions": versions, "floor": empty, "ns": times}
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return int(options.check and not all(verdict.met for verdict in verdicts))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
