"""What compiling may cost: a module that the engine would compile for minutes is refused, and Ctrl-C ends the wait."""

from __future__ import annotations

import gc
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.binary import SLOW_TO_COMPILE, command
from tests.support.guests import build_c, cache_dir
from tests.support.toolchains import build_go
from wasihost import LimitExceeded, Module, ModuleConfig, ModuleError, run
from wasihost.engines.values import Compilation
from wasihost.engines.wasmtime import compile_process, compiling, loops
from wasihost.engines.wasmtime.ffi import c
from wasihost.engines.wasmtime.module import assemble

MANY = 14_000


NESTED, IN_ROW = b"\3\x40" * MANY + b"\x0b" * MANY, b"\3\x40\x0b" * MANY
OF_A_TYPE = b"\3\0\x0b" * MANY  # the type by its number


@pytest.mark.parametrize("body", [NESTED, IN_ROW, OF_A_TYPE, b"\x41\x29\3\x40\x0b\x1a" * MANY],
                         ids=["nested", "in a row", "of a type", "behind what looks like a load"])  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"timeout": 5}, {"fuel": 10**9}], ids=str)
def test_more_loops_than_can_be_compiled_are_refused(body: bytes, options: dict[str, float]) -> None:
    with pytest.raises(ModuleError, match=r"more loops in one function .* at most 2,000; .*interruptible=False"):
        run(command(b"", body), cache=False, **options)  # type: ignore[call-overload]  # any options


def test_many_loops_are_compiled_if_nothing_can_interrupt() -> None:
    module = Module(command(NESTED), cache=False, interruptible=False)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(run, module).result().returncode == 0


def test_many_functions_with_some_loops_each_are_counted_together() -> None:
    some = b"\3\x40\x0b" * 1000
    assert loops.squares(command(*[some] * 3)) == 3_000_000
    Module(command(some), cache=False)
    with pytest.raises(ModuleError, match="more loops"):
        Module(command(*[some] * 5), cache=False)


INSTRUCTIONS = """(module (memory 1) (table 2 funcref) (tag $t) (type $f (func)) (data $d "x") (elem $e func 0)
  (global $g (mut i32) (i32.const 0))
  (func (param i32) (local v128 funcref externref)
    (block $a (loop $l (br_if $a (local.get 0)) (br_table $a $l $a $a $l (i32.const 200))))
    (i32.store offset=771 (i32.const 3) (i32.load offset=3 align=1 (i32.const 3)))
    (if (i32.const 3) (then (loop (br 0))) (else (nop)))
    (drop (f32.const 3e-38)) (drop (f64.const 1.6e-58)) (drop (i64.const 0x303030303)) (drop (i32.const -125))
    (global.set $g (i32.const 3)) (call_indirect (type $f) (i32.const 3))
    (memory.copy (i32.const 3) (i32.const 3) (i32.const 3)) (memory.init $d (i32.const 3) (i32.const 0) (i32.const 0))
    (drop (i32.trunc_sat_f32_s (f32.const 3))) (table.init $e (i32.const 0) (i32.const 0) (i32.const 0))
    (local.set 1 (v128.const i8x16 3 64 3 64 3 64 3 64 3 64 3 64 3 64 3 64))
    (drop (i8x16.shuffle 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 (local.get 1) (local.get 1)))
    (drop (i8x16.extract_lane_s 3 (local.get 1))) (drop (v128.load8_lane offset=3 3 (i32.const 0) (local.get 1)))
    (drop (select (result funcref) (ref.null func) (local.get 2) (i32.const 3))) (drop (ref.is_null (ref.func 0)))
    (drop (i32x4.relaxed_trunc_f32x4_s (local.get 1)))
    (block $b (try_table (catch_all $b) (catch $t $b) (loop (br 0))))
    (loop (result i32) (i32.const 3)) (drop)))"""


def test_every_form_of_instruction_is_stepped_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_FEW", 0)
    code = assemble(INSTRUCTIONS.encode(), "")
    ((start, end),) = loops.bodies(code)
    assert code.count(3, start, end) > 40
    assert loops.squares(code) == 4**2


