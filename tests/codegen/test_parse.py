"""Text to syntax tree: words, strings, numbers, comments, docs and places."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from witxgen import syntax
from witxgen.errors import Source
from witxgen.model import Span
from witxgen.parse import parse
from witxgen.resolve import load


def items(text: str) -> tuple[syntax.Item, ...]:
    return parse(Source("spec.witx", text))


def typename(text: str) -> syntax.Typename:
    (item,) = items(text)
    assert isinstance(item, syntax.Typename)
    return item


def module(text: str) -> syntax.Module:
    (item,) = items(text)
    assert isinstance(item, syntax.Module)
    return item


def test_empty_text_and_comments() -> None:
    assert items("") == ()
    assert items(" \t\r\n;; only a comment\n(; and ;) (; another ;)") == ()


@pytest.mark.parametrize("name", ["2big", "in", "type", "record", "a-b.c/d", "x!#%&'*+<=>?@\\^_`|~:$", "0"])
def test_every_character_of_names(name: str) -> None:
    assert typename(f"(typename ${name} u32)").name.text == name


def test_keywords_are_whole_words() -> None:
    (first, second) = items("(typename $u8 u8)(typename $u80 $u8)")
    assert isinstance(first, syntax.Typename)
    assert isinstance(second, syntax.Typename)
    assert isinstance(second.type, syntax.Use)
    assert (first.name.text, second.name.text, second.type.name.text) == ("u8", "u80", "u8")


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("1_000", 1000),
        ("0xff", 255),
        ("0xFf_Ff", 65535),
        ("+5", 5),
        ("-5", -5),
        ("-0x10", -16),
        ("0xff00000000000002", 0xFF00000000000002),
    ],
)
def test_integers(literal: str, value: int) -> None:
    (item,) = items(f"(@witx const $t $n {literal})")
    assert isinstance(item, syntax.Constant)
    assert item.value == value


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("plain", "plain"),
        ("é", "é"),
        (r"\t\n\r\"\'\\", "\t\n\r\"'\\"),
        (r"\41\c3\a9", "Aé"),
        (r"\u{41}\u{1_f600}", "A😀"),
        (";; no comment", ";; no comment"),
        ("(; no comment", "(; no comment"),
        (r"\"(;", '"(;'),
    ],
)
def test_strings(literal: str, value: str) -> None:
    memory = module(f'(module $m (import "{literal}" (memory)))').items[0]
    assert isinstance(memory, syntax.Memory)
    assert memory.name.text == value


def test_block_comments_nest_and_hide_everything() -> None:
    text = """(typename (; one (; two ;; ;) " ) ;;; no doc
    ' ;) $x (;;;;) u32) (; (; (;;) ;) (typename $y u8) ;)"""
    found = typename(text)
    assert (found.name.text, found.docs) == ("x", "")
    assert found.name.span == Span("spec.witx", 2, 10)


def test_a_line_comment_hides_the_start_of_a_block() -> None:
    assert typename(";; (; \n(typename $x u32) ;; ;)").name.text == "x"


def test_docs_join_a_run_and_lose_their_margin() -> None:
    text = """
    ;;; First line.
    ;; a plain comment parts nothing
    ;;;   Indented.
    ;;;
    ;;; Last line. \t
    (typename $x u32)"""
    assert typename(text).docs == "First line.\n  Indented.\n\nLast line."


def test_docs_of_every_kind_of_item() -> None:
    text = """
    ;;; module
    (module $m
      ;;; memory
      (import "memory" (memory))
      ;;; function
      (@interface func (export "f")
        ;;; param
        (param $p u8)
        ;;; result
        (result $r u8)))"""
    found = module(text)
    function = found.items[1]
    assert isinstance(function, syntax.Function)
    docs = [found.docs, function.docs, function.params[0].docs, function.results[0].docs]
    assert docs == ["module", "function", "param", "result"]


def test_docs_inside_types() -> None:
    enum = typename("(typename $x (enum (@witx tag u8)\n;;; one\n$a $b\n;;; three\n$c))").type
    flags = typename("(typename $x (flags\n;;; one\n$a $b))").type
    record = typename("(typename $x (record\n;;; one\n(field $a u8) (field $b u8)))").type
    variant = typename("(typename $x (variant\n;;; one\n(case $a) (case $b u8)))").type
    union = typename("(typename $x (union\n;;; one\n$a\n;;; two\n(list u8) u8))").type
    assert isinstance(enum, syntax.Enum)
    assert isinstance(flags, syntax.Flags)
    assert isinstance(record, syntax.Record)
    assert isinstance(variant, syntax.Variant)
    assert isinstance(union, syntax.Union)
    assert [name.docs for name in enum.cases] == ["one", "", "three"]
    assert [name.docs for name in flags.flags] == ["one", ""]
    assert [field.docs for field in record.fields] == ["one", ""]
    assert [case.docs for case in variant.cases] == ["one", ""]
    assert union.docs == ("one", "two", "")


def test_docs_without_an_item_go_nowhere() -> None:
    text = "(typename $x (record (field $a u8)\n;;; nothing follows\n))\n;;; nor here"
    found = typename(text)
    assert isinstance(found.type, syntax.Record)
    assert (found.docs, found.type.fields[0].docs) == ("", "")


def test_docs_inside_an_item_are_not_its_own() -> None:
    found = typename("(typename\n;;; neither before the name\n$x\n;;; nor before the type\nu32)")
    assert found.docs == ""


def test_docs_do_not_outlive_their_parse() -> None:
    assert typename(";;; first\n(typename $x u8)").docs == "first"
    assert typename("\n(typename $x u8)").docs == ""


def test_places_count_characters_and_tabs_as_one() -> None:
    found = typename("(; é😀 ;)\t(typename $x\n\t(list $y))")
    assert found.name.span == Span("spec.witx", 1, 20)
    assert found.type.span == Span("spec.witx", 2, 2)
    assert isinstance(found.type, syntax.List)
    assert found.type.element.span == Span("spec.witx", 2, 8)


def test_the_forms_of_types() -> None:
    found = typename(
        """(typename $x (tuple string bool char (@witx char8) (@witx usize) (@witx pointer u8)
        (@witx const_pointer (@witx pointer u8)) (expected (error)) (expected u8 (error $e)) (handle) f32))"""
    ).type
    assert isinstance(found, syntax.Tuple)
    kinds = [type(member).__name__ for member in found.members]
    expected = ["String", "Builtin", "Builtin", "Builtin", "Builtin", "Pointer", "Pointer", "Expected", "Expected"]
    assert kinds == [*expected, "Handle", "Builtin"]
    assert [member.name for member in found.members if isinstance(member, syntax.Builtin)] == [
        *("bool", "char", "char8", "usize", "f32"),
    ]


def test_empty_forms_that_the_language_allows() -> None:
    for form in ("(union)", "(variant)", "(flags)", "(tuple)"):
        typename(f"(typename $x {form})")


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.witx").write_text(text)


def test_use_reads_each_file_once_and_in_place(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path, a='(typename $one u8) (use "inner/b.witx") (use "./c.witx") (typename $four $three)')
    write(tmp_path / "inner", b='(use "../c.witx") (typename $three $two)')
    write(tmp_path, c='(use "a.witx") (typename $two $one)')
    document = load([tmp_path / "a.witx", tmp_path / "inner/b.witx"])
    assert [definition.name for definition in document.types] == ["one", "two", "three", "four"]


def test_a_file_that_uses_itself(tmp_path: Path) -> None:
    write(tmp_path, a='(use "a.witx") (typename $x u8)')
    assert [definition.name for definition in load([tmp_path / "a.witx"]).types] == ["x"]


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.witx").write_bytes(b"\xef\xbb\xbf(typename $x u8)")
    assert load([tmp_path / "a.witx"]).types[0].span.column == 11


def test_modules_that_use_names_of_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        common="""(module $common (resource $r) (typename $h (handle $r))
            (typename $size u32) (@witx const $size $max 9))""",
        middle="(module $middle (use * from $common) (typename $own (handle $r)))",
        top="(module $top (use $own ($size as $length) from $middle) (typename $pair (tuple $own $length)))",
    )
    document = load([tmp_path / "top.witx"])
    assert [definition.name for definition in document.types] == ["h", "size", "own", "length", "pair"]
    assert [module.name for module in document.modules] == ["common", "middle", "top"]
    assert [(c.type.name, c.name, c.value) for c in document.constants] == [("size", "max", 9)]


def test_the_model_keeps_docs_and_places(tmp_path: Path) -> None:
    write(
        tmp_path,
        a=';;; A module.\n(module $m (import "memory" (memory))\n;;; A function.\n(@interface func (export "f")))',
    )
    (found,) = load([tmp_path / "a.witx"]).modules
    assert (found.docs, found.memories, found.span.line) == ("A module.", ("memory",), 2)
    assert (found.functions[0].docs, found.functions[0].span.column) == ("A function.", 26)


def test_threads_do_not_mix_up_doc_comments() -> None:
    texts = {name: "\n".join(f";;; {name} {i}\n(typename ${name}{i} u8)" for i in range(60)) for name in ("one", "two")}
    alone = {name: parse(Source(name, text)) for name, text in texts.items()}
    order = list(texts) * 12
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda name: parse(Source(name, texts[name])), order))
    assert together == [alone[name] for name in order]
