"""Debuggers, profilers and their like around a run: what they raise comes out, and they see what is the user's."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.process.tracers import Tracer, host
from tests.support.raw import Raw
from tests.support.wheels import python
from wasihost import Imports, Module, ModuleConfig, TimeoutExpired, instantiate, run
from wasihost.descriptors import host_directory
from wasihost.sandbox import resolve

EVENTS = [("settrace", event) for event in ("call", "line", "return", "exception", "opcode")]
EVENTS += [("setprofile", event) for event in ("call", "return", "c_call", "c_return")]
if sys.version_info >= (3, 12):
    EVENTS += [("monitoring", event) for event in ("PY_START", "PY_RETURN", "LINE", "INSTRUCTION", "CALL", "PY_UNWIND")]
CALL = '(module (import "env" "host" (func $host (param i32) (result i32))) (memory (export "memory") 1) {})'
ONCE = CALL.format('(func (export "_start") (drop (call $host (i32.const 1))))')
SPIN = Module('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))')


def tracers(*args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.process.tracers", *args], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, ""), done


@pytest.mark.parametrize(("tool", "event"), EVENTS)
def test_a_tracer_that_raises_at_the_entry_from_the_guest(tool: str, event: str) -> None:
    tracers(tool, event, "--most", "60")


@pytest.mark.parametrize(("tool", "event"), [("settrace", "return"), ("settrace", "line"), ("setprofile", "call")])
def test_a_tracer_that_raises_anywhere_in_a_run(tool: str, event: str) -> None:
    """The tracer raises as a signal handler may."""
    tracers(tool, event, "--where", "run", "--most", "2000", "--step", "7")


def test_host_functions_are_traced_as_before() -> None:
    imports, seen = Imports("env"), []
    imports.function(host)

    def trace(frame: object, kind: str, _arg: object) -> object:
        if getattr(frame, "f_code", None) is host.__code__:
            seen.append(kind)
        return trace

    with instantiate(CALL.format('(func (export "f") (drop (call $host (i32.const 1))))'), imports=imports) as guest:
        guest.call("f")  # an instance that has been entered without a tracer
        before = sys.gettrace()
        sys.settrace(trace)  # type: ignore[arg-type]  # it is given frames
        try:
            guest.call("f")
            run(ONCE, imports=imports)
        finally:
            sys.settrace(before)
    assert seen == ["call", "line", "return"] * 2


def test_a_tracer_in_the_watching_thread() -> None:
    """`threading.settrace` is for all threads that begin: ours is not for it."""

    def trace(*_: object) -> object:
        raise ValueError

    before = threading.gettrace()
    threading.settrace(trace)  # type: ignore[arg-type]  # it returns nothing
    try:
        with pytest.raises(TimeoutExpired):
            run(SPIN, timeout=0.05)
    finally:
        threading.settrace(before)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the kernel tells what is open")
@pytest.mark.filterwarnings("ignore")  # of what the collector closes, and raising within a generator's end
@pytest.mark.parametrize("event", ["call", "return"])
def test_no_directory_of_a_guest_stays_open(event: str, tmp_path: Path) -> None:
    """A signal handler raises at each step in turn, for which a tracer stands, while directories are opened."""
    module = Module('(module (memory (export "memory") 1) (func (export "_start")))')

    def opening(code: CodeType) -> bool:
        return code.co_filename.endswith(("host_directory.py", "opening.py", "functions.py", "table.py", "bounds.py"))

    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def work() -> None:
        run(module, dirs={"/": tmp_path, "/b": tmp_path})

    work()
    before, found = opened(), set()
    for at in range(1, 500):
        tracer = Tracer(event, opening, at)
        tracer.use("settrace", work)
        assert opened() <= before, tracer.place
        if not tracer.place:
            break
        found.add(tracer.place)
    assert {"host_directory.py:open_host_directory", "host_directory.py:close"} <= found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the kernel tells what is open")
@pytest.mark.filterwarnings("ignore")  # as above
@pytest.mark.parametrize("strategy", [resolve.by_openat2, resolve.by_walk], ids=["openat2", "walk"])
@pytest.mark.parametrize(("tool", "event"), [("settrace", "return"), ("settrace", "call"), ("setprofile", "c_return")])
def test_no_file_that_a_guest_opens_stays_open(
    tool: str, event: str, strategy: resolve.Strategy, tmp_path: Path
) -> None:
    """The same while its calls open files, and directories on the way to others."""
    box = tmp_path / "box"
    (box / "d" / "e").mkdir(parents=True)
    (box / "d" / "e" / "f").touch()
    (box / "a").touch()
    (box / "link").symlink_to("d/../d/e/f")
    paths = ("a", "d/e/f", "link", "d/..", "d/e/new", "d/e/other", "none/x")
    text = "\\00".join(paths)
    at = {path: ("\0".join(paths) + "\0").index(path + "\0") for path in paths}

    def where(path: str) -> str:
        return f"(i32.const {at[path]}) (i32.const {len(path)})"

    def opening(path: str, oflags: int = 0) -> str:
        return (
            f"(drop (call $open (i32.const 3) (i32.const 1) {where(path)} (i32.const {oflags})"
            " (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 512)))"
        )

    module = Module(
        f"""(module
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1) (data (i32.const 0) "{text}\\00")
          (func (export "_start") {" ".join(map(opening, paths[:4]))} {opening("d/e/new", 1)} {opening("none/x", 1)}
            (drop (call $stat (i32.const 3) (i32.const 1) {where("link")} (i32.const 512)))
            (drop (call $rename (i32.const 3) {where("d/e/new")} (i32.const 3) {where("d/e/other")}))
            (drop (call $unlink (i32.const 3) {where("d/e/other")}))))"""
    )

    def within(code: CodeType) -> bool:
        return code.co_filename.startswith(
            (os.path.dirname(resolve.__file__), os.path.dirname(host_directory.__file__))
        ) or code.co_filename.endswith(("fdtable.py", os.path.join("handlers", "path.py")))

    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    def work() -> None:
        assert run(module, dirs={"/": box}).returncode == 0

    with resolve.using(strategy):
        work()
        gc.collect()
        before, found = opened(), set()
        for number in range(1, 3000):
            tracer = Tracer(event, within, number)
            end = tracer.use(tool, work)
            if opened() > before:
                gc.collect()
            assert opened() <= before, tracer.place
            if not tracer.place:
                break
            assert end == "raised"
            found.add(tracer.place)
    assert {"host_directory.py:open", "resolve.py:stat_beneath"} <= found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the kernel tells what is open")
@pytest.mark.filterwarnings("ignore")  # of what the collector closes
@pytest.mark.parametrize(("tool", "event"), [("settrace", "return"), ("settrace", "call"), ("setprofile", "c_return")])
def test_no_connection_stays_open(tool: str, event: str) -> None:
    """The same while a guest accepts."""

    def within(code: CodeType) -> bool:
        return code.co_filename.endswith(("socket.py", "sockets.py", os.path.join("handlers", "sock.py")))

    listening = socket.create_server(("127.0.0.1", 0))
    config = ModuleConfig().with_listener("listener", listening)
    with listening:
        gc.collect()
        before, places = len(os.listdir("/proc/self/fd")), set()
        for number in range(1, 200):
            tracer = Tracer(event, within, number)
            with socket.create_connection(listening.getsockname()), Raw(config) as raw:
                if tracer.use(tool, lambda: raw.call("sock_accept", 3, 0, 512)) != "raised":
                    break
            places.add(tracer.place)
            gc.collect()
            assert len(os.listdir("/proc/self/fd")) <= before, tracer.place
        assert "sockets.py:_accept" in places


QUIT = """
import bdb, pdb, io, sys
from wasihost import Imports, run
imports = Imports("env")
def host(number: int) -> int:
    debugger.set_trace()
    return number
