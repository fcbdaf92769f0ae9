"""The limit on memory is for all memories and tables of a guest together, whatever kind of them it grows."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guests import build_c
from wasihost import LimitExceeded, ModuleConfig, TrapError, instantiate, run
from wasihost.engines.wasmtime import library
from wasihost.engines.wasmtime.module import assemble
from wasihost.engines.wasmtime.outline import PAGE, Extent, outline
from wasihost.errors import ModuleError

MIB = 1 << 20
LIMIT = 16 * MIB
MAIN = '(memory (export "memory") 1)'
OLD = library.load().version == "25.0.0"


def grown(memories: str, tables: str = "", start: str = "") -> int:
    """Bytes of all that a module has when each of it was grown, page by page, until nothing more is given."""
    memory, table = memories.count("(memory"), tables.count("(table")
    body = "".join(
        f"(block $o{i} (loop $l (br_if $o{i} (i32.eq (memory.grow {i} (i32.const 1)) (i32.const -1))) (br $l)))"
        for i in range(memory)
    ) + "".join(
        f"(block $t{i} (loop $l (br_if $t{i} (i32.eq (table.grow {i} (ref.null func) (i32.const 4096))"
        " (i32.const -1))) (br $l)))"
        for i in range(table)
    )
    sizes = "".join(
        [f'(func (export "m{i}") (result i32) (memory.size {i}))' for i in range(memory)]
        + [f'(func (export "t{i}") (result i32) (table.size {i}))' for i in range(table)]
    )
    text = f'(module {memories} {tables} {sizes} (func $grow (export "grow") {body}) {start})'
    with instantiate(text, max_memory=LIMIT) as guest:
        guest.exports.grow()
        total = sum(int(guest.call(f"m{i}")) * PAGE for i in range(memory))
        return total + sum(int(guest.call(f"t{i}")) * 8 for i in range(table))


def test_a_single_memory_gets_the_whole_limit() -> None:
    assert grown(MAIN) == LIMIT
    assert grown(MAIN, "(table 10 10 funcref)") == LIMIT + 80
    assert grown('(memory (export "memory") 1 20)') == 20 * PAGE


@pytest.mark.parametrize(
    ("memories", "tables"),
    [
        (MAIN + "(memory 0)" * 6, ""),
        (MAIN + "(memory 100) (memory 3 5)", ""),
        (MAIN, "(table 0 funcref)" * 8),
        (MAIN + "(memory 0)", "(table 7 funcref) (table 100 100 funcref)"),
        ('(memory (export "memory") 250)', "(table 0 funcref)"),
    ],
)
def test_several_share_it(memories: str, tables: str) -> None:
    assert LIMIT * 0.9 < grown(memories, tables) <= LIMIT + PAGE


def test_several_share_it_while_they_are_made() -> None:
    assert grown(MAIN + "(memory 0)", start="(start $grow)") <= LIMIT
    with pytest.raises(LimitExceeded, match="could make all of them as large as the largest"):
        grown(MAIN + "(memory 200)", start="(start $grow)")


def test_memories_beyond_the_limit_are_not_made() -> None:
    for begins in ("(memory 255) (memory 1)", "(table 2100000 funcref)", "(table 1100000 funcref)" * 2):
        with pytest.raises(LimitExceeded, match=r"begins with [\d.]+ MiB, and may have 16 MiB: give more") as caught:
            run(f'(module {MAIN} {begins} (func (export "_start")))', max_memory=LIMIT)
        assert caught.value.limit == "memory"
        assert caught.value.stats
        assert caught.value.stats.limits == ("memory",)


def test_memories_for_imports_count() -> None:
    text = """(module (import "a" "b" (memory 1)) (import "a" "c" (memory 1)) (memory (export "memory") 1)
      (func (export "_start") (drop (memory.grow 0 (i32.const 100))) (drop (memory.grow 1 (i32.const 100)))
        (drop (memory.grow 2 (i32.const 100)))))"""
    assert run(text, max_memory=LIMIT).stats.peak_memory == 3 * PAGE
    assert run(text, max_memory=3 * LIMIT).stats.peak_memory == 303 * PAGE


def test_the_statistics_have_all_that_is_exported() -> None:
    text = f"""(module {MAIN} (memory $b (export "b") (export "again") 2) (memory $c 3)
      (table $t (export "t") 0 funcref) (func (export "_start") (drop (memory.grow $b (i32.const 5)))
        (drop (table.grow $t (ref.null func) (i32.const 16384)))))"""
    done = run(text, max_memory=LIMIT)
    assert done.stats.peak_memory == (1 + 7 + 3) * PAGE + 16384 * 8 - PAGE
    assert done.stats.limits == ()
    assert run(text.replace("16384", "65536"), max_memory=LIMIT // 2).stats.limits == ()
    full = text.replace(
        "(drop (table", "(loop (br_if 0 (i32.ne (memory.grow 0 (i32.const 1)) (i32.const -1)))) (drop (table"
    )
    assert run(full, max_memory=LIMIT).stats.limits == ("memory",)


def test_the_default_is_a_gibibyte() -> None:
    assert ModuleConfig().limits.memory == 1 << 30
    text = '(module (memory (export "memory") 1) (func (export "f") (result i32) (memory.grow (i32.const {}))))'
    with instantiate(text.format(16384)) as guest:
        assert guest.exports.f() == -1
    with instantiate(text.format(16383)) as guest:
        assert guest.exports.f() == 1
        assert guest.stats.limits == ("memory",)


HEAP = """(module {memory} (type $n (struct (field (ref null $n)) (field i64)))
  (func (export "_start") (local $last (ref null $n))
    (loop $l (local.set $last (struct.new $n (local.get $last) (i64.const 1))) (br $l))))"""


def ends(text: str) -> BaseException | None:
    try:
        run(text, max_memory=LIMIT, timeout=30)
    except ModuleError:
        if not OLD:
            raise
        pytest.skip("this engine has no such types")
    except BaseException as error:
        return error
    return None


def test_the_heap_of_the_engine_counts_too() -> None:
    error = ends(HEAP.format(memory=MAIN))
    assert isinstance(error, LimitExceeded)
    assert error.limit == "memory"
    assert "GC heap" in str(error)
    assert grown_beside_a_heap() <= LIMIT // 2


def grown_beside_a_heap() -> int:
    text = f"""(module {MAIN} (type (struct)) (func (export "f")
      (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))))"""
    with instantiate(text, max_memory=LIMIT) as guest:
        guest.exports.f()
        return len(guest.memory)


@pytest.mark.parametrize("where", ["start", "_start"])
def test_exceptions_are_traps_also_while_an_instance_is_made(where: str) -> None:
    begin = "(start $s)" if where == "start" else ""
    error = ends(f'(module {MAIN} (tag $t) (func $s (export "_start") (throw $t)) {begin})')
    assert isinstance(error, TrapError)
    assert error.kind == "uncaught exception"
    assert len(error.backtrace) == 1


def test_memories_and_tables_that_a_module_declares() -> None:
    def storage(text: str) -> object:
        return outline(io.BytesIO(assemble(f"(module {text})".encode(), "it"))).storage[:3]

    page = PAGE
    assert storage("") == ((), (), False)
    assert storage("(memory 1) (table 3 9 funcref)") == ((Extent(page),), (Extent(24, 72),), False)
    assert storage('(import "a" "m" (memory 7)) (memory 1 2)') == ((Extent(page, 2 * page),), (), False)
    assert storage("(memory 1 4 shared)") == ((Extent(4 * page, 4 * page),), (), False)
    assert storage("(tag) (memory 0)") == ((Extent(0),), (), True)
    assert storage("(func (param v128)) (memory 0)") == ((Extent(0),), (), False)
    assert storage("(type (array i8))") == ((), (), True)
    value = storage("(table 3 3 (ref func) (ref.func $f)) (table 5 5 funcref) (func $f)")
    assert value == ((), (Extent(0), Extent(0)), False)


@pytest.mark.parametrize("name", ["tool", "files", "server", "layout"])
def test_real_modules_have_one_memory_that_grows(name: str) -> None:
    found = outline(io.BytesIO(build_c(name).read_bytes()))
    assert not found.starts
    assert not found.storage.growing
    assert len(found.storage.memories) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_small_limit_is_a_small_process(tmp_path: Path) -> None:
    """The kernel agrees: eight memories and eight tables, each filled as far as it goes."""
    memories, tables = "(memory 0)" * 8, "(table 0 funcref)" * 8
    fill = "".join(
        f"(loop (br_if 0 (i32.ne (memory.grow {i} (i32.const 1)) (i32.const -1))))"
        f"(memory.fill {i} (i32.const 0) (i32.const 1) (i32.mul (memory.size {i}) (i32.const 65536)))"
        f"(loop (br_if 0 (i32.ne (table.grow {i} (ref.func $f) (i32.const 4096)) (i32.const -1))))"
        for i in range(8)
    )
    text = f"""(module {memories} {tables} (export "memory" (memory 0)) (elem declare func $f) (func $f)
      (func (export "_start") {fill}))"""
    code = (
        "import re, sys, wasihost\n"
        "at = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "module = wasihost.Module(sys.argv[1], cache=False)\n"
        'wasihost.run(\'(module (memory (export "memory") 1) (func (export "_start")))\', cache=False)\n'
        "before = at(); wasihost.run(module, max_memory=64 << 20); print(at() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, text], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert 30 << 10 < int(done.stdout) < 90 << 10
