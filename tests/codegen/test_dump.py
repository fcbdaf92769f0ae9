"""The dump of a document: one entry of each kind, to the last key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from witxgen.dump import dump
from witxgen.resolve import load


def dumped(folder: Path, text: str) -> dict[str, object]:
    (folder / "spec.witx").write_text(text)
    return dump(load([folder / "spec.witx"]))


KINDS = {
    "u16": {"kind": "alias", "size": 2, "align": 2, "target": "u16"},
    "bool": {"kind": "alias", "size": 4, "align": 4, "target": "bool"},
    "(@witx usize)": {"kind": "alias", "size": 4, "align": 4, "target": "usize"},
    "$pair": {"kind": "alias", "size": 16, "align": 8, "target": "pair"},
    "string": {"kind": "string", "size": 8, "align": 4},
    "(handle)": {"kind": "handle", "size": 4, "align": 4},
    "(list $pair)": {"kind": "list", "size": 8, "align": 4, "element": "pair"},
    "(list (@witx usize))": {"kind": "list", "size": 8, "align": 4, "element": "usize"},
    "(list (list string))": {"kind": "list", "size": 8, "align": 4, "element": "(list string)"},
    "(@witx pointer u8)": {"kind": "pointer", "size": 4, "align": 4, "element": "u8"},
    "(@witx const_pointer (@witx pointer $pair))": {
        "kind": "const_pointer",
        "size": 4,
        "align": 4,
        "element": "(@witx pointer pair)",
    },
    "(record (field $a u8) (field $b u32))": {"kind": "record", "size": 8, "align": 4, "fields": {"a": 0, "b": 4}},
    "(tuple u8 u32)": {"kind": "tuple", "size": 8, "align": 4, "fields": {"0": 0, "1": 4}},
    "(enum (@witx tag u8) $b $a)": {"kind": "enum", "size": 1, "align": 1, "repr": "u8", "cases": ["b", "a"]},
    "(flags (@witx repr u16) $b $a)": {"kind": "flags", "size": 2, "align": 2, "repr": "u16", "flags": ["b", "a"]},
    "(union (@witx tag $tag) u64 u8)": {
        "kind": "union",
        "size": 16,
        "align": 8,
        "cases": ["x", "y"],
        "tag_size": 1,
        "payload_offset": 8,
    },
    "(union u8 u16)": {
        "kind": "union",
        "size": 8,
        "align": 4,
        "cases": ["0", "1"],
        "tag_size": 4,
        "payload_offset": 4,
    },
    "(variant (@witx tag $tag) (case $y u16) (case $x))": {
        "kind": "variant",
        "size": 4,
        "align": 2,
        "cases": ["x", "y"],
        "tag_size": 1,
        "payload_offset": 2,
    },
    "(variant (@witx tag $tag) (case $y) (case $x))": {
        "kind": "enum",
        "size": 1,
        "align": 1,
        "repr": "u8",
        "cases": ["x", "y"],
    },
    "(expected u64 (error u8))": {
        "kind": "expected",
        "size": 16,
        "align": 8,
        "cases": ["ok", "err"],
        "tag_size": 4,
        "payload_offset": 8,
    },
}


@pytest.mark.parametrize("text", KINDS)
def test_dump_of_each_kind_of_type(tmp_path: Path, text: str) -> None:
    before = "(typename $tag (enum (@witx tag u8) $x $y)) (typename $pair (tuple u64 u8))"
    types = dumped(tmp_path, f"{before} (typename $it {text})")["types"]
    assert isinstance(types, dict)
    assert list(types) == ["tag", "pair", "it"]
    assert types["it"] == KINDS[text]


def test_functions_and_constants(tmp_path: Path) -> None:
    text = """
    (typename $size u32) (typename $errno (enum $ok_ $bad))
    (@witx const $size $max 0xffff_ffff) (@witx const $size $min 0)
    (module $a (import "memory" (memory))
      (@interface func (export "f") (param $p string) (param $q f64) (result $r (expected $size (error $errno))))
      (@interface func (export "g") (@witx noreturn)))
    (module $b (@interface func (export "f") (result $r u64)))"""
    found = dumped(tmp_path, text)
    assert found["functions"] == {
        "f": {"module": "a", "params": ["i32", "i32", "f64", "i32"], "results": ["i32"]},
        "g": {"module": "a", "params": [], "results": []},
        "b.f": {"module": "b", "params": [], "results": ["i64"]},
    }
    assert found["constants"] == {"size.max": 0xFFFFFFFF, "size.min": 0}
    assert json.loads(json.dumps(found)) == found


def test_no_key_for_constants_where_there_are_none(tmp_path: Path) -> None:
    assert dumped(tmp_path, "") == {"types": {}, "functions": {}}
