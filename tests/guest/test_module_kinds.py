"""How modules begin and where their memory comes from: commands, reactors, start sections, imported memories."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest
import wasmtime

from tests.support.guests import build_c
from tests.support.timing import few_tries, in_time
from wasihost import (
    ExitError,
    Imports,
    LimitExceeded,
    LinkError,
    ModuleConfig,
    ModuleError,
    State,
    TimeoutExpired,
    TrapError,
    instantiate,
    run,
)
from wasihost.engines.wasmtime.linker import _alive, define

SHELF = build_c("shelf", "-mexec-model=reactor")
TOOL = build_c("tool", "-Wl,--import-memory")

PRINTS = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  {memory}
  (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00hi\\n")
  (func $main (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100))) {end})
  {begin})"""
OWN, IMPORTED = '(memory (export "memory") 1)', '(import "env" "memory" (memory 1 9))'
EXIT = "(call $exit (i32.const 7))"


def test_a_reactor_is_initialised_once_and_keeps_what_it_has() -> None:
    with instantiate(SHELF, capture_output=True) as shelf:
        assert shelf.exports.get() == 42
        shelf.exports.put(-(2**63))
        assert shelf.exports.get() == -(2**63)
        assert shelf.stdout == b"keeps -9223372036854775808\n"
        with instantiate(SHELF) as other:
            assert other.exports.get() == 42
    with pytest.raises(LinkError, match="a library"):
        run(SHELF)


def test_a_reactor_goes_on_after_a_trap_and_an_exit() -> None:
    with instantiate(SHELF) as shelf:
        shelf.exports.put(1)
        with pytest.raises(TrapError, match="unreachable"):
            shelf.exports.fall()
        with pytest.raises(ExitError) as caught:
            shelf.exports.leave(3)
        assert caught.value.code == 3
        assert shelf.exports.get() == 1


def test_a_program_that_imports_its_memory(tmp_path: Path) -> None:
    done = run(TOOL, args=["cat"], input=bytes(100_000), capture_output=True)
    assert done.stdout == bytes(100_000)
    assert done.stats.peak_memory > 65536
    assert run(TOOL, args=["files", "/f"], dirs={"/": tmp_path}).returncode == 0
    assert (tmp_path / "f").read_text() == "written"
    with pytest.raises(TimeoutExpired):
        run(TOOL, args=["sleep", "60"], timeout=0.05)
    with pytest.raises(LimitExceeded) as caught:
        run(TOOL, max_memory=65536)
    assert caught.value.limit == "memory"


def test_an_imported_memory_is_seen_and_grows() -> None:
    text = """(module (import "any" "name" (memory 1 3))
      (func (export "grow") (result i32) (memory.grow (i32.const 1)))
      (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))"""
    with instantiate(text) as guest:
        guest.memory.write_bytes(8, b"\1\2\3\4")
        assert guest.exports.load(8) == 0x04030201
        assert [guest.exports.grow() for _ in range(3)] == [1, 2, -1]
        guest.memory.write_bytes(3 * 65536 - 4, b"\xff\xff\xff\xff")
        assert guest.exports.load(3 * 65536 - 4) == -1
        assert len(guest.memory) == 3 * 65536


def test_of_two_memories_the_exported_one_is_meant() -> None:
    text = """(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "env" "other" (memory 1)) (memory $own (export "memory") 1)
      (func (export "_start") (drop (call $random (i32.const 0) (i32.const 64)))
        (if (i64.eqz (i64.load $own (i32.const 0))) (then unreachable))))"""
    assert run(text).returncode == 0


@pytest.mark.parametrize("binding", ["unchecked", "define_func"])
def test_an_imported_memory_in_a_linker_of_the_users(binding: str) -> None:
    engine = wasmtime.Engine()
    linker, store = wasmtime.Linker(engine), wasmtime.Store(engine)
    module = wasmtime.Module.from_file(engine, str(TOOL))
    wanted = module.imports[0].type
    assert isinstance(wanted, wasmtime.MemoryType)
    memory = wasmtime.Memory(store, wanted)
    linker.define(store, "env", "memory", memory)
    said: list[bytes] = []
    config = ModuleConfig().with_args("tool", "cat").with_stdin(bytes(100_000)).with_stdout(said.append)
    with State(lambda: memory.get_buffer_ptr(store), config) as state:
        guest = define(linker, state, binding=binding)
        start = guest.call(linker.instantiate, store, module).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        guest.call(start, store)
        assert b"".join(said) == bytes(100_000)
        guest.close()
    with State(config=config) as state:
        linker.allow_shadowing = True
        guest = define(linker, state, binding=binding)
        start = guest.call(linker.instantiate, store, module).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        with pytest.raises(LinkError, match=r"State\(lambda: memory"):
            guest.call(start, store)


