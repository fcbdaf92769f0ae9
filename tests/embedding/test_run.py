"""wasihost.run: shaped like subprocess.run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.support.guests import build_c, wat
from wasihost import (
    DEVNULL,
    INHERIT,
    PIPE,
    STDOUT,
    CalledProcessError,
    CompletedProcess,
    ConfigError,
    LinkError,
    Module,
    ModuleConfig,
    ModuleError,
    TrapError,
    run,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))


ECHO = build_c("echo")
NAME = ECHO.name

# -- arguments and environment -----------------------------------------------------------------------------------------


def outputs(done: CompletedProcess[Any]) -> tuple[object, object]:
    return done.stdout, done.stderr


def lines(done: CompletedProcess[bytes]) -> list[str]:
    assert done.returncode == 0
    assert done.stdout is not None
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("config", "args", "expected"),
    [
        (None, None, [NAME]),
        (None, ["a", "", "é"], [NAME, "a", "", "é"]),
        (None, [b"bytes"], [NAME, "bytes"]),
        (ModuleConfig().with_name("prog"), None, ["prog"]),
        (ModuleConfig().with_name("prog"), ["a"], ["prog", "a"]),
        (ModuleConfig().with_args("zero", "one"), None, ["zero", "one"]),
        (ModuleConfig().with_args("zero", "one"), ["two"], [NAME, "two"]),
        (ModuleConfig().with_args("zero", "one").with_name("prog"), [], ["prog"]),
    ],
)
def test_args(config: ModuleConfig | None, args: Any, expected: list[str]) -> None:
    done = run(ECHO, config, args=args, capture_output=True)
    assert lines(done) == expected
    assert done.args == expected


def test_args_are_not_one_string() -> None:
    for args in ("-c", b"-c"):
        with pytest.raises(ConfigError, match=r"not one string: args=\[b?'-c'\]"):
            run(ECHO, args=args)  # type: ignore[arg-type]  # bytes are no sequence of arguments


def test_env_replaces_that_of_the_config() -> None:
    config = ModuleConfig().with_args("echo", "env").with_env("A", "1").with_env("A", "2")
    assert lines(run(ECHO, config, capture_output=True)) == ["A=1", "A=2"]
    assert lines(run(ECHO, config, env={"B": "3"}, capture_output=True)) == ["B=3"]
    assert lines(run(ECHO, config, env={}, capture_output=True)) == []
    assert config.environ == (b"A=1", b"A=2")


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"input": b"abc"}, {"stdin": b"abc"}, {"stdin": io.BytesIO(b"abc")}])
def test_input(given: dict[str, Any]) -> None:
    assert run(ECHO, args=["cat"], stdout=PIPE, **given).stdout == b"abc"


def test_streams_are_empty_and_discarded_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    done = run(ECHO, args=["cat"])
    assert outputs(done) == (None, None)
    run(ECHO, args=["both"])
    assert capfd.readouterr() == ("", "")


def test_options_override_the_config() -> None:
    kept: list[bytes] = []
    config = ModuleConfig().with_stdin(b"config").with_stdout(kept.append)
    run(ECHO, config, args=["cat"])
    assert b"".join(kept) == b"config"
    assert run(ECHO, config, args=["cat"], input=b"given", stdout=PIPE).stdout == b"given"
    assert run(ECHO, config, args=["cat"], stdin=DEVNULL, stdout=PIPE).stdout == b""
    run(ECHO, config, args=["both"], stdout=DEVNULL)
    assert b"".join(kept) == b"config"


def test_capturing() -> None:
    done = run(ECHO, args=["both"], capture_output=True)
    assert outputs(done) == (b"to output\n", b"to error\n")
    done = run(ECHO, args=["both"], stderr=PIPE)
    assert outputs(done) == (None, b"to error\n")
    joined = run(ECHO, args=["both"], stdout=PIPE, stderr=STDOUT)
    assert outputs(joined) == (b"to output\nto error\n", None)


def test_callables_and_files(tmp_path: Path) -> None:
    kept: list[bytes] = []
    with (tmp_path / "out").open("wb") as out:
        run(ECHO, args=["both"], stdout=out, stderr=kept.append)
        assert not out.closed
    assert (tmp_path / "out").read_bytes() == b"to output\n"
    assert kept == [b"to error\n"]


def test_inheriting(capfd: pytest.CaptureFixture[str]) -> None:
    run(ECHO, args=["both"], stdout=INHERIT, stderr=INHERIT)
    assert capfd.readouterr() == ("to output\n", "to error\n")
    run(ECHO, args=["both"], stdout=INHERIT, stderr=STDOUT)
    assert capfd.readouterr() == ("to output\nto error\n", "")
    run(ECHO, args=["both"], stderr=STDOUT)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"input": b"", "stdin": b""}, "either input or stdin"),
        ({"input": "text"}, "give bytes"),
        ({"capture_output": True, "stdout": PIPE}, "leave out stdout and stderr"),
        ({"capture_output": True, "stderr": STDOUT}, "leave out stdout and stderr"),
        ({"stdin": STDOUT}, "stdin cannot be -2"),
        ({"stdout": STDOUT}, "stdout cannot be -2"),
        ({"stdout": 10**9}, "stdout cannot be 1000000000"),
        ({"stderr": "text"}, "standard error cannot be 'text'"),
        ({"env": {"A=": "x"}}, "cannot be called 'A='"),
        ({"args": ["a\0b"]}, "NUL"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        run(ECHO, **given)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 125, 255, 256, 2**31 - 1])
def test_returncode(code: int) -> None:
    assert run(ECHO, args=["exit", str(code)]).returncode == code


def test_check() -> None:
    assert run(ECHO, args=["exit", "0"], check=True).returncode == 0
    with pytest.raises(CalledProcessError) as caught:
        run(ECHO, args=["exit", "7"], check=True, capture_output=True)
    error = caught.value
    assert (error.returncode, error.cmd, error.stdout, error.stderr) == (7, (NAME, "exit", "7"), b"", b"")
    assert str(error) == f"guest '{NAME} exit 7' exited with status 7"
    with pytest.raises(CalledProcessError):
        run(ECHO, args=["exit", "7"]).check_returncode()


def test_a_completed_process_shows_what_it_has() -> None:
    assert repr(CompletedProcess(["a"], 3, None, b"x")) == "CompletedProcess(args=['a'], returncode=3, stderr=b'x')"


NAMED_TRAP = b"""(module $guest (memory (export "memory") 1)
  (func $inner unreachable) (func $outer (call $inner)) (func (export "_start") (call $outer)))"""


def test_a_trap_names_the_functions() -> None:
    with pytest.raises(TrapError) as caught:
        run(NAMED_TRAP)
    assert caught.value.kind == "unreachable"
    assert [frame.function for frame in caught.value.backtrace][:2] == ["inner", "outer"]
    assert "wasm backtrace:" in str(caught.value)
    assert "outer" in str(caught.value)


def test_a_bad_pointer_is_a_trap_that_names_it() -> None:
    guest = b"""(module
      (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start") (drop (call $random (i32.const -1) (i32.const 2)))))"""
    with pytest.raises(TrapError, match="random_get: buf: bytes 0xffffffff to 0x100000001 are outside") as caught:
        run(guest)
    assert isinstance(caught.value.__cause__, wasihost.GuestFault)


@pytest.mark.parametrize(
    ("module", "error", "reason"),
    [
        (b"", ModuleError, "empty"),
        (b"#!/bin/sh", ModuleError, "not WebAssembly"),
        (b"\0asm\x0d\0\1\0", ModuleError, "component"),
        (b"\0asm\1\0\0\0\xff", ModuleError, "not a valid module"),
        (b"(module (nonsense))", ModuleError, "not valid WebAssembly text"),
        (b"(module)", LinkError, "memory"),
        (b'(module (memory (export "memory") 1))', LinkError, "_start"),
        (
            b'(module (import "env" "f" (func)) (memory (export "memory") 1) (func (export "_start")))',
            LinkError,
            "env.f",
        ),
    ],
)
def test_modules_that_are_not_commands_are_refused(module: bytes, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        run(module)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "none.wasm")


def broken(_data: Any) -> Any:
    raise ZeroDivisionError("in the embedder's stream")


class Reader:
    read = staticmethod(broken)


@pytest.mark.parametrize("given", [{"args": ["both"], "stdout": broken}, {"args": ["both"], "stderr": broken},
                                   {"args": ["cat"], "stdin": Reader()}])  # fmt: skip
def test_an_exception_of_a_stream_reaches_the_caller_with_its_traceback(given: dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError, match="in the embedder's stream") as caught:
        run(ECHO, **given)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[0] == "test_an_exception_of_a_stream_reaches_the_caller_with_its_traceback"
    assert frames[-1] == "broken"


def test_an_oserror_of_a_stream_is_the_guest_s_to_handle() -> None:
    def gone(_data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    assert run(ECHO, args=["both"], stdout=gone, stderr=PIPE).stderr == b"to error\n"


# -- modules -----------------------------------------------------------------------------------------------------------

MODULES: dict[str, Callable[[], Any]] = {
    "Path": lambda: ECHO,
    "str": lambda: str(ECHO),
    "bytes": ECHO.read_bytes,
    "Module": lambda: Module(ECHO),
}


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("cache", [True, False])
def test_every_kind_of_module(kind: str, cache: bool) -> None:
    done = run(MODULES[kind](), args=["args"], capture_output=True, cache=cache)
    assert lines(done) == ["guest" if kind == "bytes" else NAME, "args"]


def test_a_file_of_a_package_or_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(ECHO, "in/echo.wasm")
    done = run(zipfile.Path(tmp_path / "a.zip", "in/echo.wasm"), args=["args"], capture_output=True)
    assert lines(done) == ["echo.wasm", "args"]


def test_text_form(tmp_path: Path) -> None:
    assert run(wat("empty")).returncode == 0
    text = '(module (memory (export "memory") 1) (func (export "_start")))'
    assert run(text.encode()).returncode == 0
    assert run(text).returncode == 0
    (tmp_path / "guest").write_text(text)
    assert run(tmp_path / "guest").returncode == 0


# -- directories -------------------------------------------------------------------------------------------------------


def test_directories(tmp_path: Path) -> None:
    config = ModuleConfig().with_host_directory_preopen("/out", tmp_path)
    done = run(ECHO, config, args=["files", "/out/f"], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"written\n")
    assert (tmp_path / "f").read_bytes() == b"written"
    assert run(ECHO, config, args=["files", "/elsewhere/f"]).returncode == 9
    assert run(ECHO, args=["files", "/out/f"]).returncode == 9


@pytest.mark.parametrize("mode", ["w", "r+", "a"])
def test_a_read_only_directory_tells_a_c_program_so(tmp_path: Path, mode: str) -> None:
    (tmp_path / "f").write_bytes(b"as it was")
    config = ModuleConfig().with_read_only_fs("/out", tmp_path)
    done = run(ECHO, config, args=["open", "/out/f", mode], capture_output=True)
    assert (done.returncode, done.stderr) == (9, b"/out/f: Read-only file system\n")
    assert (tmp_path / "f").read_bytes() == b"as it was"
    assert run(ECHO, config, args=["open", "/out/f", "r"]).returncode == 0


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot mount"):
        run(ECHO, ModuleConfig().with_host_directory_preopen("/", tmp_path / "none"))


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    config = ModuleConfig().with_host_directory_preopen("/", tmp_path)
    run(ECHO, config, args=["files", "/f"])  # the first run opens what stays
    before = sorted(os.listdir("/proc/self/fd"))
    run(ECHO, config, args=["files", "/f"])
    run(ECHO, config, args=["exit", "3"])
    with pytest.raises(TrapError):
        run(NAMED_TRAP, config)
    with pytest.raises(ZeroDivisionError):
        run(ECHO, config, args=["both"], stdout=broken)
    with pytest.raises(LinkError):
        run(b"(module)", config)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_importing_wasihost_imports_no_engine() -> None:
    code = "import sys, wasihost; print([name for name in sys.modules if 'wasmtime' in name or name == 'click'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
