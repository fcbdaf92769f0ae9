"""`make escape`: a minute of races with each way of resolving paths in turn; 0 escapes or exit status 1."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.escape.race import race
from tests.sandbox.trees import STRATEGIES
from tests.support.descriptors import open_files
from wasihost.engines import names


def main() -> int:
    """1 if a guest got out, or a descriptor was left open."""
    parser = argparse.ArgumentParser(prog="python -m tests.escape", description="Try to get out of a folder.")
    parser.add_argument("--seconds", type=float, default=60.0, help="in all (default 60)")
    parser.add_argument("--engine", choices=names(), help="what runs the guest")
    options = parser.parse_args()
    bad = False
    for name, strategy in sorted(STRATEGIES.items()):
        fds = open_files()
        with tempfile.TemporaryDirectory() as folder:
            calls, swaps, results, escapes = race(
                Path(folder), strategy, options.seconds / len(STRATEGIES), engine=options.engine
            )
        left = open_files() - fds
        shown = ", ".join(f"{name} {count:,}" for name, count in results.most_common(8))
        print(f"{name}: {calls:,} calls, {swaps:,} swaps, {len(escapes)} escapes, {len(left)} descriptors left open")
        print(f"    {shown}")
        for escape in [*escapes[:10], *sorted(left)]:
            print(f"    {escape}")
        bad = bad or bool(escapes) or bool(left)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
