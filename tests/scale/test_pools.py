"""`Module.pool`: instances that are ready, and copies of one that was initialized."""

from __future__ import annotations

import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import wasihost
from tests.support.guests import build_c
from wasihost import ConfigError, Instance, Module, ModuleError, TrapError
from wasihost.binary.exposed import exposed
from wasihost.scale.snapshot import Snapshot

REACTOR = """(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1 20)
  (global $ready (mut i32) (i32.const 0))
  (global $wide (mut i64) (i64.const -1))
  (global $half (mut f64) (f64.const 0))
  (data (i32.const 100) "first")
  (func (export "_initialize")
    (if (global.get $ready) (then unreachable))
    (global.set $ready (i32.const 1))
    (drop (memory.grow (i32.const 2)))
    (drop (call $random (i32.const 131072) (i32.const 16))))
  (func (export "prepare")
    (global.set $ready (i32.add (global.get $ready) (i32.const 10)))
    (global.set $wide (i64.const -5000000000))
    (global.set $half (f64.const 0.5))
    (i32.store8 (i32.const 100) (i32.const 70)))
  (func (export "ready") (result i32) (global.get $ready))
  (func (export "wide") (result i64) (global.get $wide))
  (func (export "half") (result f64) (global.get $half))
  (func (export "spoil") (global.set $ready (i32.const 0)) (i32.store8 (i32.const 100) (i32.const 0)))
  (func (export "trap") unreachable))
"""


def state(guest: Instance) -> tuple[object, ...]:
    call = guest.call
    view = guest.memory.view()
    return call("ready"), call("wide"), call("half"), len(view), bytes(view[100:105]), bytes(view[131072:131088])


def test_every_instance_begins_where_the_first_one_was_initialized() -> None:
    with Module(REACTOR).pool(2, init="prepare") as pool:
        assert pool.snapshot is not None
        assert pool.snapshot.copied == 2 * 4096
        found = set()
        for _ in range(4):
            with pool.instance() as guest:
                found.add(state(guest))
                guest.call("spoil")
        ((ready, wide, half, size, text, random),) = found
        assert (ready, wide, half, size, text) == (11, -5000000000, 0.5, 3 << 16, b"First")
        assert random != bytes(16)
        assert "_initialize" not in guest.module.exports


def test_the_second_engine_has_pools_too() -> None:
    from wasihost.engines import default_engine

    text = """(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $g (i32.const 5)) (drop (memory.grow (i32.const 1))))
      (func (export "g") (result i32) (i32.add (global.get $g) (memory.size))))"""
    module = Module(default_engine().assemble(text.encode(), "guest"), engine="pywasm")
    with module.pool(1) as pool:
        assert pool.snapshot is not None
        assert pool.snapshot.module.engine is module.engine
        assert [pool.call("g"), pool.call("g")] == [7, 7]


def test_init_may_be_a_function_and_may_be_missing() -> None:
    def init(guest: Instance) -> None:
        guest.memory.write_bytes(200, b"from Python")
        guest.call("prepare")

    with Module(REACTOR).pool(1, init=init) as pool, pool.instance() as guest:
        assert guest.memory.read_bytes(200, 11) == b"from Python"
        assert guest.call("ready") == 11
    with Module(REACTOR).pool(1) as pool:
        assert pool.call("ready") == 1


def test_a_call_uses_an_instance_of_its_own_and_others_are_made_meanwhile() -> None:
    counter = Module("""(module (global $n (mut i32) (i32.const 0)) (func (export "next") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))""")
    with counter.pool(3) as pool:
        assert (len(pool), pool.snapshot) == (3, None)
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda _: pool.call("next"), range(20))) == [1] * 20
        until = time.monotonic() + 10
        while len(pool) < 3 and time.monotonic() < until:
            time.sleep(0.005)
        assert len(pool) == 3
    assert len(pool) == 0


def test_a_command_is_ready_before_it_runs() -> None:
    with Module(build_c("tool")).pool(1, args=["cat"], input=b"text", capture_output=True) as pool:
        for _ in range(2):
            with pool.instance() as guest:
                assert guest.run() == 0
                assert guest.stdout == b"text"


def test_a_trap_ends_one_instance_alone() -> None:
    with Module(REACTOR).pool(1) as pool:
        with pytest.raises(TrapError):
            pool.call("trap")
        assert pool.call("ready") == 1


def test_a_forked_child_has_instances_of_its_own() -> None:
    with Module(REACTOR).pool(1) as pool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there may be other threads
            child = os.fork()
        if not child:
            os._exit(42 if pool.call("ready") == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 0}, "size cannot be 0"), ({"isolation": "process"}, "isolation"), ({"argz": []}, "argz")],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, TypeError), match=message):
        Module(REACTOR).pool(**{"size": 1, **options})  # type: ignore[arg-type]


def test_a_descriptor_that_init_leaves_open_is_an_error(tmp_path: Path) -> None:
    module = Module("""(module
      (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 8) "file")
      (func (export "_initialize") (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 4)
        (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))))""")
    with pytest.raises(ConfigError, match="init opened or closed descriptor 4, and copies would not"):
        module.pool(1, dirs={"/": tmp_path})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('(import "m" "g" (global (mut i32)))', "imports the global m.g"),
        ('(import "m" "mem" (memory 1))', "imports m.mem, a memory"),
        ("(memory 1) (memory 1)", "several memories"),
        ("(memory 1 2 shared)", "shared"),
        ("(global (mut funcref) (ref.null func))", "its global 0 can change and holds no number"),
        ("(global (mut v128) (v128.const i64x2 0 0))", "its global 0 can change and holds no number"),
    ],
)
def test_state_that_cannot_be_copied_is_named(text: str, why: str) -> None:
    from wasihost.engines import default_engine

    code = default_engine().assemble(f"(module {text})".encode(), "guest")
    with pytest.raises(ModuleError, match=why):
        exposed(code)
    with pytest.raises(ModuleError):
        exposed(b"no module")


def test_an_exposed_module_is_the_same_to_its_users() -> None:
    """Real programs, with all their sections: they run as before."""
    for name in ("tool", "talker"):
        before = build_c(name).read_bytes()
        made = exposed(before)
        assert made.memory == "memory"
        module = Module(made.code)
        assert wasihost.run(module, args=["both"] if name == "tool" else ["progress"], input=b"").returncode == 0


def test_what_a_start_section_leaves_is_copied_whole() -> None:
    text = """(module (memory (export "memory") 1) (start $begin)
      (func $begin (i32.store8 (i32.const 5) (i32.const 7)))
      (func (export "set") (i32.store8 (i32.const 5) (i32.const 0)) (i32.store8 (i32.const 9) (i32.const 1))))"""
    made = Snapshot(Module(text), None, {}, "set")
    with made.instance() as guest:
        assert bytes(guest.memory.view()[:12]) == bytes([0] * 9 + [1, 0, 0])
