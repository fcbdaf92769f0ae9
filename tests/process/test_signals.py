"""Python's signal handlers while a guest runs: prompt, once, safe at any moment, and never in anybody's way."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from signal import signal as under_another_name
from typing import Any

import pytest

from tests.process.interrupts import Storm
from tests.support.timing import few_tries, in_time
from tests.support.wheels import python
from wasihost import Imports, Module, TimeoutExpired, instantiate, run
from wasihost.engines.wasmtime import deferred_signals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SPIN = Module('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))')
CALLS = """(module (import "env" "host" (func $host (result i32))) (memory (export "memory") 1)
  (func (export "_start") (loop (br_if 0 (call $host))) {then}))"""
WAITS = ["computing", "calling", "sleeping", "polling", "reading", "accepting", "host sleeping"]


class Enough(Exception):
    """Raised by handlers."""


def enough(_number: int, _frame: object) -> None:
    raise Enough


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    """Every signal that is used here is afterwards as it was before."""
    numbers = signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGINT
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def later(number: int, seconds: float = 0.1) -> threading.Timer:
    """Send a signal to this process soon."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.start()
    return timer


def calling(host: Callable[[], int], then: str = "") -> None:
    """Run a guest that calls `host` until it returns 0, and does something `then`."""
    imports = Imports("env")
    imports.function(name="host")(host)
    run(CALLS.format(then=then), imports=imports, timeout=20)


def test_interrupted_runs() -> None:
    """The short form of `make interrupts`. In a process of its own: here the collector may call what other tests left
    behind, and what a handler raises within such a call is lost, as Python says it is."""
    done = python("from tests.process.interrupts import storm; print(min(storm(600).values()))")
    assert (done.stdout, done.stderr) == ("40\n", "")


@pytest.mark.parametrize("kind", [name for name in WAITS if name != "host sleeping"])
def test_the_waits_of_the_storm_are_waits(kind: str) -> None:
    waits = Storm(1, timeout=0.05)
    with pytest.raises(TimeoutExpired):
        waits.kinds[kind]()
    waits.close()


@pytest.mark.parametrize("kind", WAITS)
@few_tries
def test_a_handler_runs_at_once_and_the_guest_goes_on(kind: str) -> None:
    came: list[float] = []

    def handler(_number: int, _frame: object) -> None:
        came.append(time.perf_counter() - sent)
        if len(came) == 3:
            raise Enough

    signal.signal(signal.SIGALRM, handler)
    waits = Storm(1)
    sent = time.perf_counter() + 0.1
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.3)
    with pytest.raises(Enough):
        waits.kinds[kind]()
    signal.setitimer(signal.ITIMER_REAL, 0)
    waits.close()
    assert len(came) == 3
    for turn, took in enumerate(came):
        in_time(took, 0.3 * turn, 0.3 * turn + 0.2)


def test_an_exception_in_a_weak_reference_callback_is_not_lost() -> None:
    class Interrupts(set[object]):
        def discard(self, member: object) -> None:
            signal.raise_signal(signal.SIGUSR1)
            super().discard(member)

    class Member:
        pass

    members: Any = weakref.WeakSet()
    members.data = Interrupts()  # used by the callback, whose exceptions Python prints and forgets

    def host() -> int:
        members.add(member := Member())
        del member
        return 1

    signal.signal(signal.SIGUSR1, enough)
    with pytest.raises(Enough):
        calling(host)


def test_ctrl_c_within_a_host_function_is_raised_there() -> None:
    seen: list[str] = []

    def host() -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)
        except KeyboardInterrupt:
            seen.append("caught")
        return 0

    calling(host)
    assert seen == ["caught"]


@pytest.mark.parametrize("then", ["(loop (br 0))", "(loop (drop (call $host)) (br 0))"])
@pytest.mark.parametrize("install", [signal.signal, under_another_name])
def test_a_handler_that_a_host_function_installs(install: Callable[..., object], then: str) -> None:
    """Each time at another moment, mostly on entering a callback."""
    before: list[object] = []
    moment = iter(range(20, 50))

    def host() -> int:
        if signal.getsignal(signal.SIGUSR1) is not enough:
            before.append(install(signal.SIGUSR1, enough))
            assert signal.getsignal(signal.SIGUSR1) is enough
            threading.Timer(next(moment) / 10_000, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        return 0

    for _ in range(30):
        with pytest.raises(Enough):
            calling(host, then)
        assert signal.getsignal(signal.SIGUSR1) is enough
        assert signal.signal(signal.SIGUSR1, signal.SIG_DFL) is enough
    assert before == [signal.SIG_DFL] * 30


def test_getsignal_returns_the_real_handlers() -> None:
    def other(_number: int, _frame: object) -> None:
        pass

    seen: list[object] = []

    def look() -> None:
        seen.append(signal.getsignal(signal.SIGUSR1))
        with pytest.raises(ValueError, match="main thread"):
            signal.signal(signal.SIGUSR1, other)

    def host() -> int:
        look_elsewhere = threading.Thread(target=look)
        look_elsewhere.start()
        look_elsewhere.join()
        seen.append(signal.signal(signal.SIGUSR1, other))
        seen.append(signal.signal(signal.SIGUSR1, signal.SIG_IGN))
        seen.append(signal.signal(signal.SIGUSR1, other))
        seen.append(signal.signal(signal.SIGUSR2, signal.SIG_IGN))
        with pytest.raises((TypeError, ValueError)):
            signal.signal(1000, other)
        with pytest.raises(TypeError):
            signal.signal(signal.SIGUSR1, "other")  # type: ignore[arg-type]  # that is the point
        return 0

    signal.signal(signal.SIGUSR1, enough)
    signal.signal(signal.SIGUSR2, enough)
    calling(host)
    assert seen == [enough, enough, other, signal.SIG_IGN, enough]
    assert signal.getsignal(signal.SIGUSR1) is other
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_that_are_set_between_runs_are_deferred() -> None:
    deferred: list[bool] = []

    def host() -> int:
        deferred.append(deferred_signals._get(signal.SIGUSR1) is deferred_signals.stand_in)
        return 0

    for handler in (signal.SIG_DFL, enough, enough, signal.SIG_DFL, enough):
        signal.signal(signal.SIGUSR1, handler)
        calling(host)
    assert deferred == [False, True, True, False, True]


def test_two_signals_at_once_are_both_handled() -> None:
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)

    signal.signal(signal.SIGUSR1, note)
    signal.signal(signal.SIGUSR2, enough)
    timers = later(signal.SIGUSR1), later(signal.SIGUSR2)
    with pytest.raises(Enough):
        run(SPIN, timeout=20)
    for timer in timers:
        timer.join()
    assert came == [signal.SIGUSR1]


