"""`--handlers`, `--hooks` and `--trace`: what a command line says about the guest's calls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guests import build_c
from wasihost import WasihostError
from wasihost.cli.calls import with_calls
from wasihost.cli.options import RunArguments
from wasihost.config import ModuleConfig

OWN = """
from wasihost.handlers import FdFunctions

class Loud(FdFunctions):
    def fd_write(self, fd, iovs):
        return super().fd_write(fd, [memoryview(b"".join(iovs).upper())])

def twice(call, proceed):
    if call.function == "fd_write" and call.fd == 1:
        proceed()
    return proceed()

class Silent:
    on = "fd_write"
    def __call__(self, call, proceed):
        return sum(map(len, call.iovs)) if call.fd == 2 else proceed()
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command in a folder with tool.wasm and own.py."""
    (tmp_path / "tool.wasm").write_bytes(Path(build_c("tool")).read_bytes())
    (tmp_path / "own.py").write_text(OWN)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "wasihost", *arguments]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    return run


def test_handlers_and_hooks_are_loaded_by_name(command: Command) -> None:
    done = command(
        "--handlers", "own:Loud", "--hooks", "own:twice", "--hooks=own:Silent", "tool.wasm", "both"
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "TO OUTPUT\n" * 2, "")


def test_a_trace_goes_to_a_file_or_to_standard_error(command: Command, tmp_path: Path) -> None:
    done = command("--trace=fd_write", "--trace-to", "calls", "--trace-format", "json", "tool.wasm", "both")
    assert (done.returncode, done.stdout, done.stderr) == (0, "to output\n", "to error\n")
    first, second = map(json.loads, (tmp_path / "calls").read_text().splitlines())
    assert (first["arguments"]["fd"], first["result"], second["result"]) == (1, 10, 9)
    done = command("run", "--trace", "--trace-summary", "tool.wasm", "exit", "3")
    assert (done.returncode, done.stdout) == (3, "")
    assert re.search(r"^proc_exit\(3\) = \? <0\.\d{6}>$", done.stderr, re.MULTILINE)
    assert re.search(r"^100\.00 .* total$", done.stderr, re.MULTILINE)


def test_a_run_is_recorded_and_replayed(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content")
    done = command("--record", "calls", "--dir", ".", "tool.wasm", "show", "a.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "content", "")
    done = command("--replay", "calls", "tool.wasm", "show", "a.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "content", "")
    done = command("--replay", "calls", "tool.wasm", "show", "b.txt")
    assert done.returncode == 2
    assert done.stderr.startswith("wasihost: the cassette calls has no guest with the arguments ['show', 'b.txt'];")
    (tmp_path / "calls").write_text((tmp_path / "calls").read_text().replace('"a.txt"', '"x.txt"'))
    done = command("--replay", "calls", "tool.wasm", "show", "x.txt")
    assert done.returncode == 2
    assert "at call 7, path_open: path is " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (RunArguments(hooks=("no_such_module:f",)), "there is no module no_such_module; is it in this folder"),
        (RunArguments(hooks=("json:nothing",)), "--hooks json:nothing: json has no nothing"),
        (RunArguments(handlers=("json:dumps",)), "handlers cannot be dumps: give a class"),
        (RunArguments(handlers=("json:JSONDecoder",)), "handlers cannot be the class JSONDecoder"),
        (RunArguments(hooks=("json:load",)), r"takes \(fp\), and is called with \(call, proceed\)"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(arguments: RunArguments, message: str) -> None:
    with pytest.raises(WasihostError, match=message):
        with_calls(ModuleConfig(), arguments)


def test_options_of_a_trace_need_one(command: Command) -> None:
    done = command("--trace-to", "calls", "tool.wasm")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("add --trace or --trace-summary\n")
    done = command("--isolate", "--trace", "tool.wasm")
    assert done.returncode == 2
    assert "run in this process, and an isolated guest runs in another" in done.stderr