@pytest.mark.parametrize("name", ["tool", "files", "escape"])
def test_programs_have_few_loops(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_FEW", 0)
    code = build_c(name).read_bytes()
    counts = [loops._loops(code, start, end) for start, end in loops.bodies(code)]
    assert 0 < max(counts) < 200
    assert len(counts) > 50


def test_any_bytes_are_counted_to_the_end() -> None:
    """They were found valid before, but for a newer engine: no instruction is known for certain."""
    chance = random.Random(7)
    for _ in range(300):
        body = bytes(chance.choices(range(256), k=400)) + b"\3" * 600
        assert loops.squares(command(body)) >= 0


def test_ctrl_c_ends_the_wait_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    code = command(b"", b"\x41\0\x28\2\0\x1a" * 10_000)
    inside, go = threading.Event(), threading.Event()
    compile_ = compiling._Work.do

    def slow(work: compiling._Work) -> None:
        compile_(work)
        inside.set()
        go.wait(30)

    monkeypatch.setattr(compiling._Work, "do", slow)
    begun = time.monotonic()

    def interrupt() -> None:
        inside.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    deleted: list[int] = []
    delete = c.wasmtime_module_delete

    def noted(ptr: int) -> None:
        deleted.append(ptr)
        delete(ptr)

    monkeypatch.setattr(c, "wasmtime_module_delete", noted)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(code, cache=False)
        assert time.monotonic() - begun < 29
    finally:
        go.set()
    for thread in threading.enumerate():
        if thread.name == "wasihost-compile":
            thread.join()
    gc.collect()
    assert len(deleted) == 1  # what nobody took
    monkeypatch.undo()
    assert run(code, cache=False).returncode == 0


def test_guests_of_other_languages_have_few_loops() -> None:
    build_go("waits")
    found = [path for path in cache_dir().glob("*.wasm") if path.stat().st_size > 1_000_000]
    assert found
    for path in found:
        assert loops.squares(path.read_bytes()) < loops.MOST / 10, path.name


# -- in a process of its own -------------------------------------------------------------------------------------------

FINE = b'(module (memory (export "memory") 1) (func (export "_start")) (func (export "v") (result i32) (i32.const 7)))'


def test_a_module_compiled_in_a_process_runs() -> None:
    events: list[Compilation] = []
    done = run(FINE, on_compile=events.append, compile_timeout=60, compile_memory="1GiB", cache=False)
    assert done.returncode == 0
    assert len(events) == 2
    module = Module(FINE, cache=False, compile_timeout=60, compile_memory="1GiB")
    assert run(module).returncode == 0
    assert run(module, fuel=10**6, timeout=60).returncode == 0
    assert run(pickle.loads(pickle.dumps(module))).returncode == 0


def test_a_module_compiled_in_a_process_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path / "cache"))
    code = FINE.replace(b"(module", b'(module (func (export "kept"))')
    run(code, compile_timeout=60)
    monkeypatch.setattr(compile_process, "compile_in_process", None)
    run(code, compile_timeout=60)


@pytest.mark.parametrize("give", ["option", "Module", "config"])
def test_a_compilation_has_a_time(give: str) -> None:
    begun = time.monotonic()
    calls: dict[str, Callable[[], object]] = {
        "option": lambda: run(SLOW_TO_COMPILE, cache=False, compile_timeout=0.4),
        "Module": lambda: Module(SLOW_TO_COMPILE, cache=False, compile_timeout=0.4),
        "config": lambda: run(SLOW_TO_COMPILE, ModuleConfig().with_limits(compile_timeout=0.4), cache=False),
    }
    with pytest.raises(LimitExceeded, match=r"not compiled within 0\.4 s, its compile_timeout") as caught:
        calls[give]()
    assert caught.value.limit == "compile_timeout"
    assert time.monotonic() - begun < 20


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux'")
def test_a_compilation_has_a_memory() -> None:
    with pytest.raises(LimitExceeded, match=r"more than 67,108,864 bytes, its compile_memory") as caught:
        Module(command(b"", b"\x41\0\x28\2\0\x1a" * 700_000), cache=False, compile_memory="64MiB")
    assert caught.value.limit == "compile_memory"


def test_ctrl_c_ends_the_process_that_compiles() -> None:
    def interrupt(event: Compilation) -> None:
        if event.seconds is None:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(SLOW_TO_COMPILE, cache=False, compile_timeout=60, on_compile=interrupt)
    assert time.monotonic() - begun < 20
