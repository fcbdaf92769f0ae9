"""Signal handlers that raise at any moment while guests are started, talked with, compiled and waited for: it comes out
once, and what comes afterwards works. Each of these has locks and threads that an exception could leave held."""

from __future__ import annotations

import gc
import itertools
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from types import FrameType

import wasihost
from tests.process.soak import footprint
from tests.storms.modules import SPIN, status
from tests.support.guests import build_c

PATIENCE = 30
"""Seconds that a call may take beside a heavy load; one that waits for a lock takes for ever."""


class Ring(BaseException):
    """What the handler raises."""


def ways(chance: random.Random) -> dict[str, Callable[[], object]]:
    """Each ends within a second."""
    tool, numbers = build_c("tool"), itertools.count(chance.randrange(10**9) * 100)
    shared = wasihost.Module(status(3))

    def talked() -> None:
        with wasihost.start(tool, args=["cat"]) as process:
            assert process.communicate(b"x", timeout=PATIENCE)[0] == b"x"

    def read() -> None:
        with wasihost.start(tool, args=["args"], text=True) as process:
            process.stdout.read()

    def killed() -> None:
        process = wasihost.start(SPIN)
        try:
            process.kill()
            process.wait(PATIENCE)
        finally:
            process.kill()

    def new() -> None:
        number = next(numbers)
        assert wasihost.run(status(number, 3)).returncode == number % 100

    def again() -> None:
        shared._compiled.clear()
        assert wasihost.run(shared).returncode == 3

    def ahead() -> None:
        pieces = iter([b"x" * 10] * 20)
        run = wasihost.run(tool, args=["cat"], stdin=lambda _size: next(pieces, b""), stdout=wasihost.PIPE)
        assert run.stdout == b"x" * 200

    return {"talked": talked, "read": read, "killed": killed, "new": new, "again": again, "ahead": ahead}


def in_time(name: str, way: Callable[[], object]) -> None:
    """In another thread, so that a lock that is still held is seen: AssertionError for a call that is not over."""
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            way()
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{name}: hangs after an interruption"
    assert not wrong, name + "".join(traceback.format_exception(wrong[0]))


def storm(seconds: float, chance: random.Random) -> str:
    """One way after the other, interrupted at a random moment of it."""
    warnings.simplefilter("ignore", ResourceWarning)
    rung: list[str] = []
    armed: list[bool] = []
    name = ""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            rung.append(name)
            raise Ring

    lost: list[object] = []
    """Finalizers that the handler interrupted: Python neither runs them again nor lets the exception out, so a guest
    that one of them should have ended may go on."""

    def ignored(what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is Ring:
            lost.append(what.object)
        else:
            sys.__unraisablehook__(what)

    sys.unraisablehook = ignored
    all_ways = ways(chance)
    usual: dict[str, float] = {}
    for name, way in all_ways.items():
        way()
        begun = time.monotonic()
        way()
        usual[name] = time.monotonic() - begun
    gc.collect()
    before = footprint()
    signal.signal(signal.SIGALRM, ring)
    until, done = time.monotonic() + seconds, 0
    while not done or time.monotonic() < until:
        for name, way in all_ways.items():
            begun = time.monotonic()
            armed.append(True)
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 1.2 * usual[name]))
                way()
                armed.clear()
            except Ring:
                armed.clear()
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert time.monotonic() - begun < PATIENCE, f"{name}: was not interrupted"
            done += 1
            if not done % 20:
                for other, once_more in all_ways.items():
                    in_time(f"{other} after {name}", once_more)
    assert rung
    until = time.monotonic() + PATIENCE
    most = before.threads + sum(getattr(one, "__name__", "") == "__del__" for one in lost)
    while (now := footprint()).threads > most and time.monotonic() < until:
        gc.collect()
        time.sleep(0.05)
    gc.collect()
    now = footprint()
    assert now.threads <= most, f"threads: {before.threads}, then {now.threads}, {len(lost)} finalizers interrupted"
    return f"{len(rung)} of {done} calls interrupted"