imports.function(name="host")(host)
debugger = pdb.Pdb(stdin=io.StringIO({commands!r}), stdout=io.StringIO(), nosigint=True)
for _ in range(3):
    try:
        run({module!r}, imports=imports)
    except bdb.BdbQuit:
        print("quit")
"""


@pytest.mark.parametrize(
    "steps", ["", "n ", "n n ", "n n n ", "n n n n ", "r r ", "s s s s s ", "u n n n ", "n n n r ", "r r r "]
)
def test_pdb_quits_out_of_a_host_function(steps: str) -> None:
    commands = "".join(f"{step}\n" for step in [*steps.split(), "q"] * 3)
    done = python(QUIT.format(commands=commands, module=ONCE))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("quit") >= 1


LATE = [("settrace", "call"), ("settrace", "line"), ("settrace", "return"), ("setprofile", "return")]
LATE += [("setprofile", "c_return")]
if sys.version_info >= (3, 12):
    LATE += [("monitoring", event) for event in ("PY_START", "PY_RETURN", "LINE", "CALL", "PY_UNWIND")]


@pytest.mark.parametrize("where", ["own", "linker"])
@pytest.mark.parametrize(("tool", "event"), LATE)
def test_a_tracer_that_is_set_by_a_host_function_or_around_a_users_linker(where: str, tool: str, event: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.process.late_tracers", where, tool, event],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if (where, event) != ("linker", "PY_UNWIND"):  # an exception leaves no function there
        assert int(done.stdout.split()[-1]) > 3


def test_gettrace_returns_the_tracer_that_was_set() -> None:
    imports, seen = Imports("env"), []

    def trace(*_: Any) -> Any:
        return None

    @imports.function
    def host(number: int) -> int:
        before = sys.gettrace(), sys.getprofile()
        sys.settrace(trace)
        sys.setprofile(trace)
        seen.append((sys.gettrace() is trace, sys.getprofile() is trace))
        sys.setprofile(before[1])
        sys.settrace(before[0])
        return number

    run(ONCE, imports=imports)
    assert seen == [(True, True)]
