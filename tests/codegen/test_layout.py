"""Size, alignment and offsets, by the rules and not by the preview1 tables (test_published_layout.py has those)."""

from __future__ import annotations

from pathlib import Path

import pytest
from witxgen.layout import Layout, VariantLayout, record_offsets, round_up, size_align, variant_layout
from witxgen.model import Document, Expected, Record, Variant
from witxgen.resolve import load


def document(folder: Path, text: str) -> Document:
    (folder / "spec.witx").write_text(text)
    return load([folder / "spec.witx"])


@pytest.mark.parametrize(
    ("text", "size", "align"),
    [
        *((name, 1, 1) for name in ("u8", "s8", "(@witx char8)")),
        *((name, 2, 2) for name in ("u16", "s16")),
        *((name, 4, 4) for name in ("u32", "s32", "f32", "char", "bool", "(@witx usize)", "(handle)")),
        *((name, 8, 8) for name in ("u64", "s64", "f64")),
        *((name, 8, 4) for name in ("string", "(list u8)", "(list u64)")),
        *((name, 4, 4) for name in ("(@witx pointer u64)", "(@witx const_pointer u8)")),
        ("(enum $a)", 4, 4),
        ("(enum (@witx tag u8) $a)", 1, 1),
        ("(enum (@witx tag u64) $a)", 8, 8),
        ("(flags $a)", 4, 4),
        ("(flags (@witx repr u16) $a)", 2, 2),
        ("(tuple)", 0, 1),
        ("(tuple u8 u16 u8)", 6, 2),
        ("(record (field $a u8) (field $b u64) (field $c u8))", 24, 8),
        ("(record (field $a (tuple u8 u8 u8)) (field $b u8))", 4, 1),
        ("(variant)", 4, 4),
        ("(variant (@witx tag u8) (case $a))", 1, 1),
        ("(union (@witx tag u8) u8 u16)", 4, 2),
        ("(expected (error))", 4, 4),
        ("(expected u64 (error u8))", 16, 8),
    ],
)
def test_size_and_alignment(tmp_path: Path, text: str, size: int, align: int) -> None:
    (definition,) = document(tmp_path, f"(typename $x {text})").types
    assert size_align(definition.type) == Layout(size, align)


def test_names_do_not_change_a_layout(tmp_path: Path) -> None:
    types = document(tmp_path, "(typename $a (tuple u8 u64)) (typename $b $a) (typename $c (tuple $b u8))").types
    assert [size_align(definition.type) for definition in types] == [(16, 8), (16, 8), (24, 8)]


def test_offsets_of_a_record(tmp_path: Path) -> None:
    text = "(typename $x (record (field $a u8) (field $b u32) (field $c u16) (field $d string) (field $e u64)))"
    record = document(tmp_path, text).types[0].type
    assert isinstance(record, Record)
    assert record_offsets(record) == {"a": 0, "b": 4, "c": 8, "d": 12, "e": 24}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The widest payload is not the strictest: 8 + 17 bytes, rounded up to 8.
        ("(union (@witx tag u8) u64 $seventeen)", VariantLayout(1, 8, 32, 8)),
        ("(union (@witx tag u8) u8 $seventeen)", VariantLayout(1, 1, 18, 1)),
        ("(union (@witx tag u64) u8)", VariantLayout(8, 8, 16, 8)),
        ("(variant (@witx tag u16) (case $a) (case $b u8))", VariantLayout(2, 2, 4, 2)),
        ("(expected u64 (error))", VariantLayout(4, 8, 16, 8)),
        ("(expected (error u16))", VariantLayout(4, 4, 8, 4)),
    ],
)
def test_tagged_types(tmp_path: Path, text: str, expected: VariantLayout) -> None:
    seventeen = "(typename $seventeen (tuple" + " u8" * 17 + "))"
    variant = document(tmp_path, f"{seventeen} (typename $x {text})").types[1].type
    assert isinstance(variant, Variant | Expected)
    assert variant_layout(variant) == expected
    assert size_align(variant) == (expected.size, expected.align)


def test_types_built_on_types_take_no_time(tmp_path: Path) -> None:
    lines = ["(typename $t0 u8)", *(f"(typename $t{i} (tuple $t{i - 1} $t{i - 1}))" for i in range(1, 33))]
    assert size_align(document(tmp_path, "\n".join(lines)).types[-1].type) == Layout(1 << 32, 1)


def test_a_long_chain_of_names(tmp_path: Path) -> None:
    lines = ["(typename $t0 u16)", *(f"(typename $t{i} $t{i - 1})" for i in range(1, 3000))]
    assert size_align(document(tmp_path, "\n".join(lines)).types[-1].type) == Layout(2, 2)


@pytest.mark.parametrize(("offset", "align", "rounded"), [(0, 8, 0), (1, 1, 1), (1, 8, 8), (8, 8, 8), (9, 4, 12)])
def test_rounding_up(offset: int, align: int, rounded: int) -> None:
    assert round_up(offset, align) == rounded
