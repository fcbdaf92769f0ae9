"""An instance that lives on: calls with numbers, and the ends that come from outside: deadlines, signals, limits."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.engine import Host
from tests.support.timing import few_tries, in_time
from wasihost.engines.values import CompileMode, EngineLimits
from wasihost.engines.wasmtime import module
from wasihost.engines.wasmtime.epoch import epoch_thread
from wasihost.engines.wasmtime.instance import WasmtimeInstance
from wasihost.engines.wasmtime.run import instantiate
from wasihost.errors import LimitExceeded, LinkError, TimeoutExpired, TrapError
from wasihost.waiting.cancel_scope import CancelScope

GUEST = b"""(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1 100)
  (func (export "spin") (loop (br 0)))
  (func (export "yield") (result i32) (call $yield))
  (func (export "mix") (param i32 i64 f32 f64) (result i64 f64)
    (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))
    (f64.add (f64.promote_f32 (local.get 2)) (local.get 3)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "trap") unreachable))"""
INTERRUPTIBLE = CompileMode(interruptible=True)


class Opened:
    """The guest above, open, with a deadline of its own."""

    def __init__(
        self, mode: CompileMode = INTERRUPTIBLE, limits: EngineLimits | None = None, host: Host | None = None
    ) -> None:
        self.scope = CancelScope()
        self.host = host or Host(sched_yield=lambda _host: 0)
        self.instance = instantiate(
            module.load(GUEST, mode=mode), self.host, scope=self.scope, limits=limits or EngineLimits()
        )  # fmt: skip
        self.instance.open()

    def within(self, seconds: float) -> TimeoutExpired:
        """Give the guest so much time; what it ends with."""
        reason = TimeoutExpired(["guest"], seconds)
        self.scope.start(time.monotonic_ns() + int(seconds * 1_000_000_000), reason)
        return reason


@pytest.fixture
def guest() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    opened.instance.close()
    until = time.monotonic() + 2
    while epoch_thread._thread:
        assert time.monotonic() < until, "the watching thread has to end with the last guest"
        time.sleep(0.001)


def test_numbers_in_and_out(guest: Opened) -> None:
    call = guest.instance.call
    assert call("mix", -1, 5, 0.5, 0.25) == (4, 0.75)
    assert call("mix", 2**32 - 1, 2**64 - 1, 0, 0) == (-2, 0.0)
    assert call("grow", 2) == 1
    assert len(guest.instance.view()) == 3 << 16
    guest.instance.view()[70_000] = 1
    for numbers, error in (((1, 2, 3), TypeError), ((1.5, 2, 3, 4), TypeError), ((2**32, 2, 3, 4), OverflowError)):
        with pytest.raises(error):
            call("mix", *numbers)
    with pytest.raises(LinkError, match="export nothing"):
        call("nothing")


def test_a_trap_does_not_end_the_instance(guest: Opened) -> None:
    for _ in range(3):
        with pytest.raises(TrapError, match="unreachable"):
            guest.instance.call("trap")
        assert guest.instance.call("grow", 0) == 1


@few_tries
def test_a_guest_that_computes_ends_at_its_deadline(guest: Opened) -> None:
    for seconds in (0.02, 0.1):
        reason, begin = guest.within(seconds), time.perf_counter()
        with pytest.raises(TimeoutExpired) as caught:
            guest.instance.call("spin")
        assert caught.value is reason
        in_time(time.perf_counter() - begin, seconds, seconds + 0.1)
    guest.scope.start(None, None)
    assert guest.instance.call("grow", 0) == 1


@few_tries
def test_deadlines_of_two_guests_are_independent() -> None:
    """All interruptible guests of the process are called back; only the one that was meant ends."""
    ends: dict[float, float] = {}

    def run(seconds: float) -> None:
        opened = Opened()
        reason, begin = opened.within(seconds), time.perf_counter()
        with pytest.raises(TimeoutExpired) as caught:
            opened.instance.call("spin")
        if caught.value is reason:
            ends[seconds] = time.perf_counter() - begin
        opened.instance.close()

    threads = [threading.Thread(target=run, args=(0.05 * number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 4
    for seconds, took in ends.items():
        in_time(took, seconds, seconds + 0.15)


def test_another_thread_can_end_it(guest: Opened) -> None:
    reason = RuntimeError("enough")

    def end() -> None:
        guest.scope.cancel(reason)
        epoch_thread.interrupt()

    timer = threading.Timer(0.05, end)
    timer.start()
    with pytest.raises(RuntimeError, match="enough"):
        guest.instance.call("spin")
    timer.join()


@pytest.mark.parametrize("how", ["signal", "simulated"])
@few_tries
def test_ctrl_c_ends_a_guest_that_computes(guest: Opened, how: str) -> None:
    """Within a tenth of a second, by the handler that Python has for it."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT) if how == "signal" else _thread.interrupt_main()

    timer = threading.Timer(0.1, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        guest.instance.call("spin")
    timer.join()
    in_time(time.perf_counter() - sent[0], 0, 0.1)


def test_a_call_within_a_call() -> None:
    """A host function may call the guest; what ends the inner call is an ordinary exception to it."""
    opened: list[Opened] = []

    def sched_yield(_host: Host) -> int:
        with pytest.raises(TrapError, match="unreachable"):
            opened[0].instance.call("trap")
        grown: int = opened[0].instance.call("grow", 1)
        return grown

    opened.append(Opened(host=Host(sched_yield=sched_yield)))
    assert opened[0].instance.call("yield") == 1
    assert opened[0].instance.call("yield") == 2
    opened[0].instance.close()


def test_an_instance_is_for_one_thread_at_a_time() -> None:
    refused: list[BaseException] = []

    def other() -> None:
        for act in (lambda: opened.instance.call("grow", 1), opened.instance.close):
            try:
                act()
            except RuntimeError as error:
                refused.append(error)

    def sched_yield(_host: Host) -> int:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return 5

    opened = Opened(host=Host(sched_yield=sched_yield))
    assert opened.instance.call("yield") == 5
    assert [str(error).partition(":")[0] for error in refused] == ["another thread is in this guest"] * 2
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(refused) == 2
    assert not opened.instance.is_open


def test_closing_while_another_thread_calls_is_safe() -> None:
    """It closes between two calls, or is told that it cannot."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            opened = Opened(host=Host(sched_yield=lambda _host: 0))

            def call(instance: WasmtimeInstance = opened.instance) -> None:
                with contextlib.suppress(RuntimeError):
                    while True:
                        instance.call("yield")
                        time.sleep(0)

            thread = threading.Thread(target=call)
            thread.start()
            time.sleep(0.0005)
            while opened.instance.is_open:
                time.sleep(0.0001)
                with contextlib.suppress(RuntimeError):
                    opened.instance.close()
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def test_a_guest_cannot_be_closed_by_what_it_calls() -> None:
    def sched_yield(_host: Host) -> int:
        opened.instance.close()
        return 0

    opened = Opened(host=Host(sched_yield=sched_yield))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the guest is running"):
            opened.instance.call("yield")
    opened.instance.close()


def test_memory_has_a_limit() -> None:
    opened = Opened(limits=EngineLimits(memory=10 << 16))
    assert opened.instance.call("grow", 5) == 1
    assert opened.instance.call("grow", 5) == -1
    opened.instance.close()
    with pytest.raises(LimitExceeded) as caught:
        Opened(limits=EngineLimits(memory=100))
    assert caught.value.limit == "memory"


def test_fuel_is_counted_and_ends() -> None:
    opened = Opened(CompileMode(fuel=True), EngineLimits(fuel=100_000))
    assert opened.instance.call("grow", 0) == 1
    assert 0 < 100_000 - opened.instance.fuel() < 100
    with pytest.raises(LimitExceeded) as caught:
        opened.instance.call("spin")
    assert caught.value.limit == "fuel"
    opened.instance.set_fuel(1000)
    assert opened.instance.call("grow", 0) == 1
    opened.instance.close()


def test_a_closed_instance_says_so() -> None:
    opened = Opened()
    grow = opened.instance.function("grow")
    opened.instance.close()
    opened.instance.close()
    with pytest.raises(RuntimeError, match="closed"):
        opened.instance.call("grow", 0)
    with pytest.raises(RuntimeError, match="closed"):
        grow(0)
