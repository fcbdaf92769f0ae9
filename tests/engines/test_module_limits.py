"""Modules of a few kilobytes or megabytes that the engine would take minutes or gigabytes to compile are refused."""

from __future__ import annotations

import io
import random
import re
import time
from pathlib import Path

import pytest

from tests.support.binary import command, leb
from tests.support.guests import build_c
from wasihost import Module, ModuleError, run
from wasihost.engines.wasmtime import compiling, loops, module_limits
from wasihost.engines.wasmtime.function_types import types_in
from wasihost.engines.wasmtime.module import assemble
from wasihost.inspection import inspect


def longer(number: int) -> bytes:
    """The same number in one byte more."""
    short = leb(number)
    return short[:-1] + bytes([short[-1] | 0x80, 0])


NOTHING = b"\x60\0\0"
WIDE = b"\x60" + leb(1000) + b"\x7f" * 1000 + leb(1000) + b"\x7f" * 1000


def wide(uses: bytes, before: bytes = b"") -> bytes:
    """Instructions that take a thousand values and give a thousand."""
    return before + b"\x41\0" * 1000 + uses + b"\x1a" * 1000


def locals_of(count: int) -> bytes:
    return b"\1" + leb(count) + b"\x7f"


def refused(code: bytes, what: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ModuleError, match=f"^guest: has {what}: at most .*; give compile_timeout and") as caught:
        Module(code, cache=False)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 30


DEEP = module_limits.NESTED + 10
BLOCKS = {
    "block": b"\2\x40" * DEEP,
    "if": b"\x41\0\4\x40" * DEEP,
    "try_table": b"\x1f\x40\0" * DEEP,
    "mixed, behind a table": b"\x41\0\x0e\1\0\0\2\x40\x0b\2\x7f\x41\0\x0b\x1a" + b"\2\x40\x41\1\4\x40" * (DEEP // 2),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_nesting(name: str) -> None:
    body = BLOCKS[name]
    code = command(body + b"\x0b" * DEEP)
    if name == "try_table":  # which the oldest engine does not have
        with pytest.raises(ModuleError, match="nested too deeply"):
            module_limits.check_code(code, "")
    else:
        refused(code, "blocks that are nested too deeply")


def test_blocks_in_a_row_are_not_nested() -> None:
    code = command(b"\2\x40\x0b" * DEEP)
    module_limits.check_code(code, "")
    assert module_limits._depth(code, len(code) - 3 * DEEP - 1, len(code)) == 1


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (command(*[b""] * 500_001), "500,001 functions"),
        (command(b"", types=(NOTHING,) * 100_001), "100,001 types"),
        (command(b"", exports=tuple(b"\6%06d\0\0" % one for one in range(99_999))), "100,001 exports"),
        (command(*[b""] * 410, local=locals_of(49_990)), "20,495,900 local variables in its functions"),
        (command(wide(b"\2\1\x0b" * 201), types=(NOTHING, WIDE)), "calls and blocks with some 201,000 results"),
        (command(wide(b"\2\x81\0\x0b" * 201), types=(NOTHING, WIDE)), "calls and blocks with some 201,000 results"),
        (command(wide(b"\x10\1" * 201), b"\x20\0" * 1000, types=(NOTHING, WIDE), of=(0, 1)), "calls and blocks .*"),
        (
            command(wide((b"\x10" + longer(1)) * 201), b"\x20\0" * 1000, types=(NOTHING, WIDE), of=(0, 1)),
            "calls and .*",
        ),
    ],
    ids=["functions", "types", "exports", "locals", "blocks", "blocks, longer", "calls", "calls, longer"],
)
def test_too_many(code: bytes, what: str) -> None:
    refused(code, what)


def test_modules_within_the_limits_are_compiled() -> None:
    code = command(wide(b"\2\1\x0b" * 20), types=(NOTHING, WIDE), local=locals_of(1000))
    assert run(code, cache=False).returncode == 0


