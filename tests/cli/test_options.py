"""The options of `wasihost run`, `inspect` and `cache`, each run in a separate process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.binary import SLOW_TO_COMPILE, command
from tests.support.guests import GUESTS, build_c
from tests.support.terminals import terminal

TOOL = str(build_c("tool"))
BIG = build_c("bench")
SERVER = str(build_c("server"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "compiled-cli"
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(folder))
    return folder


def wasihost(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wasihost", *arguments],
        input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("what", [["spin"], ["sleep", "60"]])
def test_a_timeout(what: list[str]) -> None:
    begin = time.perf_counter()
    done = wasihost("run", "--timeout", "0.3", TOOL, *what)
    assert time.perf_counter() - begin < 5
    assert done.returncode == 124
    assert done.stdout in ("spinning\n", "sleeping\n")
    assert done.stderr.endswith("ended after 0.3 seconds\n")


def test_a_timeout_ends_a_read_from_a_terminal() -> None:
    ours, theirs = terminal()
    try:
        command = [sys.executable, "-m", "wasihost", "run", "--timeout", "0.3", TOOL, "cat"]
        assert subprocess.run(command, stdin=theirs, check=False, capture_output=True, timeout=30).returncode == 124
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_guest_that_ends_in_time_keeps_its_status() -> None:
    assert wasihost("run", "--timeout", "30", TOOL, "exit", "5").returncode == 5


def test_limits() -> None:
    done = wasihost("run", "--fuel", "1000", TOOL, "args")
    assert (done.returncode, "(limit: fuel)" in done.stderr) == (125, True)
    assert wasihost("run", "--fuel", "100000000", TOOL, "exit", "4").returncode == 4
    done = wasihost("run", "--max-memory", "64KiB", TOOL, "args")
    assert (done.returncode, "(limit: memory)" in done.stderr) == (125, True)
    done = wasihost("run", "--max-output", "5", TOOL, "both")
    assert (done.returncode, done.stdout, "(limit: output)" in done.stderr) == (125, "to ou", True)
    assert wasihost("run", "--max-output", "1k", TOOL, "both").stdout == "to output\n"


def test_limits_of_compiling(tmp_path: Path) -> None:
    (tmp_path / "slow.wasm").write_bytes(SLOW_TO_COMPILE)
    done = wasihost("run", "--no-cache", "--compile-timeout", "400ms", str(tmp_path / "slow.wasm"))
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "its compile_timeout" in done.stderr
    if sys.platform == "linux":
        (tmp_path / "large.wasm").write_bytes(command(b"", b"\x41\0\x28\2\0\x1a" * 700_000))
        done = wasihost("run", "--no-cache", "--compile-memory", "64MiB", str(tmp_path / "large.wasm"))
        assert (done.returncode, done.stderr.count("\n")) == (125, 1)
        assert "its compile_memory" in done.stderr


def test_a_limit_of_output_and_a_reader_that_does_not_read() -> None:
    reads, writes = os.pipe()
    command = [sys.executable, "-m", "wasihost", "run", "--timeout", "0.3", "--max-output", "100MiB", SERVER, "cat"]
    begin = time.perf_counter()
    with open("/dev/zero", "rb") as zeros, subprocess.Popen(command, stdin=zeros, stdout=writes) as guest:
        assert guest.wait(10) == 124
    assert time.perf_counter() - begin < 10
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize("size", ["0", "1", "70000", "1000000"])
def test_a_limit_of_output_is_met_exactly(size: str) -> None:
    done = subprocess.run([sys.executable, "-m", "wasihost", "run", "--max-output", size, SERVER, "cat"],
                          input=bytes(1_000_001), capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (125, bytes(int(size)))


@pytest.mark.parametrize("options", [(), ("--stats",)])
def test_a_timeout_is_for_the_whole_run(options: tuple[str, ...], tmp_path: Path) -> None:
    """A start section and a start function that sleep 0.3 s each."""
    (tmp_path / "two.wat").write_text("""(module
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 16) "\\01") (data (i32.const 24) "\\00\\a3\\e1\\11")
      (func $rest (drop (call $poll (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 400))))
      (start $rest) (func (export "_start") (call $rest)))""")
    assert wasihost("run", *options, "--timeout", "0.45", str(tmp_path / "two.wat")).returncode == 124
    assert wasihost("run", *options, "--timeout", "30", str(tmp_path / "two.wat")).returncode == 0


def test_numbers_that_are_too_long_are_reported() -> None:
    for option, value in (("--tcplisten", "127.0.0.1:" + "1" * 5000), ("--fuel", "9" * 5000)):
        done = wasihost("run", option, value, TOOL)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert wasihost("run", "--timeout", "1e300", TOOL, "exit", "3").returncode == 3


def test_open_files(tmp_path: Path) -> None:
    assert wasihost("run", "--max-open-files", "4", "--dir", f"{tmp_path}::/", TOOL, "files", "/f").returncode == 9
    assert wasihost("run", "--max-open-files", "5", "--dir", f"{tmp_path}::/", TOOL, "files", "/f").returncode == 0


def test_the_environment_and_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSED", "yes")
    echo = str(build_c("echo"))
    assert wasihost("run", "--env", "PASSED", "--env", "UNSET_HERE", echo, "env").stdout == "PASSED=yes\n"
    assert "PASSED=yes\n" in wasihost("run", "--env-inherit", echo, "env").stdout
    assert wasihost("run", echo, "env").stdout == ""
    assert wasihost("run", "--argv0", "prog", TOOL, "args").stdout == "prog\nargs\n"


ADDER = """(module (memory (export "memory") 1)
  (func (export "_initialize")) (func (export "nothing"))
  (func (export "add") (param i32 f64) (result i32 f64) (local.get 0) (f64.add (local.get 1) (f64.const 0.5))))"""


def test_invoke(tmp_path: Path) -> None:
    module = tmp_path / "adder.wat"
    module.write_text(ADDER)
    assert wasihost("run", "--invoke", "add", str(module), "0x10", "2").stdout == "16\n2.5\n"
    assert wasihost("run", "--invoke", "nothing", str(module)).stdout == ""
    for arguments, words in ((("add", "x", "1"), "'x' is not one"), (("sub",), "export sub")):
        done = wasihost("run", "--invoke", arguments[0], str(module), *arguments[1:])
        assert done.returncode == 2
        assert words in done.stderr


def test_stats(tmp_path: Path) -> None:
    done = wasihost("run", "--stats", "--dir", f"{tmp_path}::/", TOOL, "files", "/f")
    assert done.returncode == 0
    for words in ("wall time", "peak memory", "fd_write", "path_open", "paths\n  f"):
        assert words in done.stderr


def test_a_profile(tmp_path: Path) -> None:
    files = tmp_path / "a.html", tmp_path / "a.json"
    guest = str(GUESTS / "profiled.wat")
    done = wasihost("run", *(f"--profile={file}" for file in files), "--dir", f"{tmp_path}::/", guest)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "store::add(int)" in files[0].read_text()
    assert "store::add(int)" in json.loads(files[1].read_text())["threads"][0]["stringArray"]
    refused = wasihost("run", "--profile", "a.txt", guest)
    assert refused.returncode == 2
    assert "ends in .html or .json" in refused.stderr
    refused = wasihost("run", "--profile", "a.html", "--isolate", guest)
    assert refused.returncode == 2
    assert "leave out --isolate" in refused.stderr


def test_the_cache(own_cache: Path) -> None:
    assert wasihost("run", TOOL).returncode == 0
    assert list(own_cache.glob("*.cwasm"))
    assert str(own_cache) in wasihost("cache", "info").stdout
    cleared = wasihost("cache", "clear").stdout.splitlines()
    assert cleared[0].endswith(f"in {own_cache}")
    assert cleared[1].startswith("removed ")
    assert [entry.name for entry in own_cache.iterdir()] == ["CACHEDIR.TAG"]
    assert wasihost("run", "--no-cache", TOOL).returncode == 0
    assert list(own_cache.glob("*.cwasm")) == []
    assert "modules  0" in wasihost("cache", "info").stdout


def test_inspect(tmp_path: Path) -> None:
    done = wasihost("inspect", TOOL)
    assert "a command" in done.stdout
    assert f"wasihost run {Path(TOOL).name}" in done.stdout
    assert "fd_write(i32, i32, i32, i32) -> (i32)" in done.stdout
    data = json.loads(wasihost("inspect", "--json", TOOL).stdout)
    assert {one["module"] for one in data["imports"]} == {"wasi_snapshot_preview1"}
    assert data["exports"]["memory"] == " (memory)"
    assert data["problems"] == []
    (tmp_path / "r.wat").write_text(ADDER)
    assert "a reactor" in wasihost("inspect", str(tmp_path / "r.wat")).stdout
    assert "preview0" in wasihost("inspect", str(GUESTS / "unstable.wat")).stdout
    (tmp_path / "odd.wat").write_text('(module (import "env" "f" (func)) (import "wasi" "thread-spawn" (func)) '
                                      '(import "env" "memory" (memory 1 2 shared)))')  # fmt: skip
    odd = wasihost("inspect", str(tmp_path / "odd.wat")).stdout
    for words in ("env.f: from the embedder", "wasi-threads", "a shared memory"):
        assert words in odd
    (tmp_path / "old.wat").write_text('(module (import "env" "memory" (memory 1)) (func $f) (start $f))')
    old = wasihost("inspect", str(tmp_path / "old.wat")).stdout
    assert "a command of the old kind" in old
    assert "not served here" not in old


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0asm\x0d\0\x01\0", "a component"),
        (b"\0asm\x01\0\0\0\x02\xff\xff", "in the middle"),
        (b"GIF89a", "not WebAssembly"),
    ],
)
def test_inspect_files_that_are_not_modules(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "odd.wasm").write_bytes(content)
    done = wasihost("inspect", str(tmp_path / "odd.wasm"))
    assert words in done.stdout + done.stderr


def test_ctrl_c_with_a_timeout_is_still_ctrl_c() -> None:
    guest = subprocess.Popen([sys.executable, "-m", "wasihost", "run", "--timeout", "60", TOOL, "spin"],
                             stdout=subprocess.PIPE)  # fmt: skip
    assert guest.stdout
    assert guest.stdout.readline() == b"spinning\n"
    guest.send_signal(signal.SIGINT)
    assert guest.wait(5) == -signal.SIGINT
    guest.stdout.close()


def test_compiling_is_shown_on_a_terminal_if_it_takes_long() -> None:
    """The delay is made short here; the other tests of standard error see that nothing is printed otherwise."""
    code = (
        "from wasihost.cli import progress; progress.DELAY = 0.0\n"
        "from wasihost.cli.launch import launch; from wasihost.cli.options import RunArguments\n"
        f"launch(RunArguments(module={str(BIG)!r}, args=('none',)))"
    )
    ours, theirs = terminal()
    guest = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # the other end has gone
        pass
    guest.wait(30)
    os.close(ours)
    assert b"compiling bench" in said
    assert b"\r" in said


def test_isolate(tmp_path: Path) -> None:
    done = wasihost("run", "--isolate", "--stats", "--dir", f"{tmp_path}::/", TOOL, "files", "/f")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "f").read_text() == "written"
    assert "held by      rlimits, " in done.stderr
    done = wasihost("run", "--isolate", "--timeout", "300ms", TOOL, "spin")
    assert (done.returncode, done.stdout) == (124, "spinning\n")
    assert wasihost("run", "--isolate", TOOL, "exit", "7").returncode == 7
    done = wasihost("run", "--isolate", "--invoke", "f", TOOL)
    assert done.returncode == 2
    assert "--isolate is for a program that stands alone" in done.stderr
