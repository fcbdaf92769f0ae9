"""`--handlers`, `--hooks` and `--trace`: what a command line says about the guest's calls."""

from __future__ import annotations

import json
import os
import re
import signal
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

def broken(call, proceed):
    return {}["missing"]

def forgetful(call, proceed):
    proceed()

class Silent:
    on = "fd_write"
    def __call__(self, call, proceed):
        return sum(map(len, call.iovs)) if call.fd == 2 else proceed()

class Unlucky(FdFunctions):
    def __init__(self):
        raise ValueError("no luck")
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
    assert "--trace looks at a guest in this process: leave out --isolate" in done.stderr


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--hooks", "broken", "own.py, line 14, in broken: KeyError: 'missing'"),
        ("--hooks", "forgetful", "TypeError: the hook forgetful returned None for args_sizes_get: let it return"),
        ("--handlers", "Unlucky", "in __init__: ValueError: no luck"),
    ],
)
def test_an_error_in_own_code_is_one_line_with_its_place(
    command: Command, option: str, name: str, message: str
) -> None:
    done = command("run", option, f"own:{name}", "tool.wasm", "both")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process is of POSIX systems")
@pytest.mark.usefixtures("command")
def test_ctrl_c_keeps_what_is_made_at_the_end(tmp_path: Path) -> None:
    at_the_end = ["--record", "c.cassette", "--profile", "p.json", "--trace-summary", "--overlay", ".", "--diff"]
    for options in (at_the_end, ["--learn", "l.toml"], ["--overlay", "."]):
        line = [sys.executable, "-m", "wasihost", "run", *options, "tool.wasm", "spin"]
        with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as guest:
            try:
                assert guest.stdout
                assert guest.stdout.readline() == "spinning\n"
                guest.send_signal(signal.SIGINT)
                errors = guest.communicate(timeout=20)[1]
                assert guest.returncode == -signal.SIGINT, errors
                assert ("total" in errors) is (options is at_the_end)
            finally:
                guest.kill()
    assert '"end"' in (tmp_path / "c.cassette").read_text()
    assert json.loads((tmp_path / "p.json").read_text())
    assert "version = 1" in (tmp_path / "l.toml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learn", "d"], "learn cannot be d: it is a folder; give a file in it"),
        (["--record", "d"], "the cassette d cannot be used: it is a folder; give a file"),
        (["--trace", "--isolate"], "--trace looks at a guest in this process: leave out --isolate"),
        (["--trace=%faild"], "the filter of a trace cannot have '%faild': give %failed, or names of functions"),
        (["--replay", "none"], "there is no cassette none: record it first, with record= or --record"),
    ],
)
def test_what_cannot_be_made_at_the_end_is_said_before_the_guest_runs(
    command: Command, tmp_path: Path, options: list[str], message: str
) -> None:
    (tmp_path / "d").mkdir()
    done = command("run", *options, "tool.wasm", "both")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"wasihost: {message}\n")
