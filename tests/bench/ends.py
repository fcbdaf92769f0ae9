"""How soon a guest ends when it has to, and what it costs that it could.

python -m tests.bench.ends
"""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tests.apps.test_applications import CPYTHON
from tests.waiting.waits import TOOL, WAITS
from wasihost import Module, ModuleConfig, TimeoutExpired, run

AFTER = 0.1
BUSY = "d = {}\nfor i in range(1500000): d[i & 255] = i * 3 % 7\nsorted(str(x) for x in range(60000))"


def late(config: ModuleConfig) -> float:
    """Seconds after its deadline."""
    begin = time.perf_counter()
    with suppress(TimeoutExpired):
        run(TOOL, config, timeout=AFTER)
    return time.perf_counter() - begin - AFTER


def after_ctrl_c(config: ModuleConfig) -> float:
    """Seconds after the signal."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(AFTER, send)
    timer.start()
    with suppress(KeyboardInterrupt):
        run(TOOL, config)
    took = time.perf_counter() - sent[0]
    timer.join()
    return took


def in_a_thread(work: Callable[[], object]) -> float:
    """CPU seconds of a run in a separate thread, which no signal interrupts."""
    took: list[float] = []

    def timed() -> None:
        begin = time.thread_time()
        work()
        took.append(time.thread_time() - begin)

    thread = threading.Thread(target=timed)
    thread.start()
    thread.join()
    return took[0]


def main() -> None:
    """Print both tables."""
    print(f"{'the guest is':24} {'timeout, ms late':>18} {'Ctrl-C, ms':>12}   (median, worst of 9)")
    for name, made in WAITS.items():
        columns = []
        for measure in (late, after_ctrl_c):
            times = []
            for _ in range(9):
                with made() as config:
                    times.append(measure(config) * 1000)
            columns.append(f"{statistics.median(times):.1f}, {max(times):.1f}")
        print(f"{name:24} {columns[0]:>18} {columns[1]:>12}")
    module = Module(CPYTHON)
    plain, interruptible = [], []
    for _ in range(5):
        plain.append(in_a_thread(lambda: run(module, args=["-c", BUSY])))
        interruptible.append(in_a_thread(lambda: run(module, args=["-c", BUSY], timeout=60)))
    print(f"\nCPython that computes: {min(plain):.3f} s without a timeout, {min(interruptible):.3f} s with one: "
          f"{(min(interruptible) / min(plain) - 1) * 100:+.1f} %")  # fmt: skip


if __name__ == "__main__":
    main()
