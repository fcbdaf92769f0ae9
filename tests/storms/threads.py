"""Runs of all kinds in eight threads: every end reaches the caller that started the guest, and nothing is left."""

from __future__ import annotations

import random
import sys
import threading
import time

from tests.process.soak import footprint
from tests.storms.modules import SPIN, TRAP
from tests.support.guests import build_c
from wasihost import PIPE, Module, TimeoutExpired, TrapError, run

THREADS = 8


class Mine(Exception):
    """Raised by a stream of one thread's one run."""


def one(module: Module, trap: Module, spin: Module, thread: int, number: int) -> str:
    """One of five kinds of run; what is wrong with its end, if anything."""
    mark = number * THREADS + thread
    match number % 5:
        case 0:
            done = run(module, args=["exit", str(mark % 256)])
            return "" if done.returncode == mark % 256 else f"status {done.returncode}"
        case 1:
            text = f"{mark} " * 10
            got = run(module, args=["cat"], input=text, text=True, stdout=PIPE).stdout
            return "" if got == text else f"output {got!r}"
        case 2:

            def write(_data: bytes) -> None:
                raise Mine(mark)

            try:
                run(module, args=["both"], stdout=write)
            except Mine as error:
                return "" if error.args == (mark,) else f"another's exception {error!r}"
            return "no exception"
        case 3:
            try:
                run(trap)
            except TrapError as error:
                return "" if error.kind == "unreachable" else error.kind
            return "no trap"
        case _:
            if number % 50 != 4:
                return "" if run(module, args=["exit", "7"], timeout=60).returncode == 7 else "timeout run"
            try:
                run(spin, timeout=0.001 * (thread + 1))
            except TimeoutExpired as error:
                return "" if error.timeout == 0.001 * (thread + 1) else "another's timeout"
            return "no timeout"


def storm(seconds: float, _chance: random.Random) -> str:
    """Runs of each kind, by turns in each thread."""
    modules = Module(build_c("tool")), Module(TRAP), Module(SPIN)
    for module in modules:  # every way that they are compiled for, before descriptors are counted
        module.compiled(interruptible=True)
        module.compiled()
    before = footprint()
    wrong: list[str] = []
    counts = [0] * THREADS
    until = time.monotonic() + seconds

    def work(thread: int) -> None:
        while time.monotonic() < until:
            try:
                if problem := one(*modules, thread, counts[thread]):
                    wrong.append(problem)
            except BaseException as error:
                wrong.append(repr(error))
            counts[thread] += 1

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switching)
    assert wrong == []
    until = time.monotonic() + 2
    while footprint().threads > before.threads and time.monotonic() < until:
        time.sleep(0.01)
    after = footprint()
    assert (after.threads, after.descriptors) == (before.threads, before.descriptors)
    return f"{sum(counts):,} runs in {THREADS} threads"