def test_a_handler_may_run_a_guest_and_be_interrupted_itself() -> None:
    ends: list[type[BaseException]] = []

    def handler(_number: int, _frame: object) -> None:
        timer = later(signal.SIGINT)
        try:
            run(SPIN, timeout=20)
        except KeyboardInterrupt as end:
            ends.append(type(end))
        timer.join()
        raise Enough

    signal.signal(signal.SIGUSR1, handler)
    timer = later(signal.SIGUSR1)
    with pytest.raises(Enough):
        run(SPIN, timeout=20)
    timer.join()
    assert ends == [KeyboardInterrupt]


def test_an_instance_of_another_thread_is_interrupted_in_the_main_thread() -> None:
    """Made in a thread that signals do not interrupt, without a timeout: ended at its next call of the host."""
    imports, made = Imports("env"), []
    imports.function(name="host")(_one)
    thread = threading.Thread(target=lambda: made.append(instantiate(CALLS.format(then=""), imports=imports)))
    thread.start()
    thread.join()
    timer = later(signal.SIGINT)
    with made[0] as instance, pytest.raises(KeyboardInterrupt):
        instance.call("_start")
    timer.join()


def _one() -> int:
    return 1


def test_asyncio_is_told_once() -> None:
    """asyncio's handlers do nothing; what counts is what comes out of the wakeup descriptor."""
    came: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, came.append, 1)
        before = _action(signal.SIGUSR1)
        for _ in range(20):
            timer = later(signal.SIGUSR1, 0.005)
            with pytest.raises(TimeoutExpired):
                run(SPIN, timeout=0.02)
            timer.join()
            await asyncio.sleep(0.01)
        assert _action(signal.SIGUSR1) == before  # SA_RESTART, which asyncio sets, among others
        loop.remove_signal_handler(signal.SIGUSR1)

    asyncio.run(main())
    assert came == [1] * 20


def _action(number: int) -> tuple[bytes, bytes]:
    """The function and the flags that the system has for a signal, as Linux' C libraries lay them out."""
    room = ctypes.create_string_buffer(160)
    ctypes.CDLL(None).sigaction(number, None, room)
    return room.raw[:8], room.raw[136:140]


def test_the_handler_of_another_library_stays() -> None:
    code = """
import faulthandler, os, signal, wasihost
host = wasihost.Imports("env")
@host.function
def host_function() -> None:
    signal.raise_signal(signal.SIGUSR1)  # to this thread: faulthandler shows the one that gets it
signal.signal(signal.SIGUSR1, lambda *_: print("Python's", flush=True))
faulthandler.register(signal.SIGUSR1, all_threads=False, chain=True)  # others may be ending
guest = '(import "env" "host_function" (func $f)) (memory (export "memory") 1) (func (export "_start") (call $f))'
wasihost.run(f"(module {guest})", imports=host)
signal.raise_signal(signal.SIGUSR1)
"""
    done = python(code)
    assert done.stdout == "Python's\n" * 2
    assert done.stderr.count("Stack (most recent call first)") == 2


IGNORED = """
import os, signal, sys, threading, wasihost
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
came = []
signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
for number in (signal.SIGINT, signal.SIGUSR1):
    threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
try:
    wasihost.run('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))', timeout=0.6)
except wasihost.TimeoutExpired:
    print(came, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """As in the background of a script. Handlers of other signals run all the same."""
    done = subprocess.run(
        [sys.executable, "-c", IGNORED], capture_output=True, text=True, check=True, timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert done.stdout == "[1] True\n"


def test_a_fork_while_a_guest_runs_leaves_the_child_its_own_handlers() -> None:
    code = """
import os, signal, threading, time, warnings, wasihost
warnings.simplefilter("ignore")
def fork():
    time.sleep(0.2)
    child = os.fork()
    if not child:
        import _signal
        os._exit(0 if _signal.getsignal(signal.SIGINT) is signal.default_int_handler else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
thread = threading.Thread(target=fork)
thread.start()
try:
    wasihost.run('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))', timeout=1)
except wasihost.TimeoutExpired:
    thread.join()
"""
    assert python(code).stdout == "0\n"
