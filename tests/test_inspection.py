"""`inspect` recommends what works, says what is in the way of the rest, and looks into components."""

from __future__ import annotations

import json
import random
import shlex
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.binary import HEADER, leb, section
from tests.support.guests import build_c, wat
from wasihost import ModuleError
from wasihost.cli.click_app import main
from wasihost.cli.options import parse_plain
from wasihost.engines.wasmtime.module import assemble
from wasihost.inspection import inspect

WASI = '(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'
MEMORY = '(memory (export "memory") 1)'
START = '(func (export "_start"))'
NAPI = """(module (import "env" "napi_create_object" (func (param i32 i32) (result i32)))
  (import "env" "memory" (memory 1 2 shared)) (func (export "malloc") (param i32) (result i32) (local.get 0)))"""
LEGACY = f'(module {MEMORY} (tag $t) (func (export "_start") try throw $t catch $t end))'


def how(text: str, name: str = "x.wasm") -> str:
    return inspect(text.encode(), name).how


# -- what is recommended -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (f"(module {WASI} {MEMORY} {START})", "wasihost run x.wasm"),
        ('(module (import "env" "memory" (memory 1)) (func $f) (start $f))', "wasihost run x.wasm"),
        (f'(module (import "up" "f" (func)) {MEMORY} {START})', "wasihost run --stub up x.wasm, if it never calls"),
        ('(module (func (export "add") (param i32 i32)) (func (export "malloc") (param i32)))',
         "wasihost run --invoke add x.wasm 0 0"),
        ('(module (func (export "take") (param i32)) (func (export "go")))', "wasihost run --invoke go x.wasm"),
        ('(module (func (export "a b")))', "wasihost run --invoke 'a b' x.wasm"),
        (f'(module {MEMORY} (func (export "_initialize")) (func (export "f")))',
         "wasihost run --invoke f x.wasm, or wasihost.instantiate('x.wasm')"),
    ],
)  # fmt: skip
def test_inspect_recommends_a_command_that_works(text: str, command: str) -> None:
    assert how(text).startswith(command)


