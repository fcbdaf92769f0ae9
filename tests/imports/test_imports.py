"""Annotated Python functions as wasm imports, and a guest's memory by pointer."""

from __future__ import annotations

from typing import Any

import pytest

from wasihost import ConfigError, Imports, LinkError, TrapError, instantiate, run
from wasihost.imports import Unsigned
from wasihost.memory import Memory

GUEST = """(module
  (import "env" "add" (func $add (param i32 i64) (result i64)))
  (import "env" "mean" (func $mean (param f32 f64) (result f64)))
  (import "env" "log" (func $log (param i32 i32 i32)))
  (import "env" "high" (func $high (param i32) (result i32)))
  (import "env" "fill" (func $fill (param i32 i32) (result i32)))
  (import "env" "upper" (func $upper (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 4096))
  (data (i32.const 16) "caf\\c3\\a9")
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func (export "add") (param i32 i64) (result i64) (call $add (local.get 0) (local.get 1)))
  (func (export "mean") (param f32 f64) (result f64) (call $mean (local.get 0) (local.get 1)))
  (func (export "log") (param i32 i32 i32) (call $log (local.get 0) (local.get 1) (local.get 2)))
  (func (export "high") (param i32) (result i32) (call $high (local.get 0)))
  (func (export "fill") (param i32 i32) (result i32) (call $fill (local.get 0) (local.get 1)))
  (func (export "upper") (param i32 i32) (result i64) (call $upper (local.get 0) (local.get 1))))"""


def provided() -> tuple[Imports, list[Any]]:
    host, seen = Imports(), list[Any]()

    @host.function
    def add(a: int, b: int) -> int:
        return a + b

    @host.function
    def mean(a: float, b: float) -> float:
        return (a + b) / 2

    @host.function(name="log")
    def write_log(level: int, text: str) -> None:
        seen.append((level, text))

    @host.function
    def high(number: Unsigned) -> Unsigned:
        seen.append(number)
        return number

    @host.function
    def fill(room: memoryview) -> bool:
        room[:] = b"x" * len(room)
        return True

    @host.function
    def upper(text: str, memory: Memory) -> str:
        assert len(memory) == 65536
        return text.upper()

    @host.function
    def not_wanted(data: bytes) -> None:
        raise AssertionError(data)

    return host, seen


def test_every_kind_of_parameter_and_result() -> None:
    host, seen = provided()
    with instantiate(GUEST, imports=host) as guest:
        call, memory = guest.exports, guest.memory
        assert call.add(-3, 2**40) == 2**40 - 3
        assert call.mean(1.0, 2.0) == 1.5
        assert call.log(-1, 16, 5) is None
        assert call.high(2**32 - 2) == -2
        assert call.fill(100, 3) == 1
        assert memory.read_bytes(99, 5) == b"\0xxx\0"
        packed = call.upper(16, 5)
        assert memory.read_bytes(packed >> 32, packed & 0xFFFF_FFFF).decode() == "CAFÉ"
    assert seen == [(-1, "café"), 2**32 - 2]


def test_a_pointer_out_of_bounds_is_the_guest_s_fault() -> None:
    host, _ = provided()
    with instantiate(GUEST, imports=host) as guest:
        for pointer, size in ((65530, 7), (-1, 2), (0, -1)):
            with pytest.raises(TrapError, match=r"env\.log"):
                guest.call("log", 0, pointer, size)


def test_an_exception_of_a_host_function_reaches_the_caller() -> None:
    host, _ = provided()

    @host.function(name="add")
    def broken(a: int, b: int) -> int:
        raise KeyError(a, b)

    with instantiate(GUEST, imports=host) as guest:
        with pytest.raises(KeyError, match="1, 2"):
            guest.call("add", 1, 2)
        guest.memory.write_bytes(16, b"\xff")
        with pytest.raises(TrapError, match="no UTF-8"):
            guest.call("log", 0, 16, 1)


def test_types_that_do_not_fit_are_reported() -> None:
    host, _ = provided()

    @host.function(name="log")
    def other(level: float, text: str) -> None: ...

    with pytest.raises(
        LinkError, match=r"env\.log: the module has \(i32, i32, i32\) -> \(\), the Python function is oth"
    ):
        instantiate(GUEST, imports=host)
    with pytest.raises(LinkError, match=r"imports from env: add, mean, log, high, fill and 1 more: unknown"):
        instantiate(GUEST, imports=[Imports("other")])


def test_functions_that_cannot_be_imports() -> None:
    host = Imports()

    async def late() -> None: ...
    def bare(a) -> None: ...  # type: ignore[no-untyped-def]  # that it is refused is the point
    def star(*numbers: str) -> None: ...
    def named(*, a: int) -> None: ...
    def nowhere(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # the same
    def odd(a: list[int]) -> None: ...
    def silent(a: int): ...  # type: ignore[no-untyped-def]  # that it is refused is the point

    for function, words in (
        (late, "async"),
        (bare, "'a'"),
        (star, "numbers"),
        (named, "named: the parameter a"),
        (nowhere, "Missing"),
        (odd, "not list"),
        (silent, "result"),
    ):
        with pytest.raises(ConfigError, match=words):
            host.function(function)
    with pytest.raises(ConfigError, match="WASI's own"):
        Imports("wasi_snapshot_preview1")


def test_a_command_may_have_them_too() -> None:
    host, seen = provided()
    command = GUEST.replace('(func (export "add")', '(func (export "_start") (call $log (i32.const 1) (i32.const 16) '
                            '(i32.const 3))) (func (export "add")', 1)  # fmt: skip
    assert run(command, imports=host).returncode == 0
    assert seen == [(1, "caf")]


def test_memory() -> None:
    host, _ = provided()
    with instantiate(GUEST, imports=host) as guest:
        memory = guest.memory
        assert memory.read_cstr(16) == "café".encode()
        assert memory.alloc(b"abc") == 4096
        assert memory.read_bytes(4096, 3) == b"abc"
        with memory.allocated(b"defg") as (pointer, size):
            assert memory.read_bytes(pointer, size) == b"defg"
        memory.view()[0:2] = b"hi"
        assert memory.read_cstr(0) == b"hi"
        memory.write_bytes(len(memory) - 1, b"z")
        for use in (lambda: memory.read_bytes(65530, 10), lambda: memory.write_bytes(-1, b"ab"),
                    lambda: memory.read_bytes(0, -1)):  # fmt: skip
            with pytest.raises(IndexError, match="not in the guest's memory"):
                use()
        with pytest.raises(ValueError, match="no NUL"):
            memory.read_cstr(len(memory) - 1)
    with instantiate('(module (memory (export "memory") 1))') as guest, pytest.raises(LinkError, match="no allocator"):
        guest.memory.alloc(3)
