"""How a guest ends: every end reaches the one who started this guest, as itself, and leaves nothing behind."""

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from wasi_preview1.guest import GuestFault

import wasihost
from tests.engines.conftest import Users, through_execute
from tests.support import wheels
from tests.support.engine import Host, telling, wat
from wasihost.config import ModuleConfig
from wasihost.engines.base import HostState
from wasihost.engines.wasmtime import library, module
from wasihost.engines.wasmtime.run import execute
from wasihost.errors import ExitError, ModuleError, TrapError
from wasihost.host.state import State

Enter = Callable[[str, HostState], None]
Prepare = Callable[[str, HostState], Callable[[], None]]


@pytest.mark.parametrize("code", [0, 1, 125, 126, 255, 256, 2**31, 2**32 - 1])
def test_every_exit_code_is_kept(enter: Enter, code: int) -> None:
    with pytest.raises(ExitError) as caught:
        enter("exit", Host(args_sizes_get=telling(code)))
    assert caught.value.code == code


def test_a_real_state(enter: Enter) -> None:
    """The guest exits with its number of arguments."""
    with State(config=ModuleConfig().with_args("a", "b", "c")) as state, pytest.raises(ExitError) as caught:
        enter("exit", state)
    assert caught.value.code == 3


def test_a_guest_that_returns_just_returns(enter: Enter) -> None:
    enter("empty", Host())


