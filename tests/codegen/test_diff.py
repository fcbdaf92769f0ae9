"""What a change of a spec is said to mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from witxgen.diff import diff
from witxgen.resolve import load

WITX = Path(__file__).resolve().parents[2] / "witx"


def changes(folder: Path, old: str, new: str) -> list[str]:
    (folder / "old.witx").write_text(old)
    (folder / "new.witx").write_text(new)
    return diff(load([folder / "old.witx"]), load([folder / "new.witx"]))


TYPE_CHANGES = {
    ("u32", "u64"): ["x: type u32 -> u64", "x: size 4 -> 8", "x: align 4 -> 8"],
    ("(list u8)", "(list $e)"): ["x: type (list u8) -> (list $e)"],
    ("u32", "(enum $a)"): ["x: type u32 -> an enum"],
    ("(record (field $a u8))", "(tuple u8)"): ["x: type a record -> a tuple"],
    ("(expected (error u8))", "(expected u16 (error u8))"): [
        "x: type (expected (error u8)) -> (expected u16 (error u8))",
    ],
    ("(enum $a $b $c)", "(enum $b $a $d)"): [
        "x: case c removed (was 2)",
        "x: case d added as 2",
        "x: case b moved from 1 to 0",
        "x: case a moved from 0 to 1",
    ],
    ("(enum (@witx tag u8) $a)", "(enum (@witx tag u16) $a)"): [
        "x: tag u8 -> u16",
        "x: size 1 -> 2",
        "x: align 1 -> 2",
    ],
    ("(flags $a $b)", "(flags (@witx repr u64) $b)"): [
        "x: repr u32 -> u64",
        "x: flag a removed (was bit 0)",
        "x: flag b moved from bit 1 to bit 0",
        "x: size 4 -> 8",
        "x: align 4 -> 8",
    ],
    ("(record (field $a u8) (field $b u8) (field $c u32))", "(record (field $b u8) (field $a u16) (field $d u32))"): [
        "x: field c removed (was at offset 4)",
        "x: field d added at offset 4",
        "x: field b moved from 1 to 0",
        "x: field a moved from 0 to 1",
        "x: field b: offset 1 -> 0",
        "x: field a: type u8 -> u16",
        "x: field a: offset 0 -> 2",
    ],
    ("(record (field $a u8) (field $b u8))", "(record (field $n u8) (field $a u8) (field $b u8))"): [
        "x: field n added at offset 0",
        "x: field a: offset 0 -> 1",
        "x: field b: offset 1 -> 2",
        "x: size 2 -> 3",
    ],
    ("(union (@witx tag $e) u8 u16)", "(union (@witx tag $f) u64 u8)"): [
        "x: tag e -> f",
        "x: case two removed (was 1)",
        "x: case three added as 1",
        "x: case one: type u8 -> u64",
        "x: payload offset 4 -> 8",
        "x: size 8 -> 16",
        "x: align 4 -> 8",
    ],
    ("(variant (@witx tag u8) (case $a))", "(variant (@witx tag u8) (case $a u8))"): [
        "x: type an enum -> a variant",
        "x: size 1 -> 2",
    ],
    ("(variant (@witx tag u8) (case $a) (case $b u8))", "(variant (@witx tag u16) (case $a u8) (case $b u8))"): [
        "x: tag u8 -> u16",
        "x: case a: type none -> u8",
        "x: tag size 1 -> 2",
        "x: payload offset 1 -> 2",
        "x: size 2 -> 4",
        "x: align 1 -> 2",
    ],
    ("(union u8)", "(variant (case $0 u8))"): ["x: type a union -> a variant"],
}


@pytest.mark.parametrize(("old", "new"), TYPE_CHANGES)
def test_a_changed_type(tmp_path: Path, old: str, new: str) -> None:
    before = "(typename $e (enum $one $two)) (typename $f (enum $one $three))"
    found = changes(tmp_path, f"{before} (typename $x {old})", f"{before} (typename $x {new})")
    assert found == TYPE_CHANGES[old, new]


def test_types_that_come_and_go(tmp_path: Path) -> None:
    found = changes(tmp_path, "(typename $a u8) (typename $b (flags $x))", "(typename $c (list u8)) (typename $a u8)")
    assert found == ["type b removed (flags)", "type c added (list, size 8)"]


def test_constants(tmp_path: Path) -> None:
    old = "(typename $t u32) (@witx const $t $a 1) (@witx const $t $b 2)"
    new = "(typename $t u32) (@witx const $t $b 3) (@witx const $t $c 4)"
    assert changes(tmp_path, old, new) == [
        "constant t.a removed (was 1)",
        "constant t.c added (4)",
        "constant t.b: value 2 -> 3",
    ]


def test_modules(tmp_path: Path) -> None:
    old = '(module $a (import "memory" (memory))) (module $b) (module $c)'
    new = '(module $a (import "heap" (memory))) (module $d) (module $c)'
    assert changes(tmp_path, old, new) == [
        "module b renamed to d",
        "module a: import of memory 'memory' removed",
        "module a: import of memory 'heap' added",
    ]
    assert changes(tmp_path, "(module $a)", "") == ["module a removed"]
    assert changes(tmp_path, "", "(module $a)") == ["module a added"]


def func(name: str, body: str = "") -> str:
    return f'(@interface func (export "{name}") {body})'


def test_functions_that_come_go_and_move(tmp_path: Path) -> None:
    old = f"(module $a {func('one')} {func('two')}) (module $b)"
    new = f"(module $a {func('three', '(param $p u64) (result $r u8)')}) (module $b {func('two', '(param $p u8)')})"
    assert changes(tmp_path, old, new) == [
        "function one removed from module a",
        "function three added to module a: (i64) -> (i32)",
        "two: moved from module a to b",
        "two: parameter p added: u8",
        "two: core signature was () -> (), is now (i32) -> ()",
    ]


FUNCTION_CHANGES = {
    ("(param $a u8) (param $b u8)", "(param $b u8) (param $a u8)"): [
        "f: parameter b moved from 1 to 0",
        "f: parameter a moved from 0 to 1",
    ],
    ("(param $a u8)", "(param $a u32)"): ["f: parameter a: type u8 -> u32"],
    ("(param $a u32)", "(param $a string)"): [
        "f: parameter a: type u32 -> string",
        "f: core signature was (i32) -> (), is now (i32, i32) -> ()",
    ],
    ("(param $a u8)", "(param $b u8)"): ["f: parameter a removed", "f: parameter b added: u8"],
    ("", "(result $r u64)"): ["f: result none -> u64", "f: core signature was () -> (), is now () -> (i64)"],
    ("(result $r u8)", "(result $s u8)"): [],
    ("", "(@witx noreturn)"): ["f: no longer returns"],
    ("(@witx noreturn)", ""): ["f: now returns"],
}


@pytest.mark.parametrize(("old", "new"), FUNCTION_CHANGES)
def test_a_changed_function(tmp_path: Path, old: str, new: str) -> None:
    found = changes(tmp_path, f"(module $m {func('f', old)})", f"(module $m {func('f', new)})")
    assert found == FUNCTION_CHANGES[old, new]


def test_a_wider_type_is_felt_where_it_is_used(tmp_path: Path) -> None:
    text = (
        "(typename $n {}) (typename $r (record (field $a $n) (field $b $n)))"
        + f"(module $m {func('f', '(param $n $n)')})"
    )
    assert changes(tmp_path, text.format("u32"), text.format("u64")) == [
        "n: type u32 -> u64",
        "n: size 4 -> 8",
        "n: align 4 -> 8",
        "r: field b: offset 4 -> 8",
        "r: size 8 -> 16",
        "r: align 4 -> 8",
        "f: core signature was (i32) -> (), is now (i64) -> ()",
    ]


def test_docs_and_the_order_of_declarations_do_not_count(tmp_path: Path) -> None:
    old = f";;; Old.\n(typename $a u8) (typename $b u8) (module $m {func('f')} {func('g')})"
    new = f"(typename $b u8) ;;; New.\n(typename $a u8) (module $m {func('g')} {func('f')})"
    assert changes(tmp_path, old, new) == []


def test_preview0_to_preview1() -> None:
    old = load([WITX / "preview0/wasi_unstable.witx"])
    new = load([WITX / "preview1/wasi_snapshot_preview1.witx"])
    assert diff(old, old) == diff(new, new) == []
    assert diff(old, new) == [
        "rights: flag sock_accept added as bit 29",
        "whence: case set moved from 2 to 0",
        "whence: case cur moved from 0 to 1",
        "whence: case end moved from 1 to 2",
        "linkcount: type u32 -> u64",
        "linkcount: size 4 -> 8",
        "linkcount: align 4 -> 8",
        "filestat: field nlink: offset 20 -> 24",
        "filestat: field size: offset 24 -> 32",
        "filestat: field atim: offset 32 -> 40",
        "filestat: field mtim: offset 40 -> 48",
        "filestat: field ctim: offset 48 -> 56",
        "filestat: size 56 -> 64",
        "subscription_clock: field identifier removed (was at offset 0)",
        "subscription_clock: field id: offset 8 -> 0",
        "subscription_clock: field timeout: offset 16 -> 8",
        "subscription_clock: field precision: offset 24 -> 16",
        "subscription_clock: field flags: offset 32 -> 24",
        "subscription_clock: size 40 -> 32",
        "subscription_u: size 48 -> 40",
        "subscription: size 56 -> 48",
        "module wasi_unstable renamed to wasi_snapshot_preview1",
        "function sock_accept added to module wasi_snapshot_preview1: (i32, i32, i32) -> (i32)",
    ]
