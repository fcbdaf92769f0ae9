"""A user's Linker: host functions that call the guest again, several States, a command's status."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import wasmtime
from wasmtime import _func

from wasihost import ExitError, LinkError, ModuleConfig, State, TrapError
from wasihost.engines.wasmtime.linker import Run, define

GUEST = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "host" "ask" (func $ask (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "abcdef")
  (func $say (export "say") (param $letter i32)
    (i32.store (i32.const 0) (i32.add (i32.const 16) (local.get $letter)))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "outer") (param i32) (result i32)
    (call $say (i32.const 0))
    (call $ask (local.get 0))
    (call $say (i32.const 2)))
  (func (export "ask_and_crash") (param i32) (drop (call $ask (local.get 0))) unreachable)
  (func (export "exit") (param i32) (call $exit (local.get 0)))
  (func (export "grow_and_say") (drop (memory.grow (i32.const 20))) (call $say (i32.const 1)))
  (func (export "bad") (drop (call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8))))
  (func (export "_start") (call $say (i32.const 5)) (call $exit (i32.const 0))))"""

Ask = Callable[["Guest", int], int]


class Guest:
    """An instance in a linker of a user's, with a host function `ask` that may call it again."""

    def __init__(self, binding: str, ask: Ask, memory: str = "") -> None:
        self.said = list[bytes]()
        self.engine = wasmtime.Engine()
        self.linker = wasmtime.Linker(self.engine)
        self.store = wasmtime.Store(self.engine)
        self.state = State(config=ModuleConfig().with_stdout(self.said.append))
        self.run = define(self.linker, self.state, binding=binding)
        kind = wasmtime.FuncType([wasmtime.ValType.i32()], [wasmtime.ValType.i32()])
        self.linker.define_func("host", "ask", kind, self._ask, access_caller=True)
        self.asked = ask
        self.module = wasmtime.Module(self.engine, GUEST)
        self.instance = self.run.instantiate(self.store, self.module)

    def _ask(self, caller: wasmtime.Caller, number: int) -> int:
        self.caller = caller
        return self.asked(self, number)

    def direct(self, name: str, *numbers: int) -> Any:
        """From a host function, as with wasmtime's own WASI."""
        function: Any = self.caller[name]
        return function(self.caller, *numbers)

    def again(self, name: str, *numbers: int) -> Any:
        """From a host function, through the run."""
        function: Any = self.caller[name]
        return self.run.call(function, self.caller, *numbers)

    def call(self, name: str, *numbers: int) -> Any:
        """From outside."""
        function: Any = self.instance.exports(self.store)[name]
        return self.run.call(function, self.store, *numbers)


BOTH = pytest.mark.parametrize("binding", ["unchecked", "define_func"])
WAYS = pytest.mark.parametrize("way", ["direct", "again"])


@BOTH
@WAYS
def test_a_host_function_calls_the_guest_which_calls_wasi(binding: str, way: str) -> None:
    def ask(guest: Guest, number: int) -> int:
        getattr(guest, way)("grow_and_say")
        if number:
            getattr(guest, way)("outer", number - 1)
        return number

    guest = Guest(binding, ask)
    assert guest.call("outer", 2) == 2
    assert b"".join(guest.said) == b"ab" * 3 + b"c" * 3
    assert guest.call("outer", 0) == 0


@BOTH
@WAYS
def test_an_exit_of_the_inner_call_ends_the_outer_one(binding: str, way: str) -> None:
    guest = Guest(binding, lambda guest, number: getattr(guest, way)("exit", number) or 0)
    with pytest.raises(ExitError) as caught:
        guest.call("outer", 7)
    assert caught.value.code == 7
    assert guest.said == [b"a"]
    with pytest.raises(ExitError):
        guest.call("outer", 2**31 - 1)


@BOTH
@WAYS
@pytest.mark.parametrize(("inner", "error"), [("exit", ExitError), ("bad", TrapError)])
def test_an_exception_that_a_host_function_handles_is_over(
    binding: str, way: str, inner: str, error: type[Exception]
) -> None:
    def ask(guest: Guest, _: int) -> int:
        try:
            getattr(guest, way)(inner, *([3] if inner == "exit" else []))
        except Exception as end:
            seen.append(type(end))
        return 1

    seen = list[type]()
    guest = Guest(binding, ask)
    assert guest.call("outer", 0) == 1
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        guest.call("ask_and_crash", 0)
    assert seen == [error] * 2 if way == "again" else len(seen) == 2
    assert guest.call("outer", 0) == 1


@BOTH
@WAYS
def test_an_exception_made_of_a_guest_s_end_reaches_the_caller(binding: str, way: str) -> None:
    def ask(guest: Guest, number: int) -> int:
        try:
            return int(getattr(guest, way)("exit", 3))
        except Exception as end:
            raise KeyError("mine") from (end if number else None)

    guest = Guest(binding, ask)
    for number in (0, 1):
        with pytest.raises(KeyError, match="mine"):
            guest.call("outer", number)