def _with_a_given_memory() -> int:
    """How many imports there are while such a guest is."""
    engine = wasmtime.Engine()
    linker, store = wasmtime.Linker(engine), wasmtime.Store(engine)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, 2)))
    linker.define(store, "env", "memory", memory)
    with State(lambda: memory.get_buffer_ptr(store)) as state:
        guest = define(linker, state)
        guest.call(linker.instantiate, store, wasmtime.Module(engine, '(module (import "env" "memory" (memory 1 2)))'))
        guest.close()
        return len(_alive)


def test_a_given_memory_is_let_go() -> None:
    gc.collect()
    before = len(_alive)
    assert _with_a_given_memory() > before
    gc.collect()
    assert len(_alive) == before


@pytest.mark.parametrize("memory", [OWN, IMPORTED])
@pytest.mark.parametrize(("end", "code"), [(EXIT, 7), ("", 0)])
def test_a_program_that_is_its_start_section(memory: str, end: str, code: int, tmp_path: Path) -> None:
    text = PRINTS.format(memory=memory, end=end, begin="(start $main)")
    path = tmp_path / "old.wat"
    path.write_text(text)
    for source in (text, path, path, wasmtime.wat2wasm(text)):  # the second time from what was kept
        done = run(source, capture_output=True)
        assert (done.returncode, done.stdout) == (code, b"hi\n")
    if code:
        with pytest.raises(ExitError):
            instantiate(text)
    else:
        with instantiate(text, capture_output=True) as guest:
            assert guest.stdout == b"hi\n"
            assert guest.run() == 0


def test_a_start_section_before_a_start_function() -> None:
    begin = '(start $main) (func (export "_start") (call $main))'
    done = run(PRINTS.format(memory=OWN, end="", begin=begin), capture_output=True)
    assert done.stdout == b"hi\nhi\n"
    done = run(PRINTS.format(memory=OWN, end=EXIT, begin=begin), capture_output=True)
    assert (done.returncode, done.stdout) == (7, b"hi\n")


@few_tries
def test_a_start_section_ends_in_time() -> None:
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(PRINTS.format(memory=OWN, end="(loop (br 0))", begin="(start $main)"), timeout=0.05)
    in_time(time.perf_counter() - begin, 0.05, 0.5)


@pytest.mark.parametrize(
    "where", ['(memory (export "memory") 1 2 shared)', '(import "env" "memory" (memory 1 2 shared))']
)
@pytest.mark.parametrize("kind", ["_start", "other"])
def test_a_shared_memory_is_refused(where: str, kind: str) -> None:
    with pytest.raises(LinkError, match=r"memory: a shared memory; the guest was built for threads"):
        instantiate(f'(module {where} (func (export "{kind}")))')


def test_a_memory_of_64_bits_is_refused() -> None:
    with pytest.raises((LinkError, ModuleError), match="64-bit memor"):  # old engines do not read such a module
        instantiate('(module (memory (export "memory") i64 1) (func (export "f")))')


def test_a_module_without_start_is_reported_by_run_too() -> None:
    for text in ('(func (export "add"))', '(memory (export "memory") 1) (func (export "_initialize"))'):
        with instantiate(f"(module {text})") as guest, pytest.raises(LinkError, match="export _start: missing"):
            guest.run()


def test_an_export_cannot_be_called_in_the_start_section() -> None:
    """A host function that answers text asks the guest for room, of which there is none yet."""
    host = Imports("env")

    @host.function
    def name() -> str:
        return "hello"

    text = """(module (import "env" "name" (func $name (result i64))) (memory (export "memory") 1)
      (func (export "malloc") (param i32) (result i32) (i32.const 64))
      (func $s (drop (call $name))) (start $s))"""
    with pytest.raises(RuntimeError, match="still being made"):
        instantiate(text, imports=host)
