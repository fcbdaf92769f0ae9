"""Guests on the engine pywasm: the same host, the same ends, and what it does not have by name."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.support.guests import build_c
from wasihost.engines import default_engine

WAT = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "own" "twice" (func $twice (param i64 f64) (result f64)))
  (memory (export "memory") 1)
  (table $table (export "table") 3 funcref)
  (elem (i32.const 0) $exit $zero)
  (type $none (func))
  (global (export "count") (mut i64) (i64.const 3))
  (global (export "fixed") f32 (f32.const 1.5))
  (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00hello\\n../secret")
  (func $zero)
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
    (call $exit (i32.const 7)))
  (func (export "escape") (result i32)
    (call $open (i32.const 3) (i32.const 1) (i32.const 14) (i32.const 9) (i32.const 0) (i64.const 2) (i64.const 2)
      (i32.const 0) (i32.const 64)))
  (func (export "twice") (param i64 f64) (result f64) (call $twice (local.get 0) (local.get 1)))
  (func (export "pair") (param i32) (result i32 i64) (local.get 0) (i64.const -1))
  (func $unreachable (export "unreachable") (unreachable))
  (func (export "outside") (drop (i32.load (i32.const 65533))))
  (func (export "store") (i64.store offset=65535 (i32.const 1) (i64.const 0)))
  (func (export "fill") (memory.fill (i32.const 65000) (i32.const 1) (i32.const 1000)))
  (func (export "copy") (memory.copy (i32.const 65000) (i32.const 1) (i32.const 1000)))
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "remainder") (param i32 i32) (result i32) (i32.rem_u (local.get 0) (local.get 1)))
  (func (export "truncate") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
  (func (export "through") (param i32) (call_indirect (type $none) (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "spin") (loop (br 0)))
  (func (export "pointer") (drop (call $write (i32.const 1) (i32.const 65532) (i32.const 1) (i32.const 32))))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow_table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))
"""
TRAPS = {
    "unreachable": ((), "unreachable"),
    "outside": ((), "out of bounds memory access"),
    "store": ((), "out of bounds memory access"),
    "fill": ((), "out of bounds memory access"),
    "copy": ((), "out of bounds memory access"),
    "divide": ((1, 0), "integer division by zero"),
    "remainder": ((1, 0), "integer division by zero"),
    "divide ": ((-(1 << 31), -1), "integer overflow"),
    "truncate": ((float("nan"),), "invalid conversion to integer"),
    "truncate ": ((float("inf"),), "integer overflow"),
    "truncate  ": ((3e9,), "integer overflow"),
    "through": ((0,), "indirect call type mismatch"),
    "through ": ((2,), "indirect call to null"),
    "through  ": ((3,), "out of bounds table access"),
    "deep": ((), "stack overflow"),
    "pointer": ((), "guest fault"),
}


def own(function: Callable[[int, float], float]) -> wasihost.Imports:
    made = wasihost.Imports("own")

    @made.function
    def twice(times: int, number: float) -> float:
        return function(times, number)

    return made


OWN = own(lambda times, number: times * number)


@pytest.fixture(scope="module")
def code() -> bytes:
    return default_engine().assemble(WAT.encode(), "test")


@pytest.fixture(scope="module")
def module(code: bytes) -> wasihost.Module:
    return wasihost.Module(code, engine="pywasm")


@pytest.fixture
def guest(module: wasihost.Module, tmp_path: Path) -> Iterator[wasihost.Instance]:
    (tmp_path / "secret").write_text("no")
    (tmp_path / "own").mkdir()
    with wasihost.instantiate(module, imports=OWN, dirs={"/": tmp_path / "own"}, max_memory="1MiB") as made:
        yield made


def test_a_command_of_the_c_library(tmp_path: Path) -> None:
    for name in ("args", "files"):
        done = [
            wasihost.run(build_c("tool"), args=[name, "/f"], dirs={"/": tmp_path}, capture_output=True, engine=engine)
            for engine in ("wasmtime", "pywasm")
        ]
        assert (done[0].returncode, done[0].stdout, done[0].stderr) == (
            done[1].returncode, done[1].stdout, done[1].stderr,
        )  # fmt: skip


def test_exit_status_and_output(module: wasihost.Module) -> None:
    done = wasihost.run(module, imports=OWN, capture_output=True)
    assert (done.returncode, done.stdout) == (7, b"hello\n")


def test_the_sandbox_is_the_same(guest: wasihost.Instance) -> None:
    assert guest.call("escape") == wasihost.Errno.PERM


@pytest.mark.parametrize("engine", ["wasmtime", "pywasm"])
def test_traps_are_those_of_every_engine(code: bytes, engine: str) -> None:
    with wasihost.instantiate(code, imports=OWN, engine=engine) as guest:
        for export, (arguments, kind) in TRAPS.items():
            with pytest.raises(wasihost.TrapError) as caught:
                guest.call(export.strip(), *arguments)
            assert (export, caught.value.kind) == (export, kind)
            assert caught.value.backtrace, export


