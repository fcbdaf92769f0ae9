"""Mistakes on the command line: one line says what is wrong and what to type."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guests import build_c, wat
from wasihost.cli.readers import seconds
from wasihost.config.mistakes import not_wasm

TOOL = Path(build_c("tool")).read_bytes()
ADD = """(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "half") (param f64)))"""

Command = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def wasihost(tmp_path: Path) -> Command:
    """The command, in a folder with tool.wasm, add.wat, a folder `d` with a file `f`, and in.txt."""
    (tmp_path / "tool.wasm").write_bytes(TOOL)
    (tmp_path / "add.wat").write_text(ADD)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("in d")
    (tmp_path / "in.txt").write_text("hello")

    def run(*arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "wasihost", *arguments], input=content, capture_output=True, cwd=tmp_path,
            check=False, timeout=60,
        )  # fmt: skip

    return run


def message(done: subprocess.CompletedProcess[bytes], status: int) -> str:
    """The last line on standard error, which is the only one of ours."""
    text = done.stderr.decode()
    assert done.returncode == status, text
    assert "Traceback" not in text
    assert text.count("wasihost: ") <= 1
    return text.splitlines()[-1] if text else ""


# -- what may be left out or written otherwise -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["tool.wasm", "exit", "3"], ["--timeout", "10s", "tool.wasm", "exit", "3"], ["--dir=.", "tool.wasm", "exit", "3"],
     ["--no-cache", "--env", "A=1", "tool.wasm", "exit", "3"], ["run", "tool.wasm", "exit", "3"]],
)  # fmt: skip
def test_the_word_run_may_be_left_out(wasihost: Command, arguments: list[str]) -> None:
    done = wasihost(*arguments)
    assert (done.returncode, done.stderr) == (3, b"")


def test_the_module_from_standard_input(wasihost: Command) -> None:
    for arguments in (["run", "-"], ["-"], ["--timeout", "20", "-"], ["run", "--stats", "-"]):
        done = wasihost(*arguments, "args", content=TOOL)
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"guest"), done.stderr
    assert "not WebAssembly: empty" in message(wasihost("run", "-"), 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("2.5", 2.5), ("10s", 10), ("300ms", 0.3), ("5m", 300), ("1h", 3600), ("1e1", 10), (" 7 s", 7),
     ("0", 0), ("soon", None), ("-1", None), ("nan", None), ("inf", None), ("", None), ("s", None), ("3 days", None)],
)  # fmt: skip
def test_times(text: str, value: float | None) -> None:
    assert seconds(text) == (None if value is None else pytest.approx(value))


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--dir", "d:/x", "tool.wasm"], "write two colons between host and guest directory: --dir d::/x"),
        (["run", "--dir", "d:/x:ro", "tool.wasm"], "write two colons between host and guest directory: --ro-dir d::/x"),
        (["run", "--ro-dir", "d:/x", "tool.wasm"], "--ro-dir d::/x"),
        (["--dir", "in.txt", "tool.wasm"], "'in.txt' is not a directory; pass the one that it lies in: --dir ."),
        (["run", "--dir", "nowhere", "tool.wasm"], "'nowhere' is not a directory on this machine"),
        (["run", "--timeout", "soon", "tool.wasm"], "'soon' is not SECONDS, such as 10, 2.5, 300ms or 5m"),
        (["run", "--max-memory", "64 apples", "tool.wasm"], "is not SIZE, such as 65536, 64KiB or 1GiB"),
        (["run", "--fuel", "-3", "tool.wasm"], "'-3' is not N, a whole number, 0 or more"),
        (["run", "--tcplisten", "8080", "tool.wasm"], "'8080' is not HOST:PORT, such as 127.0.0.1:8080"),
        (["run", "--preload", "lib.wasm", "tool.wasm"], "is not NAME=FILE, such as lib=lib.wasm"),
        (["run", "--timeuot", "3", "tool.wasm"], "No such option.*--timeuot"),
        (["run", "nosuch.wasm"], "'nosuch.wasm' does not exist"),
        (["nosuch.wasm"], "'nosuch.wasm' does not exist"),
        (["inspct", "tool.wasm"], "No such command 'inspct'"),
        (["run", "d"], "'d' is a directory"),
        (["run", "--invoke", "add", "add.wat", "1"], "--invoke add(i32, i32) takes 2 numbers after the module's name, "
         "and 1 was given"),
        (["run", "--invoke", "add", "add.wat", "1", "2", "3"], "takes 2 numbers after the module's name, and 3 were"),
        (["run", "--invoke", "add", "add.wat", "1", "x"], "i32 are whole numbers, and 'x' is not one"),
        (["run", "--invoke", "add", "add.wat", "1", "1.5"], "i32 are whole numbers, and '1.5' is not one"),
        (["run", "--invoke", "half", "add.wat", "x"], "f64 are numbers, and 'x' is not one"),
        (["run", "--invoke", "add", "add.wat", "1", "4294967296"], "is not an i32: from -2147483648 to 4294967295"),
        (["run", "--invoke", "ad", "add.wat"], "export ad: missing; .*; did you mean add"),
        (["run", "--invoke", "zzz", "add.wat"], "the module has no such function; it has add, half"),
        (["run", "add.wat"], "add.wat: export _start: missing; the module exports the functions add, half: "
         "call them by --invoke NAME, or by wasihost.instantiate"),
    ],
)  # fmt: skip
def test_bad_arguments_get_one_line(wasihost: Command, arguments: list[str], words: str) -> None:
    text = message(wasihost(*arguments), 2)
    assert words in text or re.search(words, text), text


def test_numbers_as_the_function_takes_them(wasihost: Command) -> None:
    assert wasihost("run", "--invoke", "add", "add.wat", "0x10", "-2").stdout == b"14\n"
    assert wasihost("run", "--invoke", "half", "add.wat", "0x10").returncode == 0


def test_a_variable_that_is_not_set(wasihost: Command) -> None:
    done = wasihost("run", "--env", "NOT_SET_HERE", "tool.wasm")
    assert "--env NOT_SET_HERE: there is no such variable here" in message(done, 0)
    assert message(done, 0).endswith("--env NOT_SET_HERE=VALUE")


# -- files that are not modules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (gzip.compress(TOOL), "compressed by gzip: unpack it with gunzip"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"#!/bin/sh\nexec wasmtime x\n", "a script: give the module that it runs"),
        (b"\x7fELF\x02\x01\x01\0", "a program of a machine's own kind"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        (b"  <!DOCTYPE html>", "a web page"),
        (b"fn main() {}\n", "a text that begins with 'fn main() {}'; one of WebAssembly begins with '(module'"),
        (b"\x00\x01\x02\xff", "begins with b'\\x00\\x01\\x02\\xff' instead of b'\\x00asm'"),
        (b"\x1b[31mred\n", "begins with"),
    ],
)
def test_files_that_are_not_modules(wasihost: Command, tmp_path: Path, content: bytes, words: str) -> None:
    assert words in not_wasm(content)
    assert not_wasm(content).isprintable()
    (tmp_path / "guest.wasm").write_bytes(content)
    if content[:2] in (b"", b"\x1f\x8b"):
        for arguments in (["run"], ["inspect"]):
            assert f"guest.wasm: not WebAssembly: {not_wasm(content)}" in message(
                wasihost(*arguments, "guest.wasm"), 1 if arguments == ["inspect"] else 2
            )


# -- a file that the guest cannot see ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tool.wasm", "show", "in.txt"], "no directory that 'in.txt' lies in: try --dir . (or --ro-dir .)"),
        (["tool.wasm", "show", "./in.txt"], "try --dir . (or"),
        (["tool.wasm", "show", "d/f"], "'d/f' lies in: try --dir d (or"),
        (["--dir", "d", "tool.wasm", "show", "in.txt"], "'in.txt' lies in: try --dir . (or"),
        (["--dir", "d", "tool.wasm", "show", "f"], "the guest has 'f' as 'd/f'"),
        (["--ro-dir", "d::/x", "tool.wasm", "show", "d/f"], "the guest has 'd/f' as '/x/f': it sees 'd' as '/x'"),
        (["tool.wasm", "files", "d/new"], "'d/new' lies in: try --dir d (or"),
        (["tool.wasm", "show", "--input=d/f"], "'d/f' lies in: try --dir d (or"),
        (["--timeout", "20", "tool.wasm", "show", "HERE/in.txt"], "lies in: try --dir HERE (or --ro-dir HERE)"),
    ],
)
def test_hint_for_an_unreachable_file(wasihost: Command, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = wasihost("run", *(one.replace("HERE", str(tmp_path)) for one in arguments))
    assert words.replace("HERE", str(tmp_path)) in message(done, 9)
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 2  # the guest's own, and the hint


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["tool.wasm", "exit", "4"], 4),  # an argument that is not a path
        (["tool.wasm", "args", "in.txt"], 0),  # all is well
        (["--dir", ".", "tool.wasm", "show", "none.txt"], 9),  # in a directory of the guest's
        (["--dir", "d::/x", "tool.wasm", "show", "/x/none"], 9),
        (["--dir", "d::.", "tool.wasm", "show", "none"], 9),
        (["tool.wasm", "show", "nowhere/x"], 9),  # nor is it here
        (["tool.wasm", "show", ""], 9),
    ],
)
def test_no_hint_where_it_would_be_wrong(wasihost: Command, arguments: list[str], status: int) -> None:
    done = wasihost("run", *arguments)
    assert b"wasihost: " not in done.stderr
    assert done.returncode == status


def test_a_hint_after_a_trap(wasihost: Command) -> None:
    """A program of Rust's that unwraps what it could not open ends so."""
    done = wasihost("run", str(wat("trap")), "in.txt")
    assert done.returncode == 134
    assert done.stderr.decode().splitlines()[-1].endswith("'in.txt' lies in: try --dir . (or --ro-dir .)")
