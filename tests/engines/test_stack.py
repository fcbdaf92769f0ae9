"""The call stack: as deep in whatever way a guest runs, as deep as was asked for, and never beyond its thread's."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.wheels import python
from wasihost import ConfigError, Module, TrapError, instantiate, run

DEPTH = """(module
  (memory (export "memory") 1)
  (global $deep (mut i32) (i32.const 0))
  (func $down (param $n i32) (result i32)
    (global.set $deep (local.get $n))
    (i32.add (call $down (i32.add (local.get $n) (i32.const 1))) (local.get $n)))
  (func (export "down") (drop (call $down (i32.const 1))))
  (func (export "deep") (result i32) (global.get $deep)))"""
ENDLESS = '(module (memory (export "memory") 1) (func $f (export "_start") (call $f)))'


def depth(**options: Any) -> int:
    """How many calls a guest gets into each other."""
    with instantiate(DEPTH, **options) as guest:
        with pytest.raises(TrapError) as caught:
            guest.exports.down()
        assert caught.value.kind == "stack overflow"
        deep: int = guest.exports.deep()
        return deep


def in_a_thread(work: Callable[[], Any], size: int = 0) -> Any:
    """What it answers or raises, on a stack of `size` bytes."""
    ends: list[Any] = []

    def catch() -> None:
        try:
            ends.append(work())
        except Exception as error:
            ends.append(error)

    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=catch)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return ends[0]


def test_a_timeout_ctrl_c_or_fuel_costs_no_depth() -> None:
    plain = in_a_thread(depth)
    assert plain > 5000
    for deep in (depth(), depth(timeout=60), depth(fuel=10**9), in_a_thread(lambda: depth(timeout=60))):
        assert deep > 0.95 * plain


def test_the_depth_is_a_choice() -> None:
    usual = in_a_thread(depth)
    assert 3.8 < in_a_thread(lambda: depth(max_stack=2 << 20)) / usual < 4.2
    assert 0.2 < in_a_thread(lambda: depth(max_stack="128KiB")) / usual < 0.3
    assert depth(max_stack="1MiB", timeout=60) > 1.9 * usual
    assert in_a_thread(lambda: depth(max_stack=None)) > 10 * usual


@pytest.mark.parametrize("wanted", [0, -1, "much", 1.5])
def test_a_stack_is_a_size(wanted: Any) -> None:
    with pytest.raises(ConfigError, match="stack"):
        run(ENDLESS, max_stack=wanted)


def test_more_than_the_thread_has_is_refused() -> None:
    end = in_a_thread(lambda: run(ENDLESS, max_stack="16MiB"), 1 << 20)
    assert isinstance(end, ConfigError)
    assert "which is to have 16384: start it with a larger one" in str(end)


SMALL = """
import os, threading, wasihost
here = os.path.dirname(wasihost.__file__)
text = '''(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $f (export "_start")
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0)))
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i64.const -1)
      (i64.const 0) (i32.const 0) (i32.const 8)))
    (call $f)))'''
def work():
    for options in ({}, {"timeout": 20}):
        try:
            wasihost.run(text, dirs={"/": here}, cache=False, **options)
        except wasihost.TrapError as error:
            print(error.kind, flush=True)
"""


@pytest.mark.parametrize("size", [128, 256, 512, 1024])
def test_recursion_on_a_small_stack_is_a_trap(size: int) -> None:
    code = f"{SMALL}threading.stack_size({size} << 10)\none = threading.Thread(target=work)\none.start()\none.join()\n"
    assert python(code).stdout == "stack overflow\n" * 2


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
@pytest.mark.parametrize("size", [256, 512])
def test_recursion_in_a_program_with_a_small_stack_is_a_trap(size: int) -> None:
    limit = size << 10
    done = subprocess.run(
        [sys.executable, "-c", f"{SMALL}work()"], capture_output=True, text=True, check=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (limit, limit)),
    )  # fmt: skip
    assert done.stdout == "stack overflow\n" * 2


def test_an_instance_of_a_thread_with_a_larger_stack() -> None:
    with instantiate(ENDLESS, timeout=20) as guest:
        end = in_a_thread(lambda: guest.exports._start(), 512 << 10)
        assert isinstance(end, TrapError)
        assert end.kind == "stack overflow"
        assert "the guest may use 1024 KiB of its thread's stack" in str(end)


def test_guests_that_call_guests_share_the_stack() -> None:
    """Each goes 3,000 calls deep before it calls the next: together they need more than the thread has."""
    calls = "(if (local.get 0) (then (call $r (i32.sub (local.get 0) (i32.const 1))))"
    ends = '(memory (export "memory") 1) (func (export "f") (call $r (i32.const 3000)))'
    last = f"(module (func $r (param i32) {calls})) {ends})"
    link = f'(module (import "n" "f" (func $n)) (func $r (param i32) {calls} (else (call $n)))) {ends})'

    def chain() -> str:
        guests = [instantiate(last)]
        try:
            for _ in range(7):
                guests.append(instantiate(link, imports=guests[-1].as_imports("n")))
            guests[-1].exports.f()
            return "done"
        finally:
            for guest in reversed(guests):
                guest.close()

    end = in_a_thread(chain, 600 << 10)
    assert end == "done" or (isinstance(end, TrapError) and end.kind == "stack overflow")
    assert in_a_thread(chain, 16 << 20) == "done"


def test_modules_compiled_once_serve_any_depth() -> None:
    came: list[object] = []
    module = Module('(module (memory (export "memory") 1) (func (export "_start")))', on_compile=came.append)
    for size in (256 << 10, 512 << 10, 0):
        assert in_a_thread(lambda: run(module).returncode, size) == 0
    assert len(came) <= 2  # begun and over, once
