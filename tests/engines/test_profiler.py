"""Samples of a guest's stack by the engine's guest profiler, whatever its version, through both doors."""

from __future__ import annotations

import re

import pytest

from tests.support.guests import GUESTS, build_with_lines
from wasihost.binary.function_names import FunctionNames, with_indices
from wasihost.engines.wasmtime import profiler
from wasihost.engines.wasmtime.engine import compile_mode
from wasihost.engines.wasmtime.module import assemble, load
from wasihost.engines.wasmtime.profiler import StackProfiler
from wasihost.engines.wasmtime.run import instantiate
from wasihost.errors import ConfigError
from wasihost.host.state import State

CODE = assemble(
    b"""(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))) (memory (export "memory") 1)
    (func $spin (param i32) (loop $more (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $more (local.get 0))))
    (func $deep (param i32) (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
      (else (call $spin (i32.const 50000000)))))
    (func $_ZN1a1bEv (call $deep (i32.const 500)))
    (func (export "_start") (call $_ZN1a1bEv)))""",
    "test",
)
SPIN, DEEP, CPP, START = 1, 2, 3, 4


class Sampling:
    """A `CancelCheck` that takes samples."""

    expires = None
    profiler: StackProfiler | None = None

    def check(self) -> None:
        if self.profiler is not None:
            self.profiler.sample()


def test_stacks_are_indices_outermost_first() -> None:
    module = load(with_indices(CODE), mode=compile_mode(True, False, None, ""), cache=False)
    scope = Sampling()
    instance = instantiate(module, State(), "_start", scope=scope)
    scope.profiler = taken = StackProfiler(instance, 1_000_000)
    instance.open()
    try:
        stacks: list[tuple[int, ...]] = []
        for _ in range(20):  # until there is a sample of the deepest function: the machine may be busy
            taken.start()
            instance.call("_start")
            taken.stop()
            stacks = [stack for stack in taken.take() if stack]
            if any(stack[-1] == SPIN for stack in stacks):
                break
        assert taken.take() == []
    finally:
        taken.close()
        instance.close()
    deepest = max(stacks, key=len)
    assert deepest[:3] == (START, CPP, DEEP)
    assert deepest[-2:] == (DEEP, SPIN)
    assert len(deepest) == 129
    assert deepest.count(-1) == 1
    assert all(stack[0] == START for stack in stacks)


def test_names_are_found_by_index() -> None:
    names = FunctionNames(CODE)
    assert names.find([SPIN, CPP, START, 99]) == {SPIN: "spin", CPP: "a::b()", START: "_start"}
    indexed = FunctionNames(with_indices(CODE))
    assert indexed.find(range(5)) == {number: str(number) for number in range(5)}
    assert FunctionNames(b"\0asm\x01\0\0\0\x00\x05\x04name\x01").find([1]) == {}
    assert FunctionNames(b"").find([1]) == {}


def test_places_are_found_by_index() -> None:
    code = build_with_lines("frames.cpp").read_bytes()
    names = FunctionNames(code)
    (main,) = (index for index, name in names.find(range(100)).items() if name in ("main", "__original_main"))
    source = (GUESTS / "frames.cpp").read_text().splitlines()
    place = names.places([main, 99_999])[main]
    assert place.file.endswith("guests/frames.cpp")
    assert "main(" in source[place.line - 1] or "main(" in source[place.line - 2]
    assert FunctionNames(CODE).places([SPIN]) == {}


def test_a_version_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_known", {})
    monkeypatch.setattr(profiler, "_DECLARED", re.compile("never there"))
    with pytest.raises(ConfigError, match="profile cannot work"):
        profiler._takes_engine()
