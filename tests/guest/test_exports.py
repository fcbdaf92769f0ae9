"""Exports called with text and bytes, by every convention; the guest's allocator; exported globals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.typecheck import mypy
from wasihost import LinkError, TimeoutExpired, TrapError, instantiate, run
from wasihost.imports import Imports, Unsigned

LIBRARY = """(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 4096))
  (global (export "fixed") f64 (f64.const 0.5))
  (global (export "count") (mut i32) (i32.const -3))
  (global (export "wide") (mut i64) (i64.const 1))
  (global (export "real") (mut f32) (f32.const 1.5))
  (global (export "thing") (mut externref) (ref.null extern))
  (global $freed (export "freed") (mut i32) (i32.const 0))
  (func (export "ALLOC") (param $size i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func (export "FREE") (param i32 i32) (global.set $freed (i32.add (global.get $freed) (local.get 1))))
  (func (export "packed") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func (export "reversed") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 1)) (i64.const 32)) (i64.extend_i32_u (local.get 0))))
  (func (export "pair") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1))
  (func (export "nul") (param i32) (result i32) (local.get 0))
  (func $out (export "out") (param i32 i32 i32)
    (i32.store (local.get 0) (local.get 1)) (i32.store offset=4 (local.get 0) (local.get 2)))
  (func (export "indirect") (param i32 i32) (result i32)
    (call $out (i32.const 64) (local.get 0) (local.get 1)) (i32.const 64))
  (func (export "prefixed") (param i32 i32) (result i32)
    (i32.store (i32.const 64) (local.get 1))
    (memory.copy (i32.const 68) (local.get 0) (local.get 1)) (i32.const 64))
  (func (export "sizes") (param i32 i32 i64 i32 i32) (result i32)
    (i32.add (i32.mul (local.get 1) (i32.const 100)) (local.get 4)))
  (func (export "bad") (result i64) (i64.const 0xfffffff0_00000020))
  (func (export "no_text") (result i64) (i64.const 0x00000100_00000001))
  (func (export "less") (result i32) (i32.const -1))
  (func (export "crash") (param i32 i32) unreachable)
  (func (export "spin") (param i32 i32) (loop (br 0)))
  (func (export "half") (result f64) (f64.const 0.5))
  (func (export "with space") (result i32) (i32.const 7))
  (data (i32.const 256) "\\ff"))"""
PROVA = LIBRARY.replace("ALLOC", "prova_alloc").replace("FREE", "prova_free")
TEXT = "Grüße\U0001f600"


@pytest.mark.parametrize(
    ("name", "how"),
    [("packed", None), ("reversed", "packed-reversed"), ("pair", None), ("nul", None), ("indirect", "indirect"),
     ("prefixed", "prefixed"), ("out", None), ("out", "out"), ("nul", "nul")],
)  # fmt: skip
def test_text_goes_in_and_comes_out(name: str, how: Any) -> None:
    with instantiate(PROVA) as guest:
        export = guest.exports[name]
        assert export(TEXT, returns=str, result_as=how) == TEXT
        assert export(TEXT.encode(), returns=bytes, result_as=how) == TEXT.encode()
        assert export(bytearray(b"abc"), returns=str, result_as=how) == "abc"
        assert export("", returns=bytes, result_as=how) == b""
        given = 2 * len(TEXT.encode()) + 3 + 4 * (name == "nul") + 4 * 8 * (name == "out")
        assert guest.globals["freed"] == given  # what was given is freed, and nothing else
        if name != "out":
            assert export("x" * 50, returns=str, result_as=how, free_result=True) == "x" * 50
            size = {"nul": 51, "prefixed": 54}.get(name, 50)
            assert guest.globals["freed"] == given + 50 + (name == "nul") + size


def test_text_and_numbers_mixed() -> None:
    with instantiate(PROVA) as guest:
        assert guest.exports.sizes("four", 2**40, b"1") == 401
        assert guest.call("sizes", memoryview(b"12"), -1, "") == 200


def test_results_that_are_numbers() -> None:
    with instantiate(PROVA) as guest:
        assert guest.exports.less() == -1
        assert guest.exports.less(returns=int) == -1
        assert guest.exports.less(returns=Unsigned) == 2**32 - 1
        assert guest.exports.less(returns=bool) is True
        assert guest.exports.half(returns=float) == 0.5
        assert guest.exports["with space"]() == 7


@pytest.mark.parametrize(
    ("name", "arguments", "options", "words"),
    [
        ("packed", ("a", 1, 2), {}, r"takes 2 numbers \(i32, i32\), 3 arguments"),
        ("sizes", ("a",), {}, "takes 5 numbers"),
        ("packed", ("a",), {"returns": float}, "which is no <class 'float'>"),
        ("packed", ("a",), {"returns": list}, "cannot be <class 'list'>"),
        ("half", (), {"returns": str}, r"returns \(f64\), which is no text"),
        ("packed", ("a",), {"returns": str, "result_as": "nul"}, r"'nul' is for \(i32\)"),
        ("packed", ("a",), {"returns": str, "result_as": "nil"}, "one of 'packed'"),
        ("packed", ([],), {}, "takes 2 numbers"),
        ("less", (None,), {}, "takes 0 numbers"),
    ],
)
def test_calls_of_exports_with_arguments_that_do_not_fit(name: str, arguments: Any, options: Any, words: str) -> None:
    with instantiate(PROVA) as guest, pytest.raises(TypeError, match=words):
        guest.exports[name](*arguments, **options)


def test_pointers_and_texts_that_are_bad() -> None:
    with instantiate(PROVA) as guest:
        with pytest.raises(TrapError, match="bad returned a bad pointer: 32 bytes at 4294967280") as caught:
            guest.exports.bad(returns=bytes)
        assert caught.value.kind == "guest fault"
        with pytest.raises(UnicodeDecodeError):
            guest.exports.no_text(returns=str)
        with pytest.raises(ValueError, match="NUL"):
            guest.exports.nul("a\0b")
        with pytest.raises(UnicodeEncodeError):
            guest.exports.packed("\ud800")


def test_ends_within_such_a_call_are_as_ever() -> None:
    with instantiate(PROVA, timeout=60) as guest:
        with pytest.raises(TrapError, match="unreachable"):
            guest.exports.crash("a")
        with pytest.raises(TimeoutExpired):
            guest.exports.spin("a", timeout=0.05)
        assert guest.exports.packed("a", returns=str) == "a"


# -- allocators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("malloc", "free"),
    [("malloc", "free"), ("allocate", "deallocate"), ("allocate", "free"), ("alloc", "dealloc"), ("_malloc", "_free"),
     ("prova_alloc", "prova_free"), ("lib-malloc", "lib-free"), ("x_allocate", "x_deallocate")],
)  # fmt: skip
def test_allocators_that_are_found(malloc: str, free: str) -> None:
    with instantiate(LIBRARY.replace("ALLOC", malloc).replace("FREE", free)) as guest:
        assert guest.exports.packed("abc", returns=str) == "abc"
        with guest.memory.allocated(b"12") as (pointer, size):
            assert guest.memory.read_bytes(pointer, size) == b"12"
        assert guest.globals["freed"] == 5


def test_an_allocator_that_is_named() -> None:
    odd = LIBRARY.replace("ALLOC", "get_room").replace("FREE", "put_back")
    with instantiate(odd) as guest:
        with pytest.raises(LinkError, match=r"no allocator that is known .*malloc='NAME', free='NAME'"):
            guest.exports.packed("a")
        memory = guest.memory.with_allocator("get_room", "put_back")
        with memory.allocated(b"abc") as (pointer, size):
            assert guest.exports.packed(pointer, size) == pointer << 32 | 3
        assert guest.globals["freed"] == 3
    with instantiate(odd, malloc="get_room", free="put_back") as guest:
        assert guest.exports.packed("abc", returns=str) == "abc"
        assert guest.globals["freed"] == 3
    with instantiate(odd, malloc="get_room") as guest:
        assert guest.exports.packed("abc", returns=str) == "abc"
        assert guest.globals["freed"] == 0
    for names, words in (
        ({"malloc": "get_rom"}, r"malloc='get_rom': .* did you mean get_room\?"),
        ({"malloc": "get_room", "free": "nothing"}, "free='nothing'"),
        ({"malloc": "half"}, r"its type is \(\) -> \(f64\)"),
        ({"malloc": "get_room", "free": "half"}, r"free='half': its type"),
    ):
        with pytest.raises(LinkError, match=words):
            instantiate(odd, **names)  # type: ignore[arg-type]  # the names of the options


def test_no_allocator_is_guessed() -> None:
    more = "".join(f'(func (export "{name}") (param i32) (result i32) (i32.const 8))' for name in ("alloc", "allocate"))
    two = PROVA.replace('(func (export "half")', more + '(func (export "half")')
    with instantiate(two) as guest, pytest.raises(LinkError, match=r"several allocators \(allocate, alloc\): name one"):
        guest.memory.alloc(1)
    with instantiate(two, malloc="prova_alloc") as guest:
        assert guest.exports.packed("abc", returns=str) == "abc"
        assert guest.globals["freed"] == 3
    lone = LIBRARY.replace("ALLOC", "prova_alloc").replace("FREE", "other")
    with instantiate(lone) as guest, pytest.raises(LinkError, match="it could be prova_alloc"):
        guest.memory.alloc(1)


def test_an_allocator_s_own_signature() -> None:
    """Rust's with alignment; wasm-bindgen's, where the callee frees arguments and the caller results."""
    aligned = LIBRARY.replace('"ALLOC") (param $size i32)', '"NAME") (param $size i32) (param $align i32)').replace(
        '"FREE") (param i32 i32)', '"NAME_FREE") (param i32 i32 i32)'
    )
    with instantiate(aligned.replace("NAME_FREE", "dealloc").replace("NAME", "alloc")) as guest:
        assert guest.exports.packed("abc", returns=str) == "abc"
        assert guest.globals["freed"] == 3
    bindgen = aligned.replace("NAME_FREE", "__wbindgen_free").replace("NAME", "__wbindgen_malloc")
    with instantiate(bindgen) as guest:
        assert guest.exports.out("abcd", returns=str) == "abcd"
        assert guest.globals["freed"] == 12  # the room and the result, not the argument
    realloc = LIBRARY.replace('"ALLOC") (param $size i32)', '"cabi_realloc") (param i32 i32 i32) (param $size i32)')
    with instantiate(realloc) as guest:
        assert guest.exports.indirect("abc", returns=str, result_as="indirect") == "abc"


ASSEMBLYSCRIPT = """(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (global $pinned (export "pinned") (mut i32) (i32.const 0))
  (global (export "__rtti_base") i32 (i32.const 0))
  (func (export "__new") (param $size i32) (param $class i32) (result i32)
    (i32.store (i32.add (global.get $top) (i32.const 8)) (local.get $class))
    (i32.store (i32.add (global.get $top) (i32.const 12)) (local.get $size))
    (i32.add (global.get $top) (i32.const 16))
    (global.set $top (i32.add (global.get $top) (i32.add (local.get $size) (i32.const 16)))))
  (func (export "__pin") (param i32) (result i32)
    (global.set $pinned (i32.add (global.get $pinned) (i32.const 1))) (local.get 0))
  (func (export "__unpin") (param i32) (global.set $pinned (i32.sub (global.get $pinned) (i32.const 1))))
  (func (export "same") (param i32) (result i32) (local.get 0))
  (func (export "class") (param i32) (result i32) (i32.load (i32.sub (local.get 0) (i32.const 8)))))"""


def test_assemblyscript_s_strings() -> None:
    with instantiate(ASSEMBLYSCRIPT) as guest:
        assert guest.exports.same(TEXT, returns=str) == TEXT
        assert guest.exports.same(b"\0\1", returns=bytes) == b"\0\1"
        assert (guest.exports["class"](TEXT), guest.exports["class"](b"")) == (2, 1)
        assert guest.globals["pinned"] == 0


def test_host_functions_return_text_by_a_named_allocator() -> None:
    host = Imports()

    @host.function
    def name() -> str:
        return "host"

    guest = """(module (import "env" "name" (func $name (result i64))) (memory (export "memory") 1)
      (func (export "room") (param i32) (result i32) (i32.const 512))
      (func (export "_start") (if (i64.ne (call $name) (i64.const 0x200_00000004)) (then unreachable))))"""
    assert run(guest, imports=host, malloc="room").returncode == 0
    with pytest.raises(TrapError, match="it is instantiated"):
        run(guest, imports=host)


# -- globals -----------------------------------------------------------------------------------------------------------


def test_globals_are_read_and_set() -> None:
    with instantiate(PROVA) as guest:
        values = guest.globals
        assert list(values) == ["fixed", "count", "wide", "real", "thing", "freed"]
        assert (values["fixed"], values["count"], values["wide"], values["real"]) == (0.5, -3, 1, 1.5)
        values["count"] = 2**32 - 2
        values["wide"] = -(2**63)
        values["real"] = 3
        assert (values["count"], values["wide"], values["real"]) == (-2, -(2**63), 3.0)
        values["real"] = math.inf
        assert values["real"] == math.inf


def test_globals_that_cannot_be() -> None:
    with instantiate(PROVA) as guest:
        values = guest.globals
        for name, value, error, words in (
            ("fixed", 1.0, TypeError, "fixed is immutable"), ("count", 1.5, TypeError, "i32: it cannot be 1.5"),
            ("count", 2**32, OverflowError, "does not fit"), ("wide", -(2**63) - 1, OverflowError, "does not fit"),
            ("real", "1", TypeError, "f32"), ("thing", 1, TypeError, "holds no number"),
            ("cuont", 1, KeyError, "did you mean count"), ("packed", 1, KeyError, "exports no global"),
        ):  # fmt: skip
            with pytest.raises(error, match=words):
                values[name] = value  # type: ignore[assignment]  # that it is refused is the point
        with pytest.raises(TypeError, match="holds no number"):
            values["thing"]
        with pytest.raises(AttributeError, match=r"globals\['count'\]"):
            guest.exports.count()
        with pytest.raises(AttributeError, match="did you mean packed"):
            guest.exports.paked("a")
    with pytest.raises(RuntimeError, match="closed"):
        values["count"]


TYPED = """
import wasihost
from wasihost.imports import Unsigned

with wasihost.instantiate("lib.wasm", malloc="get", free="put") as guest:
    text: str = guest.exports.greet("Ada", returns=str)
    data: bytes = guest.exports.greet(b"Ada", 3, returns=bytes, result_as="pair", free_result=True, timeout=1.0)
    number: int = guest.exports.count(returns=int)
    plain: Unsigned = guest.exports.count(returns=Unsigned)
    guest.globals["x"] = guest.globals["y"]
    WRONG
"""


@pytest.mark.parametrize(
    "wrong", ["number = guest.exports.greet(returns=str)", "guest.exports.greet([1])",
              'guest.exports.greet("a", returns=str, result_as="sret")', 'guest.globals["x"] = "1"'],
)  # fmt: skip
def test_types(wrong: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(TYPED.replace("WRONG", ""))
    bad.write_text(TYPED.replace("WRONG", wrong))
    done = mypy(good, bad)
    assert [line for line in done.stdout.splitlines() if "error" in line and "bad.py" not in line] == [
        "Found 1 error in 1 file (checked 2 source files)"
    ], done.stdout
