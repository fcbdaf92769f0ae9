"""`make fuzz`: new inputs for every target in turn, until the time is up. A failing one is shrunk, printed and kept.

What is kept lies in tests/fuzz/corpus, where the tests run it from then on: mend what it shows, and commit both.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, seed

from tests.fuzz.budget import long
from tests.fuzz.targets import TARGETS, Target

ROUND = 100
"""Examples of one target before the next has its turn."""


def _round(target: Target[Any], number: int) -> str | None:
    """One round; the shortest failing input as text, or None."""
    failed: list[Any] = []

    @seed(number)
    @long(ROUND)
    @given(target.inputs)
    def run(one: Any) -> None:
        try:
            target.check(one)
        except BaseException:
            failed[:] = [one]  # the last that fails is the shortest
            raise

    try:
        run()
    except Exception:
        traceback.print_exc(limit=-4)
        return target.text(failed[0])
    return None


def main() -> int:
    """The exit status: 1 where something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzing, for some minutes.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", default="", metavar="PREFIX", help="targets whose name begins so")
    options = parser.parse_args()
    targets = [target for target in TARGETS if target.name.startswith(options.only)]
    if not targets:
        parser.error(f"there is no target {options.only!r}: there are {', '.join(one.name for one in TARGETS)}")
    end = time.monotonic() + options.minutes * 60
    tried: Counter[str] = Counter()
    found = 0
    while time.monotonic() < end:
        for target in targets:
            failing = _round(target, secrets.randbits(32))
            tried[target.name] += ROUND
            if failing is not None:
                found += 1
                print(f"{target.name} failed on:\n{failing}\nkept as {_keep(target.name, failing)}\n", flush=True)
    print(", ".join(f"{name} {count}" for name, count in tried.items()) + f"; {found} failed")
    return int(bool(found))


def _keep(name: str, failing: str) -> Path:
    number = 1
    while (path := CORPUS / f"{name}-{number}.txt").exists():
        number += 1
    path.write_text(f"# Say here what this once showed.\n{failing}", "utf-8")
    return path


CORPUS = Path(__file__).parent / "corpus"

if __name__ == "__main__":
    sys.exit(main())
