"""Every error of the front half, to the letter: place, message, source line, caret and note.

The cases are in data/syntax_errors.txt and data/meaning_errors.txt, each a text and what `load` says to it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from witxgen.errors import WitxError
from witxgen.resolve import load

DATA = Path(__file__).parent / "data"


def cases(name: str) -> list[tuple[str, str, str]]:
    """Name, text and error of each case of a data file."""
    found = []
    for part in f"\n{(DATA / name).read_text()}".split("\n=== ")[1:]:
        title, _, rest = part.partition("\n")
        text, _, error = rest.partition("\n--- error\n")
        found.append((title, text, error.strip("\n")))
    return found


def error_of(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> str:
    """What `load` says to a file `spec.witx` of this text."""
    monkeypatch.chdir(folder)
    Path("spec.witx").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WitxError) as caught:
        load([Path("spec.witx")])
    return str(caught.value)


ALL = [case for name in ("syntax_errors.txt", "meaning_errors.txt") for case in cases(name)]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in ALL], ids=[case[0] for case in ALL])
def test_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str) -> None:
    assert error_of(tmp_path, monkeypatch, text) == expected


def test_the_tables_are_read_whole() -> None:
    names = [case[0] for case in ALL]
    assert len(names) == len(set(names))
    assert len(names) > 80


@pytest.mark.parametrize("kind", ["enum (@witx tag u8)", "union (@witx tag u8)", "variant (@witx tag u8)"])
def test_more_cases_than_the_tag_has_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    case = {"e": "$c{}", "u": "u8", "v": "(case $c{})"}[kind[0]]
    lines = [case.format(index) for index in range(256)]
    Path(tmp_path / "fits.witx").write_text(f"(typename $x ({kind}\n" + "\n".join(lines) + "))")
    load([tmp_path / "fits.witx"])
    said = error_of(tmp_path, monkeypatch, f"(typename $x ({kind}\n" + "\n".join([*lines, case.format(256)]) + "))")
    place = "7" if kind[0] == "v" else "1"
    assert said.startswith(
        f"spec.witx:258:{place}: error: 257 cases do not fit u8, which numbers 256; this is the first"
    )


def test_control_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = error_of(tmp_path, monkeypatch, "(typename $x \x01)")
    assert said.startswith("spec.witx:1:14: error: unexpected character U+0001\n")


def test_text_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = error_of(tmp_path, monkeypatch, b";; \xc3\xa9\n;; \xc3\xa9 \xff!\n")
    assert said == "spec.witx:2:6: error: byte 0xff is not UTF-8; save the file as UTF-8\n;; é �!\n     ^"


def test_types_that_nest_too_deeply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = error_of(tmp_path, monkeypatch, "(typename $x " + "(list " * 5000 + "u8" + ")" * 5001)
    assert said.startswith("spec.witx:1:1: error: types nest too deeply\n")


def test_a_type_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["(typename $t0 u8)", *(f"(typename $t{i} (tuple $t{i - 1} $t{i - 1}))" for i in range(1, 34))]
    said = error_of(tmp_path, monkeypatch, "\n".join(lines))
    assert said.startswith("spec.witx:34:11: error: `$t33` takes 8589934592 bytes, more than a 32-bit memory has\n")


def test_a_path_that_no_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = error_of(tmp_path, monkeypatch, r'(use "a\00b")')
    assert said.startswith("spec.witx:1:6: error: cannot read ")


def test_a_module_whose_name_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = error_of(tmp_path, monkeypatch, "(module $m (use $a from $x/y))")
    assert said.startswith(
        "spec.witx:1:25: error: there is no module `$x/y` before this one, and no x/y.witx beside it\n"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WitxError) as caught:
        load([tmp_path / "none.witx"])
    assert str(caught.value) == f"{tmp_path}/none.witx: error: cannot read this file: No such file or directory"
    assert (caught.value.line, caught.value.column) == (0, 0)


def test_a_folder_in_place_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    said = error_of(tmp_path, monkeypatch, '(use "folder")')
    assert said == 'spec.witx:1:6: error: cannot read folder: Is a directory\n(use "folder")\n     ^'


def test_an_error_in_a_used_file_names_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/types.witx").write_text("(typename $x $y)")
    said = error_of(tmp_path, monkeypatch, '(use "inner/types.witx")')
    assert said == "inner/types.witx:1:14: error: unknown name `$y`\n(typename $x $y)\n             ^"


def test_a_repetition_across_files_shows_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "types.witx").write_text("\n(typename $x u8)")
    said = error_of(tmp_path, monkeypatch, '(use "types.witx") (typename $x u16)')
    assert said == (
        "spec.witx:1:30: error: the name `$x` is already defined\n"
        '(use "types.witx") (typename $x u16)\n'
        "                             ^\n"
        "types.witx:2:11: note: `$x` is first defined here, as a type\n"
        "(typename $x u8)\n"
        "          ^"
    )


def test_line_ends_of_windows_do_not_reach_the_excerpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = error_of(tmp_path, monkeypatch, "(typename $a u8)\r\n(typename $x $y)\r\n")
    assert said == "spec.witx:2:14: error: unknown name `$y`\n(typename $x $y)\n             ^"