def test_a_compilation_with_limits_of_its_own_has_no_others() -> None:
    code = command(*[b""] * 410, local=locals_of(49_990))
    assert Module(code, cache=False, compile_timeout=200, compile_memory="8GiB").exports


def test_cached_modules_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    code = command(b"", b"")
    Module(code)
    monkeypatch.setitem(module_limits._COUNTS, 3, ("functions", 1))
    Module(code)
    refused(code, "2 functions")


def test_inspect_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module_limits._COUNTS, 3, ("functions", 1))
    assert "has 2 functions: at most 1 are compiled" in inspect(command(b"", b""), "m.wasm").text()


def test_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    large = tmp_path / "large.wasm"
    with large.open("wb") as file:  # a hole, which nobody reads
        file.write(b"\0asm\1\0\0\0")
        file.truncate(1 << 40)
    for cache in (True, False):
        with pytest.raises(ModuleError, match=r"large\.wasm: has 1,099,511,627,776 bytes, and a module may have"):
            run(large, cache=cache)
    monkeypatch.setattr(compiling, "SIZE", 30)
    with pytest.raises(ModuleError, match=r"guest: has .* bytes, and a module may have 30"):
        run(command(b""), cache=False)
    monkeypatch.setattr(compiling, "TEXT", 10)
    with pytest.raises(ModuleError, match=r"guest: has 17 bytes of text, at most 10 are assembled: give the binary"):
        run("(module (memory))", cache=False)


def test_programs_are_far_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_limits, "_COUNTS", {key: (what, most // 20) for key, (what, most) in _COUNTS})
    for name, value in (("LOCALS", 1_000_000), ("NESTED", 2500), ("RESULTS", 0)):
        monkeypatch.setattr(module_limits, name, value)
    for name in ("tool", "files", "escape"):
        code = build_c(name).read_bytes()
        module_limits.check(code, name)
        module_limits.check_code(code, name)


_COUNTS = list(module_limits._COUNTS.items())

TYPES = """(module (type (func)) (rec (type $s (sub (struct (field (mut i32)) (field (ref null $s)))))
    (type (sub $s (struct (field (mut i32)) (field (ref null $s)) (field i8)))))
  (type (array (mut (ref null any)))) (type (func (param (ref null $s) i32) (result {nine})))
  (type (func (param {nine}) (result i32))) (type (func (result {nine} i32))))"""


def test_types_of_all_forms_are_stepped_over() -> None:
    text = TYPES.format(nine="(ref null 1) " + "i64 " * 8)
    try:
        code = assemble(text.encode(), "")
    except ModuleError:
        pytest.skip("an engine that cannot assemble these")
    number, at, end = next(iter(module_limits._sections(code)))
    assert number == 1
    known = [index for index, (_, results) in enumerate(types_in(io.BytesIO(code[at:end]))) if len(results) > 8]
    assert module_limits.many_results(code, at, end) == (known, 10)
    assert known == [4, 6]


def test_numbers_are_found_in_every_length() -> None:
    for value in (0, 1, 63, 64, 92, 127, 128, 300, 70_000):
        for form in (leb(value), longer(value)):
            assert re.fullmatch(module_limits._number(value), form)
        assert bool(re.fullmatch(module_limits._number(value, signed=True), leb(value))) == (leb(value)[-1] < 0x40)
        assert not re.match(module_limits._number(value), leb(value + 1))


def test_any_bytes_are_read_to_the_end() -> None:
    chance = random.Random(7)
    for _ in range(300):
        module_limits.check(b"\0asm\1\0\0\0" + bytes(chance.choices(range(256), k=60)), "")
        at = chance.randrange(8, 60)
        code = command(bytes(chance.choices(range(256), k=400)) + b"\2\x40" * 10)
        module_limits.check(code[:at], "")
        ((start, end),) = loops.bodies(code)
        module_limits._depth(code, start, end)
