"""Many guests in many threads: every end reaches the one who started the guest, and nothing is left behind."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.process.soak import footprint
from tests.support.guests import build_c
from wasihost import PIPE, Module, TimeoutExpired, TrapError, run

THREADS, RUNS = 8, 500


@pytest.fixture(autouse=True)
def quick_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Mine(Exception):
    """Raised by a stream of one thread's one run."""


def one(module: Module, trap: Module, spin: Module, thread: int, number: int) -> str:
    """One of five kinds of run; what is wrong with its end, if anything."""
    mark = thread * RUNS + number
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


def test_eight_threads_of_500_runs() -> None:
    modules = (
        Module(build_c("tool")),
        Module('(module (memory (export "memory") 1) (func (export "_start") unreachable))'),
        Module('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'),
    )
    for module in modules:  # every way that they are compiled for, before descriptors are counted
        module.compiled(interruptible=True)
        module.compiled()
    before = footprint()
    wrong: list[str] = []

    def work(thread: int) -> None:
        for number in range(RUNS):
            try:
                if problem := one(*modules, thread, number):
                    wrong.append(problem)
            except BaseException as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    until = time.monotonic() + 2
    while footprint().threads > before.threads and time.monotonic() < until:
        time.sleep(0.01)
    after = footprint()
    assert (after.threads, after.descriptors) == (before.threads, before.descriptors)
