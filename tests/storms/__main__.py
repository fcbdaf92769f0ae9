"""python -m tests.storms [NAME ...] [--seconds 60] [--seed N]: each storm in a separate process, in turn."""

from __future__ import annotations

import argparse
import sys
import time

from tests.storms.apart import NAMES, apart


def main() -> int:
    """1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description="Storms, and what they found.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=float, default=60, help="of all together")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    names = given.names or NAMES
    wrong = 0
    for name in names:
        begun = time.monotonic()
        failed, text = apart(name, given.seconds / len(names), given.seed)
        print(f"{name:14} {'FAILED' if failed else text} ({time.monotonic() - begun:.0f} s)", flush=True)
        if failed:
            print(f"    seed {given.seed}\n{text}")
        wrong += failed
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