def in_threads(work: Callable[[int], None], count: int = 8) -> None:
    """Run `work(number)` in threads that start together; the first failure fails the test."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(count)

    def one(number: int) -> None:
        try:
            barrier.wait(30)
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_threads_get_their_own_exit_codes(prepare: Prepare) -> None:
    codes = [[number * 1000 + turn for turn in range(40)] for number in range(8)]
    runs = [[(code, prepare("exit", Host(args_sizes_get=telling(code)))) for code in row] for row in codes]

    def work(number: int) -> None:
        for code, run in runs[number]:
            with pytest.raises(ExitError) as caught:
                run()
            assert caught.value.code == code

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        in_threads(work)
    finally:
        sys.setswitchinterval(switch)


def failing(reason: Exception) -> Callable[..., int]:
    def stub(_host: Host, *_numbers: int) -> int:
        raise reason

    return stub


def test_threads_get_their_own_exceptions(prepare: Prepare) -> None:
    reasons = [[ValueError("mine") for _ in range(25)] for _ in range(8)]
    runs = [[(mine, prepare("exit", Host(args_sizes_get=failing(mine)))) for mine in row] for row in reasons]

    def work(number: int) -> None:
        for mine, run in runs[number]:
            with pytest.raises(ValueError, match="mine") as caught:
                run()
            assert caught.value is mine

    in_threads(work)


class Odd(BaseException):
    """Not an `Exception`, as `KeyboardInterrupt` and `SystemExit`."""


@pytest.mark.parametrize("kind", [ZeroDivisionError, Odd, KeyboardInterrupt, SystemExit])
def test_an_exception_arrives_as_itself(enter: Enter, kind: type[BaseException]) -> None:
    cause, reason = KeyError("cause"), kind("reason")

    def broken_handler(_host: Host, *_numbers: int) -> int:
        raise reason from cause

    with pytest.raises(kind) as caught:
        enter("exit", Host(args_sizes_get=broken_handler))
    assert caught.value is reason
    assert caught.value.__cause__ is cause
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "broken_handler"


def test_a_bad_pointer_is_a_trap_of_the_guest(enter: Enter) -> None:
    def far(host: Host, *_numbers: int) -> int:
        host.guest.checked_view(0x2_0000, 4, 4, "args_sizes_get: argc")
        return 0

    with pytest.raises(TrapError, match="args_sizes_get: argc") as caught:
        enter("trap", Host(args_sizes_get=far))
    assert caught.value.kind == "guest fault"
    assert isinstance(caught.value.__cause__, GuestFault)


@pytest.mark.parametrize(
    ("way", "kind", "inner"),
    [
        (0, "unreachable", "inner"),
        (1, "stack overflow", "endless"),
        (2, "out of bounds memory access", "inner"),
        (3, "integer division by zero", "inner"),
        (4, "indirect call to null", "inner"),
    ],
)
def test_traps_are_told_apart_with_names_of_functions(way: int, kind: str, inner: str) -> None:
    with pytest.raises(TrapError) as caught:
        through_execute("trap", Host(args_sizes_get=telling(way)))
    trap = caught.value
    assert trap.kind == kind
    names = [frame.function for frame in trap.backtrace]
    assert names[0] == inner
    if way != 1:
        assert names[1] == "outer"
        assert [frame.number for frame in trap.backtrace][:2] == [2, 3]
        assert trap.backtrace[0].offset > trap.backtrace[1].number
    assert trap.backtrace[0].module == "trapper"
    assert "\n" not in trap.message
    assert trap.message in str(trap)
    assert inner in str(trap)


ODD_TRAPS = {
    "atomic wait on non-shared memory": "(drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)))",
    "atomic wait on non-shared memory ": "(drop (memory.atomic.wait64 (i32.const 0) (i64.const 0) (i64.const 0)))",
    "misaligned atomic access": "(drop (i32.atomic.load (i32.const 1)))",
    "null reference": "(drop (ref.as_non_null (ref.null func)))",
    "null reference ": "(call_ref $f (ref.null $f))",
    "null reference  ": "(drop (struct.get $s 0 (ref.null $s)))",
    "null reference   ": "(throw_ref (ref.null exn))",
    "out of bounds array access": "(drop (array.get $a (array.new_default $a (i32.const 1)) (i32.const 5)))",
    "allocation size too large": "(drop (array.new_default $a (i32.const -1)))",
    "cast failure": "(drop (ref.cast (ref $s) (ref.i31 (i32.const 1))))",
}
"""Of which some engines have no number for the C interface: the old ones end the process when they are asked for it."""


@pytest.mark.parametrize("kind", ODD_TRAPS)
@pytest.mark.parametrize("fuel", [None, 10**6])
def test_traps_of_every_proposal(kind: str, fuel: int | None) -> None:
    types = {"$f": "(type $f (func))", "$s": "(type $s (struct (field i32)))", "$a": "(type $a (array i64))"}
    used = " ".join(text for name, text in types.items() if name in ODD_TRAPS[kind])
    guest = f'(module {used} (memory (export "memory") 1) (func (export "_start") {ODD_TRAPS[kind]}))'
    with pytest.raises((TrapError, ModuleError)) as caught:
        wasihost.run(guest, cache=False, fuel=fuel)
    if library.load().version == wheels.OLDEST:
        assert isinstance(caught.value, ModuleError)
    else:
        assert isinstance(caught.value, TrapError)
        assert caught.value.kind == kind.strip()


def test_a_fault_shows_where_in_the_guest() -> None:
    def far(host: Host, *_numbers: int) -> int:
        host.guest.checked_view(0x2_0000, 4, 4, "x")
        return 0

    with pytest.raises(TrapError) as caught:
        through_execute("trap", Host(args_sizes_get=far))
    assert caught.value.backtrace[-1].number == 4


def test_a_signal_on_entering_a_callback_is_not_lost() -> None:
    """Ctrl-C while the guest computes is handled at the first instruction of the next callback."""
    seen: list[int] = []

    def sched_yield(_host: Host) -> int:
        seen.append(1)
        return 0

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            through_execute("busy", Host(sched_yield=sched_yield))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not seen  # it was raised before the stub, and the guest went no further


@pytest.mark.parametrize("door", ["execute", "unchecked"])
def test_a_signal_at_any_moment_stays_inside(users: Users, monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """What a signal handler raises never leaves a callback (ctypes would make an undefined address of it), and the next
    run goes as if nothing had been."""
    host = Host(args_sizes_get=telling(3))
    enter = partial(through_execute, "exit", host) if door == "execute" else users.prepare("exit", host, door)
    armed: list[float] = []
    left: list[object] = []

    def interrupt(_signal: int, _frame: object) -> None:
        if armed:
            raise KeyboardInterrupt

    def run(delay: float) -> None:
        try:
            armed.append(delay)
            signal.setitimer(signal.ITIMER_REAL, delay)
            with contextlib.suppress(ExitError):
                enter()
            armed.clear()
        except KeyboardInterrupt:
            armed.clear()

    monkeypatch.setattr(sys, "unraisablehook", lambda event: left.append(event.object))
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        begin = time.perf_counter()
        for _ in range(50):
            run(10)
        span = (time.perf_counter() - begin) / 50
        end = time.monotonic() + 1
        while time.monotonic() < end:
            run(random.uniform(span / 3, span))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [one for one in left if "enter" in repr(one)] == []


def test_a_full_python_stack_is_an_exception() -> None:
    host = Host(args_sizes_get=telling(7))

    guest = module.load(wat("exit"))

    def deeper(levels: int) -> None:
        if levels:
            deeper(levels - 1)
        else:
            execute(guest, host)

    ends = set[type]()
    through = sys.getrecursionlimit() - len(traceback.extract_stack())
    for levels in range(through - 60, through + 5):
        try:
            deeper(levels)
        except (ExitError, RecursionError) as end:
            ends.add(type(end))
    assert RecursionError in ends


def mappings() -> int:
    with open("/proc/self/maps") as maps:
        return sum(1 for _ in maps)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the mappings of this process in /proc")
def test_runs_leave_nothing_behind() -> None:
    ends: list[BaseException] = []
    gc.collect()
    gc.disable()
    try:
        for turn in range(600):
            if turn == 100:
                before, open_files = mappings(), len(os.listdir("/proc/self/fd"))
            try:
                through_execute("exit", Host(args_sizes_get=telling(turn)))
            except ExitError as end:
                ends.append(end)  # kept with their tracebacks
        assert mappings() < before + 50  # a kept store is three
        assert len(os.listdir("/proc/self/fd")) == open_files
    finally:
        gc.enable()


def test_a_kept_view_outlives_the_run(enter: Enter) -> None:
    """On our own door; with a user's linker the memory is the user's, and the State forgets it."""
    kept: list[memoryview] = []

    def take(host: Host, at: int, _size_at: int) -> int:
        host.put(at, 77)
        kept.append(host.guest.view)
        return 0

    host = Host(args_sizes_get=take)
    with pytest.raises(ExitError):
        enter("exit", host)
    assert len(host.guest.view) == 0
    assert len(host.guest.refresh()) == 0
    if enter is through_execute:
        assert kept[0][:4].tobytes() == (77).to_bytes(4, "little")


def test_a_call_from_the_start_section(enter: Enter) -> None:
    def answer(_host: Host, *_numbers: Any) -> int:
        _host.guest.region(0, 8, "random_get: buf")
        return 0

    enter("early", Host(random_get=answer))
