"""The engine's door in C: what runs share, what it keeps, and that nothing is lost on the way through it."""

from __future__ import annotations

import gc
import signal
import struct
import threading
import time
import traceback
import weakref
from typing import Any

import pytest

from tests.support.engine import Host
from wasihost import ExitError, Imports, Module, State, instantiate, native, run
from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime import module
from wasihost.engines.wasmtime.run import execute
from wasihost.engines.wasmtime.run import instantiate as make

pytestmark = pytest.mark.skipif(native.extension is None, reason=f"this is the pure path: {native.why}")

CLOCK = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "env" "host" (func $host))
  (memory (export "memory") 1)
  (func (export "_start") (call $host)
    (loop (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 8))) (br 0))))"""
RESULT = """(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1) (func (export "_start") (drop (call $yield))))"""
GROWS = """(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1 9)
  (func (export "far") (result i32) (drop (memory.grow (i32.const 3)))
    (call $random (i32.const 200000) (i32.const 16))))"""


def test_one_linker_serves_all_runs_of_a_module() -> None:
    compiled = module.load(RESULT.encode(), mode=CompileMode())
    execute(compiled, Host(sched_yield=lambda _host: 0))
    prepared = compiled.prepared
    assert prepared is not None
    ends: list[int] = []

    def one(number: int) -> None:
        def leave(_host: Host) -> int:
            time.sleep(0.001)
            raise ExitError(number)

        for _ in range(10):
            with pytest.raises(ExitError) as caught:
                execute(compiled, Host(sched_yield=leave))
            ends.append(caught.value.code - number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [0] * 40  # each run has its own functions behind the shared callbacks
    assert compiled.prepared is prepared


@pytest.mark.parametrize("returned", [None, "7", -1, 2**32, 1.5])
def test_a_result_that_is_no_number_is_the_error_of_struct(returned: Any) -> None:
    with pytest.raises(struct.error) as caught:
        execute(module.load(RESULT.encode(), mode=CompileMode()), Host(sched_yield=lambda _host: returned))
    with pytest.raises(struct.error) as expected:
        struct.pack("<I12x", returned)
    assert str(caught.value) == str(expected.value)


def test_a_handler_of_a_stub_in_c_raises_without_frames_between() -> None:
    """The door calls the stub, and the stub the handler: there is no Python in between."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    class Broken(State):
        def imports(self) -> Any:
            self.handlers.__class__ = type("Handlers", (type(self.handlers),), {"__slots__": (), "random_get": broken})
            return super().imports()

    with Broken() as state:
        door = make(module.load(GROWS.encode(), mode=CompileMode()), state)
        door.open()
        with pytest.raises(ZeroDivisionError) as caught:
            door.call("far")
        door.close()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["raise_end", "broken"]


def test_memory_that_grew_is_seen_by_a_stub_in_c() -> None:
    for _ in range(3):
        with State() as state:
            door = make(module.load(GROWS.encode(), mode=CompileMode()), state)
            door.open()
            assert door.call("far") == 0
            assert any(door.view()[200_000:200_016])
            door.close()


def test_a_guest_that_was_not_closed_is_collected() -> None:
    state = State()
    door = make(module.load(GROWS.encode(), mode=CompileMode()), state)
    door.open()
    door.call("far")
    gone = weakref.ref(state.handlers.table) if hasattr(state.handlers.table, "__weakref__") else weakref.ref(door)
    state.close()
    del state, door
    gc.collect()
    assert gone() is None


def test_a_kept_view_reads_the_last_bytes() -> None:
    kept: list[memoryview] = []

    def take(host: Host) -> int:
        host.guest.refresh()[:4] = b"last"
        kept.append(host.guest.view)
        return 0

    host = Host(sched_yield=take)
    execute(module.load(RESULT.encode(), mode=CompileMode()), host)
    gc.collect()
    assert bytes(kept[0][:4]) == b"last"
    assert len(host.guest.view) == 0


def test_ctrl_c_ends_a_guest_that_makes_plain_calls_alone() -> None:
    """It was made in another thread, so nothing calls it back; and its handler is set while it runs."""

    class Enough(Exception):
        pass

    def enough(*_: object) -> None:
        raise Enough

    imports = Imports("env")

    @imports.function
    def host() -> None:
        signal.signal(signal.SIGALRM, enough)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(instantiate(CLOCK, imports=imports)))
    thread.start()
    thread.join()
    ctrl_c, before = signal.signal(signal.SIGINT, signal.SIG_DFL), signal.getsignal(signal.SIGALRM)
    try:
        with made[0] as guest, pytest.raises(Enough):
            guest.call("_start")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, ctrl_c)


@pytest.mark.filterwarnings("ignore")  # of guests whose `close` the handler interrupts, and of finalizers
def test_a_signal_while_others_have_their_handlers_in_front_leaves_the_books_right() -> None:
    """The extension counts guests; whatever is raised while one is entered or left, the count is 0 afterwards."""

    class Enough(Exception):
        pass

    def enough(*_: object) -> None:
        raise Enough

    before = signal.signal(signal.SIGALRM, enough)
    empty = Module('(module (memory (export "memory") 1) (func (export "_start")))')
    raised = 0
    try:
        for turn in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + turn * 2e-6)
                run(empty)
                time.sleep(0.01)
            except Enough:
                raised += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.collect()
    assert raised > 200
    assert native.extension is not None
    assert (native.extension.get_nested(), native.extension.get_running()) == (0, 0)
