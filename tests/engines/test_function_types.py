"""Function types as a module's own sections have them: the engine ends the process when it is asked for some."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guests import build_c
from wasihost import Imports, LinkError, Module, ModuleError, instantiate, run
from wasihost.engines.wasmtime import library
from wasihost.engines.wasmtime.function_types import read_types
from wasihost.engines.wasmtime.module import assemble, load
from wasihost.engines.wasmtime.outline import outline

ODD = """(module
  (rec (type $pair (struct (field i32) (field (mut i8)))) (type $list (array (mut i64))))
  (type $sub (sub (func (param i64))))
  (type $callback (func (param i32)))
  (import "m" "table" (table 1 2 funcref)) (import "m" "count" (global (mut i32)))
  (import "m" "plain" (func (param i32) (result i64)))
  (import "m" "vector" (func (param v128 f32)))
  (memory (export "memory") 1)
  (func (export "plain") (type $callback))
  (func (export "vector") (param v128) (result v128) (local.get 0))
  (func (export "reference") (param (ref null $callback) anyref (ref null extern)) (result f64) (f64.const 1))
  (func (export "sub") (type $sub)))"""


def test_types_that_the_engine_cannot_say() -> None:
    found = outline(io.BytesIO(assemble(ODD.encode(), "odd"))).types
    assert found
    assert found.imports == [(("i32",), ("i64",)), (("v128", "f32"), ())]
    assert found.exports == {
        "plain": (("i32",), ()), "vector": (("v128",), ("v128",)), "reference": (("?", "?", "externref"), ("f64",)),
        "sub": (("i64",), ()),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["tool", "files", "server", "layout"])
def test_real_modules_read_as_the_engine_reads_them(name: str) -> None:
    path = build_c(name)
    content = io.BytesIO(path.read_bytes())
    assert outline(content).types is None
    found, module = read_types(content), load(path)
    functions = [item for item in module.imports if item.kind == "func"]
    assert found.imports == [(item.params, item.results) for item in functions]
    exports = {one: (item.params, item.results) for one, item in module.exports.items() if item.kind == "func"}
    assert found.exports == exports


SIMD = """(module {} (memory (export "memory") 1)
  (func $inner (param v128) (result v128) (local.get 0))
  (func (export "with_vector") (param v128))
  (func (export "_start") (drop (call $inner (v128.const i64x2 1 2))))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"""


def test_a_module_with_vectors_is_used_for_all_the_rest(tmp_path: Path) -> None:
    """In a process of its own, as it would end this one."""
    code = f"""
import wasihost
from wasihost.engines.wasmtime.module import assemble
text = {SIMD!r}
for module in (text.format(""), assemble(text.format("").encode(), "simd")):
    assert wasihost.run(module).returncode == 0
    with wasihost.instantiate(module) as guest:
        assert guest.exports.add(1, 2) == 3
        try:
            guest.exports.with_vector(1)
        except wasihost.LinkError as error:
            print(error)
for imports in (None, wasihost.Imports.stub("m")):
    try:
        wasihost.run(text.format('(import "m" "f" (func (param v128)))'), imports=imports)
    except wasihost.LinkError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["export with_vector: has types that cannot be passed here: v128"] * 2
    assert lines[2:] == ["guest: import m.f: has type (v128) -> (), with types that cannot be passed between guest and "
                         "host"] * 2  # fmt: skip


def test_references_of_newer_proposals() -> None:
    try:
        module = Module(ODD)
    except ModuleError:
        assert int(library.load().version.partition(".")[0]) < 40  # which have these proposals switched off
        return
    assert module.exports["reference"].params == ("?", "?", "externref")
    with pytest.raises(LinkError, match=r"m\.vector: has type \(v128, f32\)"):
        run(ODD, imports=Imports.stub("m"))
    without = ODD
    for line in ('(import "m" "table" (table 1 2 funcref)) (import "m" "count" (global (mut i32)))',
                 '(import "m" "vector" (func (param v128 f32)))'):  # fmt: skip
        without = without.replace(line, "")
    with instantiate(without, imports=Imports.stub("m")) as guest:
        assert guest.exports.plain(1) is None
        assert guest.exports.sub(1) is None
