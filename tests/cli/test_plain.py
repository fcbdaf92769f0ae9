"""`options.parse_plain` reads a command line as click does, or leaves it to click."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from wasihost.cli import click_app, options
from wasihost.engines import default_engine

GUEST = str(Path(__file__).resolve().parents[1] / "guests" / "empty.wat")
HERE = str(Path(__file__).parent)


def by_click(arguments: list[str]) -> options.RunArguments:
    """What click makes of it; click.UsageError where it is a mistake."""
    context = click_app.main.make_context("wasihost", list(arguments))
    name, command, rest = click_app.main.resolve_command(context, [*context._protected_args, *context.args])
    assert name == "run"
    assert command is not None
    params = command.make_context("run", rest, parent=context).params
    return options.RunArguments(**params)


@pytest.mark.parametrize(
    "arguments",
    [
        [GUEST],
        ["--", GUEST],
        [GUEST, "--dir", "x", "--", "-e", "", "--help"],
        ["--dir", HERE, GUEST],
        [f"--dir={HERE}::/a::b", GUEST, "a"],
        ["--dir", f"{HERE}::/a", "--ro-dir", HERE, "--dir", f"{HERE}::b", GUEST],
        ["--env", "A=1", "--env=B=2=3", "--env", "C=", GUEST],
        ["--env", "--dir=x", GUEST],
        ["--env", "HOME", "--env-inherit", "--argv0", "prog", GUEST],
        ["--timeout", "1.5", "--max-memory=64MiB", "--fuel", "1000", "--max-output", "10k", GUEST],
        ["--max-open-files", "9", "--no-cache", "--stats", "--invoke", "f", GUEST, "1"],
    ],
)  # fmt: skip
def test_plain_parser_and_click_read_the_same(arguments: list[str]) -> None:
    read = options.parse_plain(["run", *arguments])
    assert read is not None
    assert read == by_click(["run", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["run"],
        ["run", "--help"],
        ["run", "--dir"],
        ["run", "--dir", "/nowhere at all", GUEST],
        ["run", "--dir", f"::{HERE}", GUEST],
        ["run", "--env", "=A", GUEST],
        ["run", "--timeout", "soon", GUEST],
        ["run", "--max-memory", "64 apples", GUEST],
        ["run", "--stats=yes", GUEST],
        ["run", "--frob", GUEST],
        ["run", "-x", GUEST],
        ["run", "--di", HERE, GUEST],
        ["run", "/nowhere/guest.wasm"],
        ["run", HERE],
        ["walk", GUEST],
    ],
)
def test_plain_parser_leaves_the_rest_to_click(arguments: list[str]) -> None:
    assert options.parse_plain(arguments) is None


@pytest.mark.parametrize("arguments", [["run", "--env", "=A", GUEST], ["run", "--dir", "/nowhere at all", GUEST]])
def test_click_reports_bad_values(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError, match=r"is not NAME\[=VALUE\]|is not a directory"):
        by_click(arguments)


def modules_after(code: str) -> set[str]:
    """The modules of a new process after `code`, without those that every process has."""
    program = f"import sys\nbefore = {{*sys.modules}}\n{code}\nprint(*({{*sys.modules}} - before))"
    for _ in range(2):  # the first has to compile
        done = subprocess.run(
            [sys.executable, "-S", "-c", program],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


SLOW = {"click", "contextlib", "dataclasses", "hashlib", "importlib", "inspect", "logging", "re", "signal",
        "subprocess", "typing", "warnings", "wasmtime"}  # fmt: skip
"""Modules that a start does without: each takes as long as several of ours."""

RARE = {"descriptors.host_directory", "descriptors.python_stream", "sandbox.resolve", "config.streams", "cli.hints",
        "engines.wasmtime.compiling", "engines.wasmtime.linker", "guest.instance"}  # fmt: skip
"""Modules of ours that only some runs need."""


def test_a_plain_run_imports_nothing_slow(tmp_path: Path) -> None:
    guest = tmp_path / "empty.wasm"
    guest.write_bytes(default_engine().assemble(Path(GUEST).read_bytes(), "empty"))
    time.sleep(2.1)  # until then, a file is hashed at each run: it may still be changing
    run = "from wasihost.cli.launch import launch\nfrom wasihost.cli.options import parse_plain\n"
    run += f"assert launch(parse_plain(['run', {str(guest)!r}])) == 0"
    found = modules_after(run)
    assert not (SLOW | {f"wasihost.{name}" for name in RARE}) & found


def test_the_import_of_the_package_imports_nothing_slow() -> None:
    found = modules_after("import wasihost")
    assert not (SLOW | {"collections", "ctypes", "enum", "functools", "struct", "threading"}) & found
