"""Core signatures: the flattening the public witx tool prescribes, case by case."""

from __future__ import annotations

from pathlib import Path

import pytest
from witxgen.abi import Slot, flat_params, signature
from witxgen.model import Function
from witxgen.resolve import load

TYPES = """
(typename $size u32)
(typename $errno (enum (@witx tag u16) $success $bad))
(typename $small (flags (@witx repr u8) $a))
(typename $wide (flags (@witx repr u64) $a))
(typename $fd (handle))
(typename $pair (record (field $a u64) (field $b u8)))
(typename $either (union u8 f64))
(typename $choice (variant (case $a) (case $b)))
(typename $loaded (variant (case $a) (case $b u8)))
(typename $two (tuple $size $pair))
(typename $bytes (list u8))
(typename $answer (expected $size (error $errno)))
(typename $spelled (variant (@witx tag u64) (case $ok $size) (case $err $errno)))
(typename $plain (enum (@witx tag u64) $ok $err))
"""


def function(folder: Path, body: str) -> Function:
    (folder / "spec.witx").write_text(f'{TYPES} (module $m (@interface func (export "f") {body}))')
    (found,) = load([folder / "spec.witx"]).functions()
    return found


@pytest.mark.parametrize(
    ("type_", "core"),
    [
        *((name, ["i32"]) for name in ("u8", "s8", "u16", "s16", "u32", "s32", "char", "bool")),
        *((name, ["i32"]) for name in ("(@witx usize)", "(@witx char8)", "(@witx pointer u64)")),
        *((name, ["i64"]) for name in ("u64", "s64", "$wide")),
        ("f32", ["f32"]),
        ("f64", ["f64"]),
        *((name, ["i32"]) for name in ("$small", "$fd", "$errno", "$pair", "$either", "$choice", "$loaded", "$two")),
        *((name, ["i32"]) for name in ("$answer", "(expected (error))", "(tuple u64)", "$plain")),
        *((name, ["i32", "i32"]) for name in ("string", "(list u64)", "$bytes")),
    ],
)
def test_a_parameter(tmp_path: Path, type_: str, core: list[str]) -> None:
    assert signature(function(tmp_path, f"(param $p {type_})")) == (tuple(core), ())


@pytest.mark.parametrize(
    ("type_", "params", "result"),
    [
        *((name, [], "i32") for name in ("u8", "s32", "char", "$small", "$fd", "(@witx pointer u8)")),
        *((name, [], "i64") for name in ("u64", "s64", "$wide")),
        ("f32", [], "f32"),
        ("f64", [], "f64"),
        ("(expected (error))", [], "i32"),
        ("(expected (error $errno))", [], "i32"),
        ("(expected $size (error))", ["i32"], "i32"),
        ("$answer", ["i32"], "i32"),
        ("(expected $bytes (error $errno))", ["i32"], "i32"),
        ("(expected (tuple $size $pair $fd) (error $errno))", ["i32", "i32", "i32"], "i32"),
        ("(expected $two (error $errno))", ["i32", "i32"], "i32"),
        ("(expected (tuple) (error $errno))", [], "i32"),
        ("$spelled", ["i32"], "i64"),
        ("$plain", [], "i64"),
    ],
)
def test_a_result(tmp_path: Path, type_: str, params: list[str], result: str) -> None:
    assert signature(function(tmp_path, f"(result $r {type_})")) == (tuple(params), (result,))


def test_no_result(tmp_path: Path) -> None:
    assert signature(function(tmp_path, "(param $code u32) (@witx noreturn)")) == (("i32",), ())


def test_slots_of_a_read(tmp_path: Path) -> None:
    found = function(tmp_path, "(param $fd $fd) (param $iovs (list $pair)) (result $r $answer)")
    assert flat_params(found) == [
        Slot("fd", "i32", 0, "value"),
        Slot("iovs", "i32", 1, "address"),
        Slot("iovs_len", "i32", 1, "length"),
        Slot("result", "i32", None, "result"),
    ]


def test_slots_of_several_results(tmp_path: Path) -> None:
    found = function(tmp_path, "(param $w $wide) (result $r (expected (tuple $size $fd) (error $errno)))")
    assert flat_params(found) == [
        Slot("w", "i64", 0, "value"),
        Slot("result_0", "i32", None, "result"),
        Slot("result_1", "i32", None, "result"),
    ]


def test_a_tuple_of_one_still_counts(tmp_path: Path) -> None:
    found = function(tmp_path, "(result $r (expected (tuple $size) (error $errno)))")
    assert [slot.name for slot in flat_params(found)] == ["result_0"]


@pytest.mark.parametrize(
    ("type_", "role"),
    [
        *((name, "value") for name in ("bool", "$errno", "$choice", "(@witx pointer u8)", "(expected (error))")),
        *((name, "address") for name in ("$pair", "$either", "$loaded", "$answer", "(tuple u8)")),
    ],
)
def test_choices_travel_as_values_and_structures_by_address(tmp_path: Path, type_: str, role: str) -> None:
    (slot,) = flat_params(function(tmp_path, f"(param $p {type_})"))
    assert slot.role == role
