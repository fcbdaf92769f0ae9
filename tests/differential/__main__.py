"""`make differential`: new random scripts on this host and on wasmtime's own WASI; each difference is made as small as
it can be, and printed."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections import Counter

from hypothesis import given, seed

from tests.conformance.steps import Step
from tests.differential.accepted import ACCEPTED
from tests.differential.compare import Differs, compare, smallest
from tests.differential.scripts import scripts
from tests.fuzz.budget import long

ROUND = 50
"""Scripts from one seed: a round ends at its first difference."""


def main() -> int:
    """The exit status: 1 where there was a difference that is not accepted."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--scripts", type=int, default=2000)
    parser.add_argument("--seed", type=int, help="the first seed, to see the same scripts again")
    options = parser.parse_args()
    number = secrets.randbits(24) if options.seed is None else options.seed
    print(f"seeds from {number} on")
    met: Counter[str] = Counter()
    found: Counter[str] = Counter()
    ran = calls = 0
    while ran < options.scripts:
        tried = [0, 0]
        difference = _round(number, min(ROUND, options.scripts - ran), met, tried)
        ran, calls, number = ran + tried[0], calls + tried[1], number + 1
        if difference:
            found[difference] += 1
            if found[difference] == 1:
                print(f"different:\n{difference}", flush=True)
    print(f"{ran} scripts, {calls} calls compared, {len(found)} differences that are not accepted; those that are:")
    for why, count in met.most_common():
        print(f"{count:6} {why}")
    for one in ACCEPTED:
        if one.reason not in met:
            print(f"  none {one.reason}")
    return int(bool(found))


def _round(number: int, examples: int, met: Counter[str], tried: list[int]) -> str:
    """The smallest difference of this seed, as text; empty if there is none. `tried` counts scripts and calls."""
    differs = False
    last: list[Step] = []

    @seed(number)
    @long(examples)
    @given(scripts)
    def run(script: list[Step]) -> None:
        nonlocal differs, last
        counted = not differs  # what is run to make it smaller is not counted
        try:
            compared = compare(script, met if counted else Counter())
        except Differs:
            differs, last = True, script
            raise
        finally:
            tried[0] += counted
        tried[1] += compared * counted

    try:
        run()
    except Differs:
        return smallest(last)
    return ""


if __name__ == "__main__":
    sys.exit(main())
