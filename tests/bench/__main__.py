"""`make bench`: what this host's work costs, with and without its extension, beside its peers; and the goals.

    python -m tests.bench [--rounds N] [--only PATTERN] [--columns LIST] [--budget MS] [--python PATH] [--quick]
                          [--json FILE] [--load FILE] [--docs] [--check]

from the root of the repository. One run measures all columns, interleaved: on a machine with other work, read the
ratios. Files lie in memory (/dev/shm) if there is such a place.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fnmatch
import json
import os
import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import (
    calls,
    cases,
    documents,
    embedded,
    functions,
    goals,
    growth,
    hooked,
    hosts,
    programs,
    sockets,
    starts,
    tables,
)
from tests.bench.plan import Plan

PARTS: Final = (calls, programs, starts, embedded, sockets, hooked, growth, functions)
"""Each measures its cases; the numbers of all of them are one table."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What calls cost, in several hosts.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="repetitions (default 5)")
    parser.add_argument("--budget", type=int, default=40, metavar="MS", help="time per case and process (default 40)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the cases, such as 'fd_*'")
    parser.add_argument("--columns", default=",".join(hosts.USUAL), metavar="LIST", help="the columns (default all)")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="another interpreter for the columns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    parser.add_argument("--load", type=Path, metavar="FILE", help="take the numbers of an earlier run")
    parser.add_argument("--docs", action="store_true", help="write the numbers into the documentation")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a goal is missed")
    parser.add_argument("--quick", action="store_true", help="everything once: does it still run?")
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


def measure(options: argparse.Namespace) -> cases.Run:
    """Run whatever `--only` names."""
    known = sum(cases.GROUPS.values(), ())
    if not fnmatch.filter(known, options.only):
        raise SystemExit(f"no case is called {options.only!r}: there are {', '.join(known)}")
    busy = f"load {os.getloadavg()[0]:.1f} before it began"
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="wasihost-bench-") as base:
        folder = Path(base) / "files"
        folder.mkdir()
        _make_files(folder, 20 if options.quick else 1000)
        try:
            found = hosts.find(options.columns.split(","), Path(base), options.python)
        except ValueError as error:
            raise SystemExit(str(error)) from None
        rounds, budget = (1, 0) if options.quick else (options.rounds, options.budget)
        plan = Plan(found, folder, rounds, budget, options.only)
        samples: cases.Samples = {}
        for part in PARTS:
            samples |= part.measure(plan)
    numbers = cases.medians(samples)
    numbers |= growth.slopes(numbers)
    today = datetime.date.today().isoformat()
    return cases.Run(found.versions, rounds, found.missing, numbers, f"{_machine()}, {busy}", today)


def _machine() -> str:
    """What this is measured on."""
    with contextlib.suppress(OSError):
        models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
        if models:
            return f"{os.cpu_count()} cores ({models[0].strip()}), {platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def main() -> int:
    """Print the table and the goals; the exit status."""
    options = _arguments()
    run = cases.Run(**json.loads(options.load.read_text("utf-8"))) if options.load else measure(options)
    if options.json:
        options.json.write_text(json.dumps(run._asdict(), indent=1) + "\n", "utf-8")
    if options.docs:
        documents.save(run)
    print(f"{run.versions}; median of {run.rounds}\n\n{tables.table(run.numbers)}\n")
    verdicts = goals.verdicts(run.numbers)
    print(tables.judged(verdicts, run.missing))
    missed = [verdict for verdict in verdicts if verdict.met is False]
    if options.check:
        print("\n" + "\n".join(map(str, [*missed, *(verdict for verdict in verdicts if verdict.met is None)])))
    return int(options.check and bool(missed))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