@BOTH
def test_a_host_function_that_raises_after_a_guest_s_end(binding: str) -> None:
    def ask(guest: Guest, _: int) -> int:
        with pytest.raises(ExitError):
            guest.again("exit", 3)
        guest.direct("say", 3)
        raise KeyError("later")

    with pytest.raises(KeyError, match="later"):
        Guest(binding, ask).call("outer", 0)


@BOTH
def test_many_threads_that_call_again(binding: str) -> None:
    """What a host function raises goes through one place of wasmtime-py's: the ends of ours do not."""
    ends = list[tuple[int, object]]()
    guests = [Guest(binding, lambda guest, number: guest.again("exit", number) or 0) for _ in range(6)]

    def work(mark: int) -> None:
        for _ in range(40):
            try:
                guests[mark].call("outer", mark)
            except ExitError as end:
                ends.append((mark, end.code))

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 240
    assert {mark == code for mark, code in ends} == {True}


# -- several States in one linker ----------------------------------------------------------------------------------


def state(said: list[bytes]) -> State:
    return State(config=ModuleConfig().with_stdout(said.append))


def linker(engine: wasmtime.Engine) -> wasmtime.Linker:
    made = wasmtime.Linker(engine)
    kind = wasmtime.FuncType([wasmtime.ValType.i32()], [wasmtime.ValType.i32()])
    made.define_func("host", "ask", kind, lambda number: number)
    return made


@BOTH
def test_one_linker_serves_state_after_state(binding: str) -> None:
    engine = wasmtime.Engine()
    own, module = linker(engine), wasmtime.Module(engine, GUEST)
    for number in range(3):
        said = list[bytes]()
        with state(said) as one:
            run = define(own, one, binding=binding)
            store = wasmtime.Store(engine)
            instance = own.instantiate(store, module)
            assert run.start(store, instance) == 0
        assert said == [b"f"], number
    with pytest.raises(wasmtime.WasmtimeError):  # names of the user's are still not shadowed
        own.define_func("host", "ask", wasmtime.FuncType([], []), lambda: None)


@BOTH
def test_states_take_turns(binding: str) -> None:
    engine = wasmtime.Engine()
    own, module = linker(engine), wasmtime.Module(engine, GUEST)
    said = [list[bytes](), list[bytes]()]
    runs = [define(own, state(one), binding=binding) for one in said]
    stores = [wasmtime.Store(engine) for _ in runs]
    instances = [run.instantiate(store, module) for run, store in zip(runs, stores, strict=True)]
    for number in (0, 1, 0):
        assert runs[number].start(stores[number], instances[number]) == 0
    assert said == [[b"f"] * 2, [b"f"]]
    again = wasmtime.Store(engine)
    assert runs[0].start(again, runs[0].instantiate(again, module)) == 0
    assert len(said[0]) == 3


@BOTH
def test_threads_share_a_linker(binding: str) -> None:
    if binding == "define_func" and not hasattr(_func.FUNCTIONS, "handles"):
        pytest.skip("the callbacks of this version of wasmtime are kept in a list that threads may not share")
    engine = wasmtime.Engine()
    own, module = linker(engine), wasmtime.Module(engine, GUEST)
    said = [list[bytes]() for _ in range(4)]
    runs = [define(own, state(one), binding=binding) for one in said]

    def work(run: Run) -> None:
        for _ in range(10):
            store = wasmtime.Store(engine)
            run.start(store, run.instantiate(store, module))

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [[b"f"] * 10] * 4


def test_names_that_others_put_in_are_not_taken() -> None:
    engine = wasmtime.Engine()
    own = wasmtime.Linker(engine)
    own.define_wasi()
    for _ in range(2):
        with pytest.raises(LinkError, match="allow_shadowing"):
            define(own, state([]))
    own.allow_shadowing = True
    for _ in range(2):
        define(own, state([]))
    own.define_func("host", "twice", wasmtime.FuncType([], []), lambda: None)
    own.define_func("host", "twice", wasmtime.FuncType([], []), lambda: None)  # as the user allowed it


def test_a_command_s_status_and_what_is_not_a_command() -> None:
    engine = wasmtime.Engine()
    own, store = wasmtime.Linker(engine), wasmtime.Store(engine)
    run = define(own, state([]))
    plain = wasmtime.Module(engine, '(module (memory (export "memory") 1) (func (export "_start")))')
    assert run.start(store, run.instantiate(store, plain)) == 0
    with pytest.raises(LinkError, match="_start: missing"):
        run.start(store, run.instantiate(store, wasmtime.Module(engine, "(module)")))
    del own
    with pytest.raises(RuntimeError, match="linker of this run is gone"):
        run.instantiate(store, plain)
