"""`isolation="process"`: what a run gives is what it gives without, and every way in which it can end."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.isolation.test_lockdown import locked
from tests.support.guests import build_c
from wasihost import (
    STDOUT,
    CalledProcessError,
    ConfigError,
    GuestFault,
    Imports,
    IsolationError,
    Lazy,
    LimitExceeded,
    LinkError,
    MemoryFS,
    Module,
    ModuleConfig,
    TimeoutExpired,
    TrapError,
    instantiate,
    outcome,
    run,
    run_async,
    start,
)

TOOL, TALKER = Module(build_c("tool")), Module(build_c("talker"))
TRAP = '(module (memory (export "memory") 1) (func $broken (export "_start") unreachable))'
FAULT = """(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 1) (func (export "_start") (drop (call $random (i32.const -1) (i32.const 2)))))"""
GROW = '(module (memory (export "memory") 1) (func (export "_start") (drop (memory.grow (i32.const 1000)))))'


def test_a_run_gives_what_it_gives_without() -> None:
    given: dict[str, Any] = {"args": ["args", "one", b"tw\xff"], "env": {"A": "b"}, "capture_output": True}
    here, there = run(TOOL, **given), run(TOOL, isolation="process", **given)
    assert (there.args, there.returncode, there.stdout, there.stderr) == (
        here.args, here.returncode, here.stdout, here.stderr,
    )  # fmt: skip
    assert here.stats.isolation == ()
    assert "rlimits" in there.stats.isolation
    assert there.stats.peak_memory == here.stats.peak_memory
    assert run(TOOL, args=["exit", "7"], isolation="process").returncode == 7
    with pytest.raises(CalledProcessError) as caught:
        run(TOOL, args=["exit", "7"], isolation="process", check=True)
    assert caught.value.stats is not None
    counted = run(TOOL, args=["args"], isolation="process", stats=True, capture_output=True).stats
    assert counted.calls["fd_write"] >= 1


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_streams_that_are_objects(size: int) -> None:
    data = os.urandom(size)
    pieces: list[bytes] = []
    run(TOOL, args=["cat"], stdin=io.BytesIO(data), stdout=pieces.append, isolation="process")
    assert b"".join(pieces) == data
    assert run(TOOL, args=["cat"], input=data, capture_output=True, isolation="process").stdout == data
    text = io.StringIO()
    run(TOOL, args=["both"], stdout=text, stderr=STDOUT, isolation="process")
    assert text.getvalue() == "to output\nto error\n"


def test_streams_that_are_files(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb", buffering=0) as out:
        run(TOOL, args=["cat"], input=b"x" * 100_000, stdout=out.fileno(), isolation="process")
    assert (tmp_path / "out").stat().st_size == 100_000
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb") as writer:
        writer.write(b"before ")
        run(TOOL, args=["both"], stdout=writer, isolation="process")
        assert os.read(reader.fileno(), 100) == b"before to output\n"


def test_an_exception_of_a_stream_reaches_the_caller() -> None:
    reason = KeyError("mine")

    def fail(_data: bytes) -> None:
        raise reason

    with pytest.raises(KeyError) as caught:
        run(TOOL, args=["args"], stdout=fail, isolation="process")
    assert caught.value is reason
    assert outcome(reason) is not None

    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            raise OSError(28, "full")

    assert run(TOOL, args=["cat"], input=b"x", stdout=Full(), isolation="process").returncode == 0

    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise reason

    with pytest.raises(KeyError):
        run(TOOL, args=["cat"], stdin=Broken(), isolation="process")


def test_files_in_memory_come_back() -> None:
    done = run(TOOL, args=["files", "/a.txt"], files={"kept": b"1"}, isolation="process")
    assert dict(done.files) == {"a.txt": b"written"}
    assert done.files.created == ("a.txt",)
    lazy = run(TOOL, args=["show", "l"], files={"l": Lazy(3, lambda: b"abc")}, isolation="process", capture_output=True)
    assert (lazy.stdout, dict(lazy.files)) == (b"abc", {})
    fs = MemoryFS({"a.txt": b"old and longer", "d/kept": b"1", "gone/x": b""})
    fs.symlink("d/kept", "link")
    fs.link("d/kept", "other")
    kept = fs.stat("d/kept")
    done = run(TOOL, args=["files", "/a.txt"], fs=fs, isolation="process")
    assert (dict(done.files), done.files.changed) == ({"a.txt": b"written"}, ("a.txt",))
    assert fs["a.txt"] == b"written"
    assert fs.readlink("link") == "d/kept"
    assert fs.stat("d/kept")[:-1] == kept[:-1]
    assert (fs.quota.bytes, fs.quota.entries) == (7 + 1 + 6, 7)
    assert run(TOOL, args=["show", "/link"], fs=fs, isolation="process", capture_output=True).stdout == b"1"


def test_directories_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a").write_text("read")
    given: dict[str, Any] = {"dirs": {"/out": tmp_path / "out"}, "ro_dirs": {"/in": tmp_path / "in"}}
    assert run(TOOL, args=["show", "/in/a"], isolation="process", capture_output=True, **given).stdout == b"read"
    assert run(TOOL, args=["files", "/in/b"], isolation="process", **given).returncode == 9
    assert run(TOOL, args=["files", "/out/b"], isolation="process", **given).returncode == 0
    assert (tmp_path / "out" / "b").read_text() == "written"
    assert os.listdir(tmp_path / "in") == ["a"]
    with pytest.raises(ConfigError, match="the guest could change it"):
        run(TOOL, isolation="process", dirs={"/all": tmp_path}, ro_dirs={"/in": tmp_path / "in"})
    with pytest.raises(ConfigError, match="procfs"):
        run(TOOL, isolation="process", ro_dirs={"/proc": "/proc"})
    with pytest.raises(ConfigError, match="cannot mount"):
        run(TOOL, dirs={"/": tmp_path / "missing"}, isolation="process")


def test_ends_of_all_kinds() -> None:
    with pytest.raises(TrapError) as trap:
        run(TRAP, isolation="process")
    assert (trap.value.kind, trap.value.backtrace[0].function) == ("unreachable", "broken")
    with pytest.raises(TrapError) as fault:
        run(FAULT, isolation="process")
    assert isinstance(fault.value.__cause__, GuestFault)
    assert fault.value.__cause__.address == 0xFFFFFFFF
    begun = time.monotonic()
    with pytest.raises(TimeoutExpired) as late:
        run(TOOL, args=["spin"], timeout=0.3, capture_output=True, files={"a": b""}, isolation="process")
    assert (late.value.stdout, late.value.files) == (b"spinning\n", {})
    assert late.value.stats is not None
    assert late.value.stats.limits == ("timeout",)
    with pytest.raises(TimeoutExpired):
        run(TOOL, args=["sleep", "60"], timeout=0.3, isolation="process")
    assert time.monotonic() - begun < 30
    with pytest.raises(LimitExceeded) as fuel:
        run(TOOL, args=["spin"], fuel=100_000, isolation="process")
    assert fuel.value.limit == "fuel"
    with pytest.raises(LinkError):
        run('(module (import "a" "b" (func)) (func (export "_start")))', isolation="process")
    assert run(GROW, max_memory=1 << 20, isolation="process").stats.limits == ()
    spoken = run(TOOL, args=["args", "x" * 100], isolation="process", capture_output=True, max_output=10)
    assert (len(spoken.stdout), spoken.truncated, spoken.stats.limits) == (10, ("stdout",), ("output",))


def test_options_that_cannot_go_to_another_process_are_named() -> None:
    config = ModuleConfig()
    for bad in (config.with_walltime(lambda: 0, 1), config.with_osyield(lambda: None),
                config.with_rand_source(io.BytesIO())):  # fmt: skip
        with pytest.raises(ConfigError, match="with_"):
            run(TOOL, bad, isolation="process")
    with pytest.raises(ConfigError, match="imports"):
        run(TOOL, imports=Imports("a"), isolation="process")
    with pytest.raises(ConfigError, match="instance"):
        instantiate(TOOL, isolation="process")
    with pytest.raises(ConfigError, match="isolation cannot be"):
        run(TOOL, isolation="thread")  # type: ignore[call-overload]  # as a user may


def test_start_and_run_async() -> None:
    with start(TOOL, args=["cat"], isolation="process") as process:
        process.stdin.write(b"hello")
        process.stdin.close()
        assert process.stdout.read() == b"hello"
    assert process.returncode == 0
    process = start(TRAP, isolation="process", bufsize=0)
    with pytest.raises(TrapError):
        process.wait(30)
    with pytest.raises(BrokenPipeError), process.stdin as stdin:
        stdin.write(b"x")
    process.stdout.close()
    process = start(TOOL, args=["spin"], isolation="process")
    assert process.stdout.readline() == b"spinning\n"
    process.kill()
    assert process.wait(timeout=30) == -9
    process.stdout.close()
    process.stdin.close()

    async def both() -> None:
        assert (await run_async(TOOL, args=["exit", "4"], isolation="process")).returncode == 4
        task = asyncio.create_task(run_async(TOOL, args=["spin"], isolation="process"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(both())


def test_sockets() -> None:
    answers: list[bytes] = []

    def talk(where: Any) -> None:
        with socket.create_connection(where) as client:
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            answers.append(client.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener.getsockname(),))
        thread.start()
        config = ModuleConfig().with_listener("web", listener)
        run(Module(build_c("server")), config, args=["echo", "1"], isolation="process", timeout=60, check=True)
        thread.join()
    assert answers == [b"hello"]


def test_many_at_once_and_in_threads() -> None:
    results: list[int] = []

    def work(number: int) -> None:
        results.append(run(TOOL, args=["exit", str(number)], isolation="process").returncode)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(12))


def test_a_process_that_is_killed_is_an_error_of_ours() -> None:
    with start(TOOL, args=["spin"], isolation="process", stdout=None) as process:
        process.stdout.readline()
        (child,) = locked()
        os.kill(child, 9)
        with pytest.raises(IsolationError, match="SIGKILL"):
            process.wait(30)
