"""Guests whose plain calls are done by C: they end in time, see their memory grow, and use what replaces a call."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import wasihost
from wasihost import Imports, Module, ModuleConfig, State
from wasihost.errors import TimeoutExpired
from wasihost.guest.providers import StateWithImports
from wasihost.native import extension, why

pytestmark = pytest.mark.skipif(extension is None, reason=f"there are no plain calls without the extension: {why}")

TELLING = """
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "file")
  (func (export "_start")
    (drop (call $open (i32.const 3) (i32.const 1) (i32.const 32) (i32.const 4) (i32.const 0)
      (i64.const 1073741823) (i64.const 1073741823) (i32.const 0) (i32.const 16)))
    (loop $again
      (br_if $again (i32.eqz (call $tell (i32.load (i32.const 16)) (i32.const 64)))))
    unreachable))
"""

# Reads into the memory's last bytes after it grew to 40 pages, one by one, and ends with the number of wrong results.
GROWING = """
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 32) "file")
  (func (export "_start") (local $end i32) (local $wrong i32)
    (drop (call $open (i32.const 3) (i32.const 1) (i32.const 32) (i32.const 4) (i32.const 0)
      (i64.const 1073741823) (i64.const 1073741823) (i32.const 0) (i32.const 16)))
    (loop $again
      (local.set $end (i32.mul (i32.add (memory.grow (i32.const 1)) (i32.const 1)) (i32.const 65536)))
      (i32.store (i32.const 256) (i32.sub (local.get $end) (i32.const 8)))
      (i32.store (i32.const 260) (i32.const 4))
      (local.set $wrong (i32.add (local.get $wrong)
        (call $pread (i32.load (i32.const 16)) (i32.const 256) (i32.const 1) (i64.const 2)
          (i32.sub (local.get $end) (i32.const 4)))))
      (local.set $wrong (i32.add (local.get $wrong)
        (i32.ne (i32.load (i32.sub (local.get $end) (i32.const 8))) (i32.const 0x65747962))))
      (local.set $wrong (i32.add (local.get $wrong)
        (i32.ne (i32.load (i32.sub (local.get $end) (i32.const 4))) (i32.const 4))))
      (br_if $again (i32.lt_u (local.get $end) (i32.const 2621440))))
    (call $exit (local.get $wrong))))
"""

CLOCK = """
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $now (i32.const 0) (i64.const 0) (i32.const 64)))
    (call $exit (i32.load (i32.const 64)))))
"""


@pytest.fixture
def config(tmp_path: Path) -> ModuleConfig:
    (tmp_path / "file").write_bytes(b"2 bytes")
    return ModuleConfig().with_host_directory_preopen("/", str(tmp_path))


def test_a_guest_that_makes_only_plain_calls_ends_at_its_timeout(config: ModuleConfig) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutExpired):
        wasihost.run(Module(TELLING.encode()), config, timeout=0.2)
    assert time.monotonic() - started < 20


def test_plain_calls_of_a_guest_in_another_thread(config: ModuleConfig) -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            wasihost.run(Module(TELLING.encode()), config, timeout=0.2)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert isinstance(raised[0], TimeoutExpired)


def test_memory_that_grows_between_two_calls(config: ModuleConfig) -> None:
    assert wasihost.run(Module(GROWING.encode()), config).returncode == 0


def test_a_guest_uses_the_clock_of_its_config() -> None:
    config = ModuleConfig().with_walltime(lambda: 42, 1)
    for _ in range(2):
        assert wasihost.run(Module(CLOCK.encode()), config).returncode == 42


def test_imports_of_the_embedder_leave_the_calls_plain(config: ModuleConfig) -> None:
    with State(config=config) as state:
        caller: Any = SimpleNamespace(around=None)  # nothing is bound to it
        joined = StateWithImports(state, Imports(), [], caller)
        assert joined.plain is state.plain is not None


def test_calls_are_counted_where_that_is_asked_for(config: ModuleConfig) -> None:
    done = wasihost.run(Module(GROWING.encode()), config, stats=True)
    assert done.stats is not None
    assert done.stats.calls["fd_pread"] == 39
