"""witx/ states what the official files state, in our own words: compared declaration by declaration.

The official files are no part of this repository. They are looked for in the folder that WASI_OFFICIAL_SPEC names, else
beside the repository; a folder that was named and is not there is an error, and only the other case is a skip.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from witxgen.compare import compare, main, official_folder
from witxgen.model import Document, Enum, Flags, Record, Type, Variant
from witxgen.resolve import load

ROOT = Path(__file__).resolve().parents[2]
WITX = ROOT / "witx"
PREVIEWS = ("preview0", "preview1")

per_preview = pytest.mark.parametrize("preview", PREVIEWS)


@pytest.fixture(scope="module")
def official() -> Path:
    """The folder of the official files."""
    named = os.environ.get("WASI_OFFICIAL_SPEC")
    folder = Path(named) if named else ROOT.parent / "shared" / "spec"
    if not named and not folder.is_dir():
        pytest.skip("no official files: set WASI_OFFICIAL_SPEC to a copy of them")
    return folder


@cache
def document(folder: Path) -> Document:
    return load(sorted(folder.glob("*.witx")))


@per_preview
def test_declarations_are_the_official_ones(preview: str, official: Path) -> None:
    assert compare(document(WITX / preview), document(official_folder(official, preview))) == []


def test_preview0_differs_from_preview1_in_this_only() -> None:
    assert compare(document(WITX / "preview0"), document(WITX / "preview1")) == [
        "`sock_accept` is missing from the flags of the type `rights`.",
        "The cases of the type `whence` are in another order: `cur` comes where `set` officially does.",
        "The type `linkcount` is `u32`, officially `u64`.",
        "`identifier` is not official among the fields of the type `subscription_clock`.",
        "`wasi_snapshot_preview1` is missing from the modules.",
        "`wasi_unstable` is not official among the modules.",
    ]


MODULE = "wasi_snapshot_preview1"
CHANGES: dict[str, tuple[str, str, list[str]]] = {
    "case renamed": (
        r"\$nxio\b",
        "$nixo",
        [
            "`nxio` is missing from the cases of the type `errno`.",
            "`nixo` is not official among the cases of the type `errno`.",
        ],
    ),
    "cases swapped": (
        r"\$cur\b((?:.|\n)*?)\$end\b",
        r"$end\1$cur",
        ["The cases of the type `whence` are in another order: `end` comes where `cur` officially does."],
    ),
    "field of another type": (
        r"\(field \$nlink \$linkcount\)",
        "(field $nlink $filesize)",
        ["The field `nlink` of the type `filestat` is `$filesize`, officially `$linkcount`."],
    ),
    "field missing": (
        r"\(field \$d_ino \$inode\)",
        "",
        ["`d_ino` is missing from the fields of the type `dirent`."],
    ),
    "flags in another width": (
        r"(\$sdflags\s+\(flags \(@witx repr) u8",
        r"\1 u16",
        ["The type `sdflags` is `flags of u16`, officially `flags of u8`."],
    ),
    "enum in another width": (
        r"(\$clockid\s+\(enum \(@witx tag) u32",
        r"\1 u8",
        ["The type `clockid` is `enum of u8`, officially `enum of u32`."],
    ),
    "payload of another type": (
        r"(\(union \(@witx tag \$preopentype\)(?:.|\n)*?)\$prestat_dir\b",
        r"\1$size",
        ["The case `dir` of the type `prestat` is `$size`, officially `$prestat_dir`."],
    ),
    "alias of another type": (
        r"\(typename \$exitcode u32\)",
        "(typename $exitcode s32)",
        ["The type `exitcode` is `s32`, officially `u32`."],
    ),
    "types swapped": (
        r"\(typename \$filesize u64\)((?:.|\n)*?)\(typename \$timestamp u64\)",
        r"(typename $timestamp u64)\1(typename $filesize u64)",
        ["The types are in another order: `timestamp` comes where `filesize` officially does."],
    ),
    "function missing": (
        r'\(@interface func \(export "sched_yield"\)(?:.|\n)*?\n  \)\n',
        "",
        [f"`sched_yield` is missing from the functions of the module `{MODULE}`."],
    ),
    "functions swapped": (
        r'"fd_close"((?:.|\n)*?)"fd_datasync"',
        r'"fd_datasync"\1"fd_close"',
        [
            f"The functions of the module `{MODULE}` are in another order: "
            "`fd_datasync` comes where `fd_close` officially does."
        ],
    ),
    "parameter of another type": (
        r"\(param \$in \(@witx const_pointer",
        "(param $in (@witx pointer",
        [
            "The parameter `in` of the function `poll_oneoff` is `(@witx pointer $subscription)`, "
            "officially `(@witx const_pointer $subscription)`."
        ],
    ),
    "result of another type": (
        r"\(tuple \$size \$roflags\)",
        "(tuple $size $size)",
        [
            "The function `sock_recv` is "
            "`function (result $error (expected (tuple $size $size) (error $errno)))`, officially "
            "`function (result $error (expected (tuple $size $roflags) (error $errno)))`."
        ],
    ),
    "result missing": (
        r"\(@witx noreturn\)",
        "",
        ["The function `proc_exit` is `function`, officially `function (@witx noreturn)`."],
    ),
    "memory of another name": (
        r'\(import "memory" ',
        '(import "mem" ',
        [
            f"`memory` is missing from the memory imports of the module `{MODULE}`.",
            f"`mem` is not official among the memory imports of the module `{MODULE}`.",
        ],
    ),
    "comments only": (r"(?m);;;.*$", ";;; Something else.", []),
}
"""Hand-made changes of preview1: a pattern, what replaces it, and what `compare` has to say."""


def changed_copy(change: str, target: Path) -> None:
    """Copy witx/ and make one of the changes in its preview1."""
    shutil.copytree(WITX, target)
    pattern, replacement, _ = CHANGES[change]
    made = 0
    for path in (target / "preview1").iterdir():
        text, times = re.subn(pattern, replacement, path.read_text("utf-8"))
        path.write_text(text, "utf-8")
        made += times
    assert made == 1 or change == "comments only"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_named(change: str, tmp_path: Path) -> None:
    changed_copy(change, tmp_path / "witx")
    found = compare(load(sorted((tmp_path / "witx" / "preview1").glob("*.witx"))), document(WITX / "preview1"))
    assert found == CHANGES[change][2]


def test_command_says_what_it_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(WITX), str(WITX)]) == 0
    lines = [
        f"{WITX / preview} against {WITX / preview}: no differences ({counts})\n"
        for preview, counts in (
            ("preview0", "46 types, 1 module, 45 functions, 0 constants"),
            ("preview1", "46 types, 1 module, 46 functions, 0 constants"),
        )
    ]
    assert capsys.readouterr() == ("".join(lines), "")


@pytest.mark.parametrize("place", ["{}", "{}/witx", "legacy/{}/witx"])
def test_command_accepts_a_checkout(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for preview in PREVIEWS:
        shutil.copytree(WITX / preview, tmp_path / place.format(preview))
    assert main([str(WITX), str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("no differences") == 2
    assert str(tmp_path / place.format("preview1")) in printed.out
    assert printed.err == ""


def test_command_prints_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed_copy("field missing", tmp_path / "witx")
    assert main([str(tmp_path / "witx"), str(WITX)]) == 1
    summary, difference = capsys.readouterr().out.splitlines()[1:]
    assert summary.startswith(f"{tmp_path / 'witx' / 'preview1'} against {WITX / 'preview1'}: 1 difference (")
    assert difference == "preview1: `d_ino` is missing from the fields of the type `dirent`."


@pytest.mark.parametrize("arguments", [[], [str(WITX)], [str(WITX), "no-such-folder"], ["no-such-folder", str(WITX)]])
def test_command_refuses_what_it_cannot_compare(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def test_command_refuses_invalid_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "preview1"
    folder.mkdir()
    (folder / "broken.witx").write_text("(typename $x", "utf-8")
    assert main([str(tmp_path), str(WITX)]) == 2
    assert "broken.witx:1:" in capsys.readouterr().err


@per_preview
def test_everything_is_documented(preview: str) -> None:
    documented = list(comments(document(WITX / preview)))
    assert [name for name, docs in documented if not docs.strip()] == []
    assert len(documented) > 400


@per_preview
def test_comments_are_our_own(preview: str, official: Path) -> None:
    theirs = comment_lines(official_folder(official, preview))
    ours = comment_lines(WITX / preview)
    assert [line for line in ours if len(line) > 40 and line in set(theirs)] == []
    # Neither are sentences taken over across line ends or with small changes: no eight words follow each other alike.
    copied = runs(theirs)
    assert sorted(" ".join(run) for run in runs(ours) if run in copied) == []


def comments(document: Document) -> Iterator[tuple[str, str]]:
    """Everything that has a name or a place of its own, with its documentation."""
    for definition in document.types:
        yield definition.name, definition.docs
        for name, docs in members(definition.type):
            yield f"{definition.name}.{name}", docs
    for module in document.modules:
        yield module.name, module.docs
        for function in module.functions:
            yield function.name, function.docs
            for param in function.params:
                yield f"{function.name}({param.name})", param.docs
            if function.result is not None:
                yield f"{function.name}() -> {function.result.name}", function.result.docs


def members(type_: Type) -> Iterator[tuple[str, str]]:
    match type_:
        case Enum(cases=cases) | Variant(cases=cases) | Flags(flags=cases):
            yield from ((case.name, case.docs) for case in cases)
        case Record(fields=fields, is_tuple=False):
            yield from ((field.name, field.docs) for field in fields)


def comment_lines(folder: Path) -> list[str]:
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("*.witx"))]
    return [line.lstrip("; ").rstrip() for text in texts for line in re.findall(r";;.*", text)]


def runs(lines: list[str]) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9_:']+", " ".join(lines).lower())
    return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}