@pytest.mark.parametrize(
    "text",
    [f"(module {WASI} {MEMORY} {START})", f'(module (import "up" "f" (func)) {MEMORY} {START})',
     '(module (func (export "add") (param i32 i64 f32) (result f64) (f64.const 1)))'],
)  # fmt: skip
def test_the_recommended_command_works(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wasihost.cli.launch import launch

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.wasm").write_bytes(assemble(text.encode(), "x"))
    words = shlex.split(how(text).partition(", if")[0])
    arguments = parse_plain(words[1:])
    assert arguments is not None
    assert launch(arguments) == 0


@pytest.mark.parametrize(
    ("text", "reason", "problem"),
    [
        (NAPI, "cannot be run here: ", "a shared memory"),
        (LEGACY, "see below", "convert it with binaryen's `wasm-opt --all-features --translate-to-exnref"),
        (f'(module (import "env" "t" (table 1 funcref)) {MEMORY} {START})', "see below", "env.t: an imported table"),
        (f"(module {WASI} {START})", "see below", "export memory: missing"),
        (f'(module {MEMORY} (func (export "_start") (param i32)))', "see below", "a command's is () -> ()"),
        (f'(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64) (result i32))) {MEMORY} {START})',
         "see below", "has type (i64) -> (i32), the specification says (i32) -> (i32)"),
        (f"(module {MEMORY})", "exports no function that takes and returns numbers", ""),
        ('(module (func (export "f") (param externref)))', "exports no function that takes and returns numbers", ""),
    ],
)  # fmt: skip
def test_inspect_does_not_recommend_what_cannot_work(text: str, reason: str, problem: str) -> None:
    report = inspect(text.encode(), "x.wasm")
    assert reason in report.how
    assert "wasihost run" not in report.text()
    assert "cannot be run here" in report.text().splitlines()[1]
    assert any(problem in one for one in report.problems) or not problem


def test_every_guest_of_ours_is_recommended() -> None:
    for path in (build_c("tool"), build_c("server"), wat("exit")):
        report = inspect(path.read_bytes(), path.name)
        assert (report.how, report.problems) == (f"wasihost run {path.name}", [])


def test_inspect_reads_standard_input() -> None:
    done = CliRunner().invoke(main, ["inspect", "-"], input=wat("exit").read_bytes())
    assert (done.exit_code, done.output.splitlines()[0]) == (0, "standard input: a command")


# -- components --------------------------------------------------------------------------------------------------------

COMPONENT = f"""(component
  (import "wasi:cli/environment@0.2.0" (instance (export "get" (func (result (list string))))))
  (import "wasi:io/streams@0.2.0" (instance (export "stream" (type (sub resource)))))
  (import "log" (func (param "text" string)))
  (core module (func (export "helper")))
  (core module {WASI} {MEMORY} {START})
  (component (core module (import "env" "f" (func)) {MEMORY}))
  (component (import "inner" (func)))
  (type $t u32)
  (instance $i (export "x" (type $t)))
  (export "wasi:cli/run@0.2.0" (instance $i)))"""


def test_a_component_is_looked_into() -> None:
    report = inspect(COMPONENT.encode(), "c.wasm")
    inner = report.component
    assert inner is not None
    assert inner.imports == ["wasi:cli/environment@0.2.0", "wasi:io/streams@0.2.0", "log"]
    assert inner.exports == ["wasi:cli/run@0.2.0"]
    assert [[item.module for item in one.imports] for one in inner.modules] == [[], ["wasi_snapshot_preview1"], ["env"]]
    text = report.text()
    assert text.splitlines()[0] == "c.wasm: a component (WASI preview2)"
    assert "build it for wasm32-wasip1; or take out core module 1, a command of WASI preview1" in report.how
    assert "wasm-tools component unbundle c.wasm" in report.how
    assert "1: " in text
    assert "imports from wasi_snapshot_preview1 (1); exports memory, _start" in text
    data = json.loads(report.json())["component"]
    assert data["imports"] == inner.imports
    assert [one["size"] > 8 for one in data["modules"]] == [True] * 3


def test_a_component_without_such_a_program() -> None:
    text = inspect(b'(component (core module (import "env" "f" (func))))', "c.wasm").how
    assert text == "cannot be run here: build it for wasm32-wasip1, which makes a core module, not a component"


def test_damaged_ones_are_module_errors() -> None:
    """Whatever the bytes are: a report or a ModuleError, soon."""
    chance = random.Random(14)
    for whole in (assemble(COMPONENT.encode(), "c"), build_c("tool").read_bytes()[:3000]):
        for cut in range(8, len(whole), max(1, len(whole) // 150)):
            _looked_at(whole[:cut])
        for _ in range(300):
            spoilt = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                spoilt[chance.randrange(8, len(spoilt))] = chance.choice(
                    (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
                )
            _looked_at(bytes(spoilt))


def _looked_at(code: bytes) -> None:
    try:
        report = inspect(code, "odd.wasm")
    except ModuleError:
        return
    assert report.text()
    assert json.loads(report.json())


def test_components_in_components_without_end() -> None:
    code = b"\0asm\x0d\0\x01\0"
    for _ in range(2000):
        size = bytes(((len(code) >> 7 * at) & 0x7F) | 0x80 for at in range(4)) + bytes((len(code) >> 28,))
        code = code[:8] + b"\x04" + size + code
    assert inspect(code, "c.wasm").component is not None
    many = b"\0asm\x0d\0\x01\0" + b"\x01\x08\0asm\x01\0\0\0" * 500
    inner = inspect(many, "c.wasm").component
    assert inner is not None
    assert (len(inner.modules), inner.more) == (64, 436)


def test_names_cannot_write_to_the_terminal() -> None:
    report = inspect(f'(module {MEMORY} (func (export "\\1b[31m")))'.encode(), "x\x1b[31m.wasm")
    assert "\x1b" not in report.text()


@pytest.mark.parametrize("what", ["imports", "exports"])
def test_many_of_one_long_type_make_no_long_report(what: str) -> None:
    """Names that are not told make some lines of each; a type of 20,000 parameters does not."""
    code = HEADER + section(1, b"\x60" + leb(20_000) + b"\x7f" * 20_000 + b"\0")
    if what == "imports":
        code += section(2, *([b"\1e\0\0\0"] * 5_000))
    else:
        code += section(3, b"\0") + section(7, *(leb(4) + b"%04d\0\0" % number for number in range(5_000)))
    report = inspect(code, "m")
    assert len(report.text()) < 2_000_000
    assert len(report.json()) < 3_000_000
    assert "and 19,968 more" in report.text()


def test_as_many_import_modules_as_imports_are_no_square() -> None:
    code = HEADER + section(1, b"\x60\0\0")
    code += section(2, *(leb(5) + b"%05d" % number + b"\1f\0\0" for number in range(50_000)))
    begun = time.process_time()
    text = inspect(code, "m").text()
    assert len(text) < 10 * len(code)
    assert text.endswith("more lines: --json has them")
    assert time.process_time() - begun < 10  # two minutes, if each looked at all
