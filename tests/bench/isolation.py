"""How long a guest takes to begin in a process of its own: at most 5 ms on a machine that does nothing else.

python -m tests.bench.isolation
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from tests.support.guests import build_c
from wasihost import Module, isolation_report, start
from wasihost.isolation.pool import pool

GOAL = 5.0
"""Milliseconds."""


def begun(**options: object) -> float:
    """Milliseconds until the guest of a `start` has begun."""
    before = time.perf_counter()
    process = start(TOOL, args=["exit", "0"], stdin=-3, stdout=-3, **options)  # type: ignore[call-overload]  # by name
    took = (time.perf_counter() - before) * 1000
    process.wait()
    return took


def measured(once: Callable[[], float], times: int) -> str:
    """The least, the median and the most."""
    found = sorted(once() for _ in range(times))
    return f"{found[0]:8.2f} {statistics.median(found):8.2f} {found[-1]:8.2f}"


def main(times: int = 100) -> None:
    """Print the table."""
    pool.close()
    print("a guest begins, ms           least   median     most")
    print(f"first in a process    {begun(isolation='process'):8.2f}")
    print(f"in a process          {measured(lambda: begun(isolation='process'), times)}   (goal: {GOAL:g})")
    print(f"in this one           {measured(begun, times)}")
    print(f"held by {', '.join(isolation_report().held)}")


TOOL = Module(build_c("tool"))

if __name__ == "__main__":
    main()
