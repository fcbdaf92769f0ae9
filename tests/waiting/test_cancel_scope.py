"""Which call a deadline or an end belongs to: calls within calls, later calls, other threads, signal handlers."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import build_c
from tests.support.timing import few_tries, in_time
from wasihost import (
    ConfigError,
    Imports,
    Instance,
    Module,
    ModuleConfig,
    TimeoutExpired,
    instantiate,
    run,
)
from wasihost.config import Inherit

TOOL = Module(build_c("tool"))
SLACK = 0.1


def test_the_end_of_one_call_does_not_wake_the_next() -> None:
    """A reactor is ended while it polls two things, so by its pipe; then it polls again."""
    poll = """(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "\\01") (data (i32.const 72) "\\01")
      (func (export "poll") (param i64) (result i32)
        (i64.store (i32.const 80) (local.get 0))
        (drop (call $poll (i32.const 8) (i32.const 200) (i32.const 2) (i32.const 400)))
        (i32.load8_u (i32.const 210))))"""
    reads, writes = os.pipe()
    with instantiate(poll, ModuleConfig().with_stdin(Inherit(reads)), timeout=30) as guest:
        timer = threading.Timer(0.05, guest.end, (RuntimeError("enough"),))
        timer.start()
        with pytest.raises(RuntimeError, match="enough"):
            guest.exports.poll(10**11)
        timer.join()
        begin = time.perf_counter()
        assert guest.exports.poll(5 * 10**7) == 0
        assert time.perf_counter() - begin >= 0.05
    os.close(reads)
    os.close(writes)


@few_tries
def test_a_timeout_without_end_takes_nothing_from_others() -> None:
    """In threads, where nothing but deadlines makes the engine look at a guest."""
    ended: list[float] = []

    def spin() -> None:
        with pytest.raises(TimeoutExpired):
            run(TOOL, args=["spin"], timeout=0.1)
        ended.append(time.perf_counter())

    def rest(timeout: float) -> None:
        run(TOOL, args=["sleep", "1"], timeout=timeout)

    threads = [threading.Thread(target=rest, args=(timeout,)) for timeout in (1e10, 1e300, float("inf"))]
    threads.append(threading.Thread(target=spin))
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    in_time(ended[0] - begin, 0.1, 0.1 + 4 * 0.02 + SLACK)


@few_tries
def test_a_timeout_is_for_the_start_section_and_the_start_function_together() -> None:
    text = """(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "\\01") (data (i32.const 24) "\\00\\c2\\eb\\0b")
      (func $rest (drop (call $poll (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 400))))
      (start $rest) (func (export "_start") (call $rest)))"""
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(text, timeout=0.3)  # two sleeps of 0.2 s
    in_time(time.perf_counter() - begin, 0.3, 0.3 + SLACK)


@few_tries
def test_a_call_within_a_call_has_the_nearer_end() -> None:
    text = """(module (import "env" "again" (func $again))
      (func (export "spin") (loop (br 0))) (func (export "outer") (call $again) (loop (br 0))))"""
    host = Imports()
    ended: list[float] = []

    @host.function
    def again() -> None:
        for seconds in (0.05, 60):
            try:
                guest.exports.spin(timeout=seconds)
            except TimeoutExpired as error:
                ended.append(error.timeout)
                if error.timeout > 0.05:
                    raise

    def work() -> None:
        begin = time.perf_counter()
        with pytest.raises(TimeoutExpired) as caught:
            guest.exports.outer(timeout=0.2)
        assert caught.value.timeout == 0.2
        over.append(time.perf_counter() - begin)

    over: list[float] = []
    with instantiate(text, imports=host, timeout=30) as guest:
        work()
        thread = threading.Thread(target=work)  # where nothing looks at a guest every now and then
        thread.start()
        thread.join()
    assert ended == [0.05, 0.2] * 2
    assert len(over) == 2
    for took in over:
        in_time(took, 0.2, 0.2 + SLACK)


def test_an_end_that_comes_too_late_still_raises() -> None:
    """It was made where nothing has a say: in another thread, without a timeout. One that waits ends all the same."""
    made: list[Instance] = []
    ends: list[str] = []
    ready = threading.Semaphore(0)

    def work(module: str | Path, *args: str) -> None:
        guest = instantiate(module, args=args)
        made.append(guest)
        ready.release()
        try:
            guest.run()
        except Enough as end:
            ends.append(str(end))
        finally:
            guest.close()

    spin = threading.Thread(target=work, args=(SPIN_AND_SLEEP,), daemon=True)
    spin.start()
    ready.acquire()
    time.sleep(0.1)
    with pytest.raises(ConfigError, match="give `timeout` when it is made"):
        made[0].end(Enough("computing"), permanently=True)
    asleep = threading.Thread(target=work, args=(build_c("tool"), "sleep", "60"))
    asleep.start()
    ready.acquire()
    time.sleep(0.1)
    made[1].end(Enough("asleep"), permanently=True)
    asleep.join(20)
    spin.join(60)
    assert sorted(ends) == ["asleep", "computing"]


class Enough(Exception):
    """Ends a guest."""


SPIN_AND_SLEEP = """(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $i i64)
    (loop $l (br_if $l (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const 2000000000))))
    (i64.store (i32.const 32) (i64.const 60000000000))
    (drop (call $poll (i32.const 8) (i32.const 512) (i32.const 1) (i32.const 120)))))"""
"""Computes for a second or a few, then sleeps for a minute."""


@pytest.mark.filterwarnings("ignore")  # an instance that was being closed just then is closed by the collector
@pytest.mark.parametrize("error", [(TimeoutError,), (BlockingIOError, 11, "by its number"), (ConnectionError,)])
def test_an_oserror_of_a_signal_handler_is_not_an_errno(error: tuple[Any, ...]) -> None:
    """Wherever it comes in a guest that does nothing but call the host."""

    def ring(_number: int, _frame: object) -> None:
        raise error[0](*error[1:])

    delays = iter(range(1, 1000))
    imports = Imports("env")

    @imports.function
    def begin() -> None:  # once the guest runs: what looks for its module in the cache passes over an OSError
        signal.setitimer(signal.ITIMER_REAL, next(delays) / 5_000)

    module = Module(CALLING)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for _ in range(20):
            with pytest.raises(error[0]):
                run(module, files={"a": b""}, imports=imports, timeout=20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.collect()  # here, where nobody minds


CALLING = """(module
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "begin" (func $begin))
  (memory (export "memory") 1) (data (i32.const 8) "a")
  (func (export "_start") (call $begin)
    (loop (drop (call $stat (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 64))) (br 0))))"""


def test_a_second_thread_does_not_touch_the_first_one_s_time() -> None:
    text = '(module (func (export "spin") (loop (br 0))) (func (export "nothing")))'
    refused = 0
    with instantiate(text, timeout=30) as guest:
        ended: list[BaseException] = []

        def spin() -> None:
            try:
                guest.exports.spin(timeout=0.3)
            except TimeoutExpired as error:
                ended.append(error)

        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.05)
        for timeout in (None, 0.0, 60.0) * 5:
            with pytest.raises(RuntimeError, match="another thread"):
                guest.exports.nothing(timeout=timeout)
            refused += 1
        thread.join(5)
        assert [getattr(error, "timeout", None) for error in ended] == [0.3]
    assert refused == 15


def test_an_end_counts_also_if_a_nearer_one_is_set_after_it() -> None:
    host = Imports()

    @host.function
    def again() -> None:
        guest.end(RuntimeError("enough"))
        guest.exports.spin(timeout=30)

    text = """(module (import "env" "again" (func $again)) (func (export "spin") (loop (br 0)))
      (func (export "outer") (call $again)))"""
    with instantiate(text, imports=host, timeout=60) as guest, pytest.raises(RuntimeError, match="enough"):
        guest.exports.outer()


def test_a_deadline_does_not_disturb_input_in_time() -> None:
    reads, writes = os.pipe()
    pieces = [b"one ", b"two ", b"three"]

    def feed() -> None:
        for piece in pieces:
            time.sleep(0.03)
            os.write(writes, piece)
        os.close(writes)

    feeder = threading.Thread(target=feed)
    feeder.start()
    done = run(TOOL, args=["cat"], stdin=Inherit(reads), stdout=-1, timeout=20)
    feeder.join()
    os.close(reads)
    assert done.stdout == b"one two three"
