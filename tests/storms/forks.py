"""Forks at any moment, while other threads compile, run guests, end them, or use the library for the first time: what
the child inherits works, and nothing is waited for that only the parent could do."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress

from tests.storms.modules import SPIN, status

PATIENCE = 30
"""Seconds that a child may take beside a heavy load; one that hangs takes for ever."""


def child(work: Callable[[], object]) -> int:
    """Fork, and let the child do it: its process id."""
    pid = os.fork()
    if pid:
        return pid
    wrong = 1
    faulthandler.register(signal.SIGALRM, chain=True)  # not `dump_traceback_later`, whose thread is not here
    signal.alarm(PATIENCE - 5)
    try:
        work()
        wrong = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(wrong)


def over(pid: int, moment: str) -> None:
    """Wait for a child; AssertionError for one that failed or hangs."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, end = os.waitpid(pid, os.WNOHANG)
        if done:
            assert end == 0, f"{moment}: the child ended with {os.waitstatus_to_exitcode(end)}"
            return
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError(f"{moment}: the child hangs")


def guests(number: int) -> None:
    """What each child does: what was compiled before, something new, and a guest that has to be ended."""
    import wasihost

    assert wasihost.run(OLD).returncode == 7
    assert wasihost.run(status(number), timeout=PATIENCE).returncode == number % 100
    with suppress(wasihost.TimeoutExpired):
        wasihost.run(SPIN, timeout=0.01)
        raise AssertionError("the deadline did not come")


OLD = status(7)


def storm(seconds: float, chance: random.Random) -> str:
    """Children of a process whose threads are busy, and first uses of the library, by turns."""
    import wasihost

    warnings.simplefilter("ignore")  # of forks in a process with threads, which is the point
    stop, wrong = threading.Event(), []
    numbers = iter(range(100_000, 1_000_000_000))

    def compiling() -> None:
        while not stop.is_set():
            wasihost.run(status(next(numbers), 20), timeout=PATIENCE)

    def ending() -> None:
        while not stop.is_set():
            with suppress(wasihost.TimeoutExpired):
                wasihost.run(SPIN, timeout=0.003)

    def starting() -> None:
        while not stop.is_set():
            with wasihost.start(OLD) as process:
                process.wait()

    def checked(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            wrong.append(error)

    wasihost.run(OLD)
    threads = [threading.Thread(target=checked, args=(work,)) for work in (compiling, ending, starting)]
    for thread in threads:
        thread.start()
    until, done = time.monotonic() + seconds / 2, 0
    try:
        while not done or time.monotonic() < until:
            time.sleep(chance.uniform(0, 0.02))
            pids = [child(lambda: guests(chance.randrange(10**9))) for _ in range(2)]
            for pid in pids:
                over(pid, f"fork {done + 1}")
            done += len(pids)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong
    until, first = time.monotonic() + seconds / 2, 0
    while not first or time.monotonic() < until:
        command = [sys.executable, "-W", "ignore", "-m", "tests.storms.forks", str(chance.randrange(1 << 30))]
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=4 * PATIENCE)
        assert not process.returncode, process.stderr[-2000:]
        first += 1
    return f"{done} forks beside compilations and ends of guests, {first} beside first uses"


def first_use(seed: int) -> None:
    """Forks while two threads use the library for the first time. It is imported: what a fork in the middle of the
    first `import` of a package leaves to the child is Python's own to mend."""
    import wasihost  # noqa: F401

    chance = random.Random(seed)
    threads = [threading.Thread(target=guests, args=(number,), daemon=True) for number in (1, 2)]
    for thread in threads:
        thread.start()
    pids = []
    for number in range(3):
        time.sleep(chance.uniform(0, 0.06))
        pids.append(child(lambda number=number: guests(number)))  # type: ignore[misc]  # bound now
    for pid in pids:
        over(pid, f"first use, seed {seed}")


if __name__ == "__main__":
    first_use(int(sys.argv[1]))
