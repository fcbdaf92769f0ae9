"""Modules of the spec before preview1: `wasi_unstable`, recognised by their imports."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import wasmtime

from tests.support.binary import leb
from tests.support.guests import build_c, wat
from wasihost import ExitError, LinkError, MemoryFS, ModuleConfig, State, TrapError, run
from wasihost.engines.wasmtime.linker import define
from wasihost.trace import TracedCall

GUEST = wat("unstable")


def test_files_seeking_status_and_polling(tmp_path: Path) -> None:
    begin = time.perf_counter()
    assert run(GUEST, dirs={"/": tmp_path}).returncode == 0
    assert time.perf_counter() - begin >= 0.005
    assert (tmp_path / "file").read_bytes() == b"hello"
    fs = MemoryFS()
    calls: list[TracedCall] = []
    run(GUEST, fs=fs, trace=calls.append)
    assert fs["file"] == b"hello"
    assert [call.text for call in calls if call.call.function in ("fd_seek", "poll_oneoff", "fd_close")] == [
        "fd_seek(4</file>, -2, END) = 3",
        "fd_seek(4</file>, 1, CUR) = 4",
        "fd_seek(4</file>, 2, SET) = 2",
        "poll_oneoff([{CLOCK, MONOTONIC, 5000000}, {FD_READ, 4</file>}], 2) = 1",
        "poll_oneoff([{CLOCK, MONOTONIC, 5000000}], 1) = 1",
        "fd_close(99) = BADF",
        "fd_close(4</file>) = 0",
    ]


def test_a_program_of_both_specs(tmp_path: Path) -> None:
    done = run(build_c("older"), dirs={"/box": tmp_path}, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"as it has to be\n", b"")
    assert (tmp_path / "other").read_bytes() == b"hello"
    fs = MemoryFS()
    done = run(build_c("older"), ModuleConfig().with_mount("/box", fs), capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"as it has to be\n")


def renamed(code: bytes) -> bytes:
    """A module with all that it imports from preview1 imported from preview0."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = code[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value, at

    out, at = code[:8], 8
    while at < len(code):
        section, (size, begin) = code[at], number(at + 1)
        content = code[begin : begin + size]
        if section == 2:
            content = content.replace(b"\x16wasi_snapshot_preview1", b"\x0dwasi_unstable")
        out += bytes([section]) + leb(len(content)) + content
        at = begin + size
    return out


@pytest.mark.parametrize("read_only", [False, True])
def test_files_are_opened_as_by_preview1(tmp_path: Path, read_only: bool) -> None:
    code = build_c("access").read_bytes()
    told = []
    for module in (code, renamed(code)):
        (tmp_path / "f").write_bytes(b"hello")
        tree = {"/data": tmp_path}
        dirs, ro_dirs = ({}, tree) if read_only else (tree, {})
        done = run(module, args=["/data/f"], capture_output=True, dirs=dirs, ro_dirs=ro_dirs)
        told.append((done.returncode, done.stdout, (tmp_path / "f").read_bytes()))
    assert told[0] == told[1]
    assert told[0][0] == 0


def test_how_a_libc_begins(tmp_path: Path) -> None:
    """Its arguments, its environment and its directories, by the older spec; what differs it does not use here."""
    tool = renamed(build_c("tool").read_bytes())
    done = run(tool, args=["args", "ä"], env={"A": "b"}, dirs={"/": tmp_path, "/two": tmp_path}, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "guest\nargs\nä\n".encode())
    assert run(tool, args=["files", "/two/f"], dirs={"/": tmp_path, "/two": tmp_path}).returncode == 0
    assert (tmp_path / "f").read_text() == "written"
    assert run(tool, args=["cat"], input=b"some bytes", capture_output=True).stdout == b"some bytes"


def test_the_guest_tells_answers_apart() -> None:
    """Without a directory its first step fails, so the exit status means something."""
    assert run(GUEST).returncode == 1


def test_in_a_linker_of_the_users(tmp_path: Path) -> None:
    engine = wasmtime.Engine()
    linker, store = wasmtime.Linker(engine), wasmtime.Store(engine)
    with State(config=ModuleConfig().with_host_directory_preopen("/", tmp_path)) as state:
        guest = define(linker, state, unstable=True)
        instance = guest.call(linker.instantiate, store, wasmtime.Module.from_file(engine, str(GUEST)))
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        with pytest.raises(ExitError) as caught:
            guest.call(start, store)
    assert caught.value.code == 0


BAD = """(module (import "wasi_unstable" "{name}" (func $f (param {params}) (result i32)))
  (memory (export "memory") 1) (func (export "_start") (drop (call $f {numbers}))))"""


def test_a_bad_pointer_traps() -> None:
    with pytest.raises(TrapError, match="fd_filestat_get") as caught:
        run(BAD.format(name="fd_filestat_get", params="i32 i32", numbers="(i32.const 0) (i32.const -8)"))
    assert caught.value.kind == "guest fault"


def test_functions_that_preview0_lacks_are_unknown() -> None:
    with pytest.raises(LinkError, match="no such function"):
        run(BAD.format(name="sock_accept", params="i32 i32 i32", numbers="(i32.const 0) " * 3))
