"""Every kind of wait of a guest is ended by a timeout, by another thread and by a signal."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.support.guests import build_c
from tests.support.timing import few_tries, in_time
from wasihost import (
    Module,
    ModuleConfig,
    TimeoutExpired,
    instantiate,
    run,
)

TOOL = Module(build_c("tool"))
SLACK = 0.1


@few_tries
def test_a_timeout_ends_a_wait(config: ModuleConfig) -> None:
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(TOOL, config, timeout=0.15)
    in_time(time.perf_counter() - begin, 0.15, 0.15 + SLACK)


@few_tries
def test_another_thread_ends_a_wait(config: ModuleConfig) -> None:
    with instantiate(TOOL, config, timeout=30) as guest:
        ended: list[float] = []

        def end() -> None:
            ended.append(time.perf_counter())
            guest.end(RuntimeError("enough"))

        timer = threading.Timer(0.1, end)
        timer.start()
        with pytest.raises(RuntimeError, match="enough"):
            guest.run()
        timer.join()
        in_time(time.perf_counter() - ended[0], 0, SLACK)


@pytest.mark.parametrize("reason", [TimeoutError("enough"), OSError(5, "enough"), BlockingIOError()], ids=repr)
def test_an_end_that_is_an_oserror_is_not_an_errno(config: ModuleConfig, reason: OSError) -> None:
    with instantiate(TOOL, config, timeout=30) as guest:
        timer = threading.Timer(0.05, guest.end, (reason,))
        timer.start()
        with pytest.raises(type(reason)) as caught:
            guest.run()
        assert caught.value is reason
        timer.join()


def test_a_permanent_end_by_an_oserror_reaches_the_caller_unchanged(config: ModuleConfig) -> None:
    reason = TimeoutError("enough")
    with instantiate(TOOL, config, timeout=30) as guest:
        guest.end(reason, permanently=True)
        with pytest.raises(TimeoutError) as caught:
            guest.run()
        assert caught.value is reason


def test_the_timeout_error_of_an_alarm_ends_a_wait(config: ModuleConfig) -> None:
    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError("the alarm went off")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match="the alarm went off"):
            run(TOOL, config)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@few_tries
def test_a_permanent_end_also_ends_later_calls(config: ModuleConfig) -> None:
    with instantiate(TOOL, config, timeout=30) as guest:
        guest.end(RuntimeError("once"))
        guest.end(RuntimeError("for good"), permanently=True)
        begin = time.perf_counter()
        with pytest.raises(RuntimeError, match="for good"):
            guest.run()
        in_time(time.perf_counter() - begin, 0, SLACK)


@few_tries
def test_ctrl_c_ends_a_wait(config: ModuleConfig) -> None:
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(TOOL, config)
    ended = time.perf_counter()
    timer.join()
    in_time(ended - sent[0], 0, SLACK)