def test_a_backtrace_has_names(guest: wasihost.Instance) -> None:
    with pytest.raises(wasihost.TrapError, match=r"0x[0-9a-f]+ - unreachable$"):
        guest.call("unreachable")
    with pytest.raises(wasihost.TrapError) as caught:
        guest.call("deep")
    assert caught.value.omitted == 4096 - len(caught.value.backtrace)
    assert guest.call("divide", -7, 2) == -3  # a guest that has trapped can be called


def test_numbers(guest: wasihost.Instance) -> None:
    assert guest.call("twice", -3, 0.5) == -1.5
    assert guest.call("pair", 1 << 31) == (-(1 << 31), -1)
    assert (guest.globals["count"], guest.globals["fixed"]) == (3, 1.5)
    guest.globals["count"] = -1
    assert guest.globals["count"] == -1
    with pytest.raises(TypeError, match="immutable"):
        guest.globals["fixed"] = 2.0
    with pytest.raises(OverflowError):
        guest.call("divide", 1 << 32, 1)
    with pytest.raises(TypeError):
        guest.call("divide", 1)
    with pytest.raises(wasihost.LinkError):
        guest.call("nothing")


def test_limits_of_memory(guest: wasihost.Instance) -> None:
    assert (guest.call("grow", 3), guest.call("grow", 100), guest.call("grow", 0)) == (1, -1, 4)
    assert guest.stats.peak_memory == 4 << 16
    assert guest.stats.limits == ("memory",)
    assert (guest.call("grow_table", 100), guest.call("grow_table", 1 << 30)) == (3, -1)


def test_more_than_pywasm_allows(code: bytes) -> None:
    with wasihost.instantiate(code, imports=OWN, engine="pywasm") as guest:
        assert (guest.call("grow", 2000), guest.call("grow_table", 2000)) == (1, 3)
        before = guest.memory.view()
        assert guest.call("grow", 1) == 2001
        guest.memory.write_bytes(8, b"HELLO")
        assert bytes(before[8:13]) == b"HELLO"  # it has not moved


def test_a_module_that_begins_with_too_much(code: bytes) -> None:
    with pytest.raises(wasihost.LimitExceeded, match="max_memory"):
        wasihost.run(code, imports=OWN, engine="pywasm", max_memory=1000)


def test_fuel(module: wasihost.Module) -> None:
    with wasihost.instantiate(module, imports=OWN, fuel=1000) as guest:
        begun = guest.stats.fuel or 0  # elements, data and globals are made by instructions, too
        guest.call("divide", 1, 1)
        used = (guest.stats.fuel or 0) - begun
        assert 3 < used < 10
        guest.call("divide", 1, 1)
        assert guest.stats.fuel == begun + 2 * used
        with pytest.raises(wasihost.LimitExceeded, match="fuel"):
            guest.call("spin")
        assert (guest.stats.fuel, guest.stats.limits) == (1000, ("fuel",))


def test_a_timeout_ends_a_guest_that_computes(guest: wasihost.Instance) -> None:
    begun = time.monotonic()
    with pytest.raises(wasihost.TimeoutExpired):
        guest.call("spin", timeout=0.1)
    assert time.monotonic() - begun < 5


def test_another_thread_ends_a_guest(module: wasihost.Module) -> None:
    with wasihost.instantiate(module, imports=OWN) as guest:
        timer = threading.Timer(0.1, lambda: guest.end(KeyError("enough")))
        timer.start()
        with pytest.raises(KeyError, match="enough"):
            guest.call("spin")
        timer.join()
        assert guest.call("divide", 4, 2) == 2


def test_one_thread_at_a_time(module: wasihost.Module) -> None:
    with wasihost.instantiate(module, imports=OWN) as guest:

        def spin() -> None:
            with pytest.raises(KeyError):
                guest.call("spin")

        thread = threading.Thread(target=spin)
        thread.start()
        while not guest._engine.depth:
            time.sleep(0.001)
        with pytest.raises(RuntimeError, match="another thread"):
            guest.call("divide", 1, 1)
        guest.end(KeyError("enough"))
        thread.join()


def test_signal_handlers_run_and_what_they_raise_comes_out(guest: wasihost.Instance) -> None:
    def handler(*_: object) -> None:
        raise ValueError("of a handler")  # also an error of the interpreter's own kind

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(ValueError, match="of a handler"):
            guest.call("spin")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert guest.call("divide", 4, 2) == 2


def test_what_a_function_raises_comes_out(module: wasihost.Module) -> None:
    def fail(times: int, number: float) -> float:
        raise AssertionError(f"a bug of the embedder's: {times * number}")

    with (
        wasihost.instantiate(module, imports=own(fail)) as guest,
        pytest.raises(AssertionError, match="embedder's: 6"),
    ):
        guest.call("twice", 2, 3.0)


