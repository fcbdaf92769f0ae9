"""Modules of the spec before preview1: `wasi_unstable`, recognised by their imports."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import wasmtime

from tests.support.guests import wat
from wasihost import ExitError, LinkError, MemoryFS, ModuleConfig, State, TrapError, run
from wasihost.engines.wasmtime.linker import define

GUEST = wat("unstable")


def test_files_seeking_status_and_polling(tmp_path: Path) -> None:
    begin = time.perf_counter()
    assert run(GUEST, dirs={"/": tmp_path}).returncode == 0
    assert time.perf_counter() - begin >= 0.005
    assert (tmp_path / "file").read_bytes() == b"hello"
    fs = MemoryFS()
    assert run(GUEST, fs=fs, stats=True).stats.calls["fd_seek"] == 3
    assert fs["file"] == b"hello"


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


def test_what_the_older_spec_does_not_have_is_unknown() -> None:
    with pytest.raises(LinkError, match="no such function"):
        run(BAD.format(name="sock_accept", params="i32 i32 i32", numbers="(i32.const 0) " * 3))
