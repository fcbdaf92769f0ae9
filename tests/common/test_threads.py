"""Threads and latches that signal handlers interrupt at any moment."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import pytest

from wasihost.common.threads import Latch, start_thread

PATIENCE = 60


class Ring(BaseException):
    """What the handler raises."""


def spin(latch: Latch) -> None:
    """Wait. It is a function because on CPython 3.12 and 3.13 an `except` does not catch what a handler raises at the
    end of a loop which is the last statement of its `try`.
    """
    while not latch.wait(0):
        pass


def test_an_interrupted_wait_leaves_nothing_held() -> None:
    """`threading.Event` fails this: `set` waits permanently for a lock that the interrupted wait has left held."""
    armed = False

    def ring(_signal: int, _frame: FrameType | None) -> None:
        nonlocal armed
        if armed:
            armed = False  # once: a second one would come out of `except`, and end pytest
            raise Ring

    rung = 0
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            latch = Latch()
            try:
                armed = True
                spin(latch)
            except Ring:
                rung += 1
            setter = threading.Thread(target=latch.set, daemon=True)
            setter.start()
            setter.join(PATIENCE)
            assert not setter.is_alive(), "set() waits"
            assert latch.wait()
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rung


def test_a_latch_wakes_all_that_wait() -> None:
    latch, woken = Latch(), []
    threads = [threading.Thread(target=lambda: woken.append(latch.wait(PATIENCE))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert not latch.wait(0.05)
    latch.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [True] * 5
    assert latch.wait(0)
    assert latch._waiting == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_thread_has_its_name_and_does_not_keep_python_from_ending(elsewhere: bool) -> None:
    seen: list[threading.Thread] = []
    over = Latch()

    def work() -> None:
        seen.append(threading.current_thread())
        over.set()

    def start() -> None:
        start_thread("wasihost test", work)

    if elsewhere:
        threading.Thread(target=start).start()
    else:
        start()
    assert over.wait(PATIENCE)
    assert (seen[0].name, seen[0].daemon) == ("wasihost test", True)


def test_work_is_done_where_the_system_has_only_one_thread_left(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Latch()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    start_thread("wasihost test", over.set)
    assert over.wait(PATIENCE)
