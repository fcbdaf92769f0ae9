"""Names of modules and files are escaped in messages: nothing in a message controls a terminal."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import wasihost
from wasihost.cli import click_app
from wasihost.cli.launch import launch
from wasihost.cli.options import parse_plain

EVIL = "\x1b]0;title\x07\x1b[2J\nwasihost: a forged line\u202e\x85\u2028"
HEX = "".join(f"\\{byte:02x}" for byte in EVIL.encode())
MEMORY = '(memory (export "memory") 1)'
TEXTS = {
    "import": f'(module (import "{HEX}" "{HEX}" (func)) {MEMORY} (func (export "_start")))',
    "import of WASI": f'(module (import "wasi_snapshot_preview1" "{HEX}" (func)) {MEMORY} (func (export "_start")))',
    "global": f'(module (import "env" "{HEX}" (global i32)) {MEMORY} (func (export "_start")))',
    "memory": f'(module (import "env" "{HEX}" (memory 1)) (func (export "_start")))',
    "exports": f'(module {MEMORY} (func (export "{HEX}")))',
    "type": f'(module {MEMORY} (func (export "{HEX}") (param v128)) (func (export "_start") unreachable))',
    "twice": f'(module {MEMORY} (func (export "{HEX}")) (func (export "{HEX}")))',
    "function": f'(module $"{HEX}" {MEMORY} (func $"{HEX}" (export "_start") unreachable))',
    "start": f'(module $"{HEX}" {MEMORY} (func $"{HEX}" unreachable) (start $"{HEX}"))',
    "no such name": f'(module (func (call $"{HEX}")))',
    "no text": f"(module (func {EVIL}))",
}


@pytest.fixture(autouse=True)
def own_handler() -> Iterator[None]:
    """The command changes what Ctrl-C does."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def check(said: str) -> None:
    odd = {one for one in said if not one.isprintable() and one != "\n"}
    assert not odd, said
    assert not any(line.strip().startswith(("wasihost: a forged", "a forged")) for line in said.splitlines()), said


@pytest.mark.parametrize("kind", TEXTS)
def test_names_in_a_module(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = TEXTS[kind]
    said: list[str] = []

    def call_all() -> None:
        with wasihost.instantiate(text, cache=False) as guest:
            said.append(repr(guest) + repr(guest.exports))
            for name in list(guest.exports):
                said.append(repr(guest.exports[name]))
                guest.exports[name](1, 2, 3)

    ways: list[Callable[[], object]] = [
        lambda: wasihost.run(text, cache=False),
        lambda: wasihost.run(text, cache=False, imports=wasihost.Imports.stub("env")),
        lambda: wasihost.Module(text, cache=False, on_compile=lambda event: said.append(str(event))),
        lambda: wasihost.run(text, cache=False, imports=wasihost.Imports("env")),
        call_all,
    ]
    for way in ways:
        try:
            way()
        except (wasihost.WasihostError, TypeError, AttributeError, KeyError) as error:
            said += [str(error), *getattr(error, "__notes__", [])]
    check("\n".join([*said, caplog.text]))


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("file", ["m.wat", f"m{EVIL}.wat"])
def test_names_at_the_command(
    kind: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(TEXTS[kind])
    for options in ([], ["--invoke", "none"], ["--stub", "env"], ["--stats"], ["--preload", f"env={file}"]):
        order = parse_plain(["run", "--no-cache", *options, file])
        assert order is not None
        launch(order)
    captured = capsys.readouterr()
    check(captured.out + captured.err)
    runner = CliRunner()
    check(runner.invoke(click_app.main, ["inspect", file]).output)
    done = runner.invoke(click_app.main, ["inspect", "--json", file])
    check(done.output)
    if done.exit_code == 0:
        assert json.loads(done.output)


@pytest.mark.parametrize(
    "content", [EVIL.encode(), b"\0asm\1\0\0\0" + EVIL.encode(), b"\0asm" + EVIL.encode(), b"#!x", b""]
)
def test_names_of_files(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = f"m{EVIL}.wasm"
    Path(file).write_bytes(content + EVIL.encode())
    order = parse_plain(["run", "--no-cache", file])
    assert order is not None
    assert launch(order) == 2
    os.unlink(file)
    assert launch(order) == 2
    check(capsys.readouterr().err)
    Path(file).write_bytes(content + EVIL.encode())
    check(CliRunner().invoke(click_app.main, ["inspect", file]).output)


def test_messages_of_a_damaged_archive(caplog: pytest.LogCaptureFixture) -> None:
    from wasihost.vfs.foreign import _log_cause

    _log_cause(ValueError(EVIL), EVIL)
    check(caplog.text)