def test_a_guest_that_calls_itself_through_the_host(module: wasihost.Module) -> None:
    guests: list[wasihost.Instance] = []

    def again(times: int, number: float) -> float:
        return float(guests[0].call("twice", times - 1, number)) if times > 0 else number

    with wasihost.instantiate(module, imports=own(again)) as guest:
        guests.append(guest)
        assert guest.call("twice", 3, 2.0) == 2.0
        with pytest.raises(wasihost.TrapError, match="call each other too deeply"):
            guest.call("twice", 1 << 40, 2.0)
        assert guest.call("divide", 4, 2) == 2


def test_hooks_trace_and_profile(module: wasihost.Module, tmp_path: Path) -> None:
    seen: list[str] = []

    def hook(call: Any, proceed: Any) -> Any:
        seen.append(call.function)
        return proceed(call)

    profile = wasihost.Profile()
    wasihost.run(module, imports=OWN, hooks=hook, trace=tmp_path / "trace", profile=profile, capture_output=True)
    assert seen == ["fd_write", "proc_exit"]
    assert "hello" in (tmp_path / "trace").read_text()
    done = wasihost.run(build_c("tool"), args=["args"], engine="pywasm", profile=tmp_path / "profile.json")
    assert done.returncode == 0
    assert (tmp_path / "profile.json").stat().st_size > 100


def test_a_module_is_for_an_engine(code: bytes, module: wasihost.Module) -> None:
    assert wasihost.run(wasihost.Module(code), imports=OWN, engine="pywasm", capture_output=True).returncode == 7
    assert pickle.loads(pickle.dumps(module)).engine is module.engine
    assert wasihost.Module(module).engine is module.engine


def test_every_way_to_run_takes_it() -> None:
    tool = build_c("tool")
    module = wasihost.Module(tool, engine="pywasm")
    expected = wasihost.run(tool, args=["a"], capture_output=True).stdout
    assert asyncio.run(wasihost.run_async(module, args=["a"], capture_output=True)).stdout == expected
    with wasihost.start(tool, args=["a"], engine="pywasm") as process:
        assert process.stdout.read() == expected
    assert [one.stdout for one in wasihost.map(module, [["a"], ["a"]], capture_output=True)] == [expected] * 2


LACKING = [
    ({"engine": "nothing"}, "there is no engine 'nothing'"),
    ({"engine": "pywasm", "isolation": "process"}, "isolation"),
    ({"engine": "pywasm", "max_stack": "1MiB"}, "max_stack"),
    ({"engine": "pywasm", "compile_timeout": 1}, "compile_timeout"),
    ({"engine": "pywasm", "features": {"simd": False}}, "cannot switch the feature 'simd' off"),
    ({"engine": "pywasm", "features": "+threads"}, "cannot switch the feature 'threads' on"),
]


@pytest.mark.parametrize(("options", "text"), LACKING)
def test_what_it_does_not_have_is_said_by_name(code: bytes, options: dict[str, Any], text: str) -> None:
    with pytest.raises(wasihost.ConfigError, match=text):
        wasihost.run(code, imports=OWN, **options)


def test_without_the_package_or_without_its_checks(tmp_path: Path) -> None:
    file = tmp_path / "empty.wasm"
    file.write_bytes(b"\0asm\1\0\0\0")
    (tmp_path / "pywasm.py").write_text("raise ImportError")
    command = ["-m", "wasihost", "run", "--engine", "pywasm", str(file)]
    lines = []
    for extra in ([], ["-O"]):
        environment = os.environ | ({"PYTHONPATH": str(tmp_path)} if not extra else {})
        done = subprocess.run(
            [sys.executable, *extra, *command], capture_output=True, text=True, check=False, timeout=60, env=environment
        )
        assert done.returncode == 2
        lines.append(done.stderr)
    assert lines == [
        "wasihost: the engine pywasm is not installed: pip install wasihost[pywasm]\n",
        "wasihost: the engine pywasm checks by assert statements: run Python without -O and PYTHONOPTIMIZE\n",
    ]


def test_the_command(code: bytes, tmp_path: Path) -> None:
    file = tmp_path / "m.wasm"
    file.write_bytes(code)
    command = [sys.executable, "-m", "wasihost", "run", "--engine", "pywasm", "--stub", "own"]
    done = subprocess.run([*command, str(file)], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"hello\n", b"")
    done = subprocess.run(
        [*command, "--invoke", "unreachable", str(file)], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, b"unreachable" in done.stderr) == (134, True)
    done = subprocess.run([*command, "--timeout", "0.2", "--invoke", "spin", str(file)], check=False, timeout=60)
    assert done.returncode == 124
