"""How long a guest takes in a process of its own: to begin at most 5 ms on a machine that does nothing else.

python -m tests.bench.isolation

Beside other work `chrt -f 1 python -m tests.bench.isolation`, as root, lets these processes run first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.guests import build_c
from wasihost import Module, isolation_report, run, start
from wasihost.isolation.pool import pool

GOAL = 5.0
"""Milliseconds."""
PAUSE = 0.03
"""Seconds between two, in which another worker is made."""
EMPTY = Module('(module (memory (export "memory") 1) (func (export "_start")))')
TOOL = Module(build_c("tool"))


def whole(**options: Any) -> float:
    """Milliseconds that a run of an empty guest takes."""
    before = time.perf_counter()
    run(EMPTY, **options)
    return (time.perf_counter() - before) * 1000


def begun(**options: Any) -> float:
    """Milliseconds until the guest of a `start` has begun."""
    before = time.perf_counter()
    process = start(TOOL, args=["exit", "0"], stdin=-3, stdout=-3, **options)
    took = (time.perf_counter() - before) * 1000
    process.wait()
    return took


def computed() -> float:
    """Milliseconds of processor time that a guest takes to begin: here, and in its worker, which was made before."""
    before, here = used(), time.process_time()
    process = start(TOOL, args=["cat"], isolation="process")
    here = time.process_time() - here
    after = used()
    there = max(after[one] - before[one] for one in before.keys() & after.keys())
    process.communicate(b"")
    return here * 1000 + there / 1_000_000


def used() -> dict[int, int]:
    """ns that each worker has computed."""
    found = {}
    for one in Path(f"/proc/{pool.process}/task/{pool.process}/children").read_text().split():
        found[int(one)] = int(Path(f"/proc/{one}/schedstat").read_text().split()[0])
    return found


def measured(once: Callable[[], float], times: int, pause: float = PAUSE) -> str:
    """The least, the median and the most."""
    found = []
    for _ in range(times):
        time.sleep(pause)
        found.append(once())
    return f"{min(found):8.2f} {statistics.median(found):8.2f} {max(found):8.2f}"


def main(times: int = 100) -> None:
    """Print the table."""
    pool.close()
    process, strict = {"isolation": "process"}, {"isolation": "strict"}
    print("ms                                  least   median     most")
    print(f"first run, in a process          {whole(**process):8.2f}")
    print(f"run, in a process                {measured(lambda: whole(**process), times)}   (goal: {GOAL:g})")
    print(f"run, strict                      {measured(lambda: whole(**strict), times)}   (goal: {GOAL:g})")
    print(
        f"run, with a timeout              {measured(lambda: whole(timeout=10, **process), times)}   (goal: {GOAL:g})"
    )
    print(f"run, one after the other         {measured(lambda: whole(**process), times, 0)}")
    print(f"run, in this process             {measured(whole, times)}")
    print(f"begins, in a process             {measured(lambda: begun(**process), times)}   (goal: {GOAL:g})")
    print(f"begins, in this process          {measured(begun, times)}")
    print(f"begins, processor time           {measured(computed, times, 0.1)}")
    print(f"held by {', '.join(isolation_report().held)}")


if __name__ == "__main__":
    main()
