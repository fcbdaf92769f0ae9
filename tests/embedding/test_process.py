"""`start`: a guest that one talks with while it runs, and every way in which it can end."""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support.guests import build_c
from tests.support.wheels import python
from wasihost import (
    DEVNULL,
    PIPE,
    STDOUT,
    ConfigError,
    Imports,
    LinkError,
    Module,
    ModuleConfig,
    ModuleError,
    Process,
    TimeoutExpired,
    TrapError,
    outcome,
    start,
)

TOOL, SERVER, TALKER = (Module(build_c(name)) for name in ("tool", "server", "talker"))
TRAP = Module('(module (memory (export "memory") 1) (func (export "_start") unreachable))')
KINDS = {"computes": (TOOL, ["spin"]), "sleeps": (TOOL, ["sleep", "60"]), "reads": (TOOL, ["cat"]),
         "writes": (TALKER, ["flood"])}  # fmt: skip


def pipes() -> int:
    """How many ends of pipes this process has open."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
    return count


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Threads and pipes are gone after each test."""
    before = pipes()
    yield
    gc.collect()
    until = time.monotonic() + 10
    while any(thread.name.startswith("wasihost g") for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wasihost g")]
    assert pipes() <= before


def begin(kind: str) -> Process[Any, Any, Any]:
    module, args = KINDS[kind]
    return start(module, args=args)


def wait_for(process: Process[Any, Any, Any]) -> None:
    """Its end, without asking how."""
    while process.poll() is None:
        time.sleep(0.001)


# -- talking -----------------------------------------------------------------------------------------------------------


def test_lines_come_while_the_guest_runs() -> None:
    with start(TALKER, args=["progress", "5"], text=True) as process:
        assert next(process.stdout) == "1/5\n"
        assert process.poll() is None
        assert list(process.stdout) == [f"{number}/5\n" for number in range(2, 6)]
    assert process.returncode == process.wait() == process.poll() == 0
    assert (process.args[1:], process.stderr) == (["progress", "5"], None)


@pytest.mark.parametrize(
    ("bufsize", "text"), [(-1, False), (-1, True), (0, False), (0, True), (1, True), (8192, False), (8192, True)]
)
def test_a_conversation(bufsize: int, text: bool) -> None:
    with start(SERVER, args=["cat"], text=text, bufsize=bufsize) as process:
        for line in ("one é\n", "two\n", "three\n"):
            said = line if text else line.encode()
            process.stdin.write(said)
            if bufsize not in (0, 1):
                process.stdin.flush()
            assert process.stdout.readline() == said
        process.stdin.close()
        assert process.stdout.read() == ("" if text else b"")
    assert process.returncode == 0


def test_text_is_as_with_subprocess() -> None:
    with start(TOOL, args=["cat"], encoding="latin-1") as process:
        process.stdin.write("é\r\nz\n")
        process.stdin.close()
        assert process.stdout.read() == "é\nz\n"
    with start(TOOL, args=["cat"], text=True, errors="replace", input=b"\xff") as process:
        assert process.stdin is None
        assert process.stdout.read() == "\ufffd"


@pytest.mark.parametrize("size", [0, 3, 1 << 20])
def test_communicate_with_all_three(size: int) -> None:
    data = b"y" * size
    with start(TALKER, args=["both", str(size)], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        out, err = process.communicate(data)
        assert (out, err) == (b"x" * size + data, b"x" * size)
    assert process.returncode == 0


def test_communicate_after_reading_a_part() -> None:
    with start(SERVER, args=["cat"], text=True) as process:
        process.stdin.write("é one\ntwo\n")
        process.stdin.flush()
        assert process.stdout.readline() == "é one\n"
        assert process.communicate("three") == ("two\nthree", None)


def test_communicate_goes_on_after_a_timeout() -> None:
    with start(TALKER, args=["progress", "400"], text=True) as process:
        with pytest.raises(TimeoutExpired, match=r"still running after 0\.1 seconds") as caught:
            process.communicate(timeout=0.1)
        assert caught.value.stdout is None or "1/400\n".startswith(caught.value.stdout[:6])
        with pytest.raises(ValueError, match="given before"):
            process.communicate("more")
        out, _ = process.communicate(timeout=60)
    assert out == "".join(f"{number}/400\n" for number in range(1, 401))


def test_communicate_keeps_so_much() -> None:
    with start(TALKER, args=["both", "100000"], max_output=1000, stderr=DEVNULL) as process:
        assert process.communicate() == (b"x" * 1000, None)
    assert process.truncated == ("stdout",)


@pytest.mark.parametrize(
    ("given", "error"), [({"text": True}, TypeError), ({}, TypeError), ({"stdin": DEVNULL}, ValueError)]
)
def test_input_that_cannot_be_given(given: dict[str, Any], error: type[Exception]) -> None:
    with start(TOOL, args=["cat"], **given) as process, pytest.raises(error, match="input"):
        process.communicate(b"bytes" if given else "text")


def test_a_guest_that_writes_more_than_is_read_waits() -> None:
    with start(TALKER, args=["flood"]) as process:
        wrote = [0]

        def read(size: int) -> None:
            wrote[0] += len(process.stdout.read(size))

        read(1 << 20)
        time.sleep(0.1)
        cpu = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - cpu < 0.2  # it waits
        assert process.poll() is None
        read(1 << 20)
        process.kill()
        assert len(process.stdout.read()) <= 1 << 18
    assert process.returncode == -signal.SIGKILL


def test_other_streams() -> None:
    pieces: list[bytes] = []
    with start(TOOL, args=["both"], stdout=pieces.append, stderr=PIPE) as process:
        assert process.stdout is None
        assert process.stderr.read() == b"to error\n"
    assert pieces == [b"to output\n"]
    kept = io.StringIO()
    with start(TOOL, ModuleConfig().with_stdout(kept).with_stdin(b"abc"), args=["cat"]) as process:
        assert (process.stdin, process.stdout, process.wait()) == (None, None, 0)
    assert kept.getvalue() == "abc"
    with start(TOOL, args=["both"], stderr=subprocess.STDOUT) as process:
        assert process.stdout.read() == b"to output\nto error\n"
    with start(TOOL, args=["both"], capture_output=True) as process:
        assert process.communicate() == (b"to output\n", b"to error\n")
    with pytest.raises(ConfigError, match="leave out"):
        start(TOOL, capture_output=True, stdout=PIPE)


def test_a_guest_may_close_its_output_and_run_on() -> None:
    with start(TALKER, args=["close"], text=True) as process:
        assert list(process.stdout) == ["line\n"]
        assert process.poll() is None
    assert process.returncode == 5
    with start(TALKER, args=["close"], stderr=STDOUT) as other:
        assert [next(other.stdout), next(other.stdout)] == [b"line\n", b"still here\n"]  # one pipe, of two


def test_files_and_stats() -> None:
    with start(TOOL, args=["files", "/f"], files={}) as process:
        assert process.wait() == 0
        assert process.files is not None
        assert process.files["f"] == b"written"
        assert process.stats is not None
        assert process.stats.wall > 0
    with start(TOOL, args=["sleep", "60"]) as process:
        assert (process.files, process.stats, process.truncated) == (None, None, ())
        process.kill()


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("end", "code"), [("kill", -9), ("terminate", -15)])
def test_a_guest_is_ended(kind: str, end: str, code: int) -> None:
    with begin(kind) as process:
        with pytest.raises(TimeoutExpired, match=r"is still running after 0\.1 seconds"):
            process.wait(0.1)
        assert process.poll() is None
        getattr(process, end)()
        assert process.wait(10) == code
        process.kill()  # it has ended
    assert process.returncode == code


def test_a_guest_knows_no_other_signals() -> None:
    with begin("sleeps") as process:
        with pytest.raises(ValueError, match="knows no signal"):
            process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_of_its_own(kind: str) -> None:
    module, args = KINDS[kind]
    with start(module, args=args, timeout=0.2) as process:
        with pytest.raises(TimeoutExpired, match=r"was ended after 0\.2 seconds"):
            process.wait(10)
        assert process.wait() == process.poll() == 124


def test_a_trap_comes_out_once() -> None:
    with start(TALKER, args=["trap"]) as process:
        lines: list[bytes] = []
        with pytest.raises(TrapError):
            lines.extend(process.stdout)
        assert lines == [b"line\n", b"half"]
        assert (process.wait(), process.poll(), list(process.stdout)) == (134, 134, [])
        assert process.communicate() == (b"", None)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda process: process.wait(), id="wait"),
        pytest.param(lambda process: process.communicate(), id="communicate"),
        pytest.param(lambda process: [process.stdout.read(), process.stdout.read()], id="read"),
        pytest.param(lambda process: [process.stdout.readlines(), process.stdout.readline()], id="readlines"),
        pytest.param(lambda process: [process.stdout.readinto(bytearray(99)) for _ in range(9)], id="readinto"),
        pytest.param(lambda process: [process.stdout.read1() for _ in range(9)], id="read1"),
    ],
)
def test_the_first_method_called_after_a_trap_raises_it(ask: Callable[[Process[Any, Any, Any]], object]) -> None:
    with start(TALKER, args=["trap"]) as process:
        with pytest.raises(TrapError):
            ask(process)
        assert process.wait() == 134


def test_an_exception_of_communicate_has_the_output_so_far() -> None:
    with start(TALKER, args=["trap"], text=True, stderr=PIPE) as process:
        with pytest.raises(TrapError) as caught:
            process.communicate()
        assert (caught.value.stdout, caught.value.stderr) == ("line\nhalf", "")


def test_the_end_of_the_block_raises_what_nobody_heard_of() -> None:
    with pytest.raises(TrapError), start(TRAP) as process:
        pass
    assert process.returncode == 134
    with pytest.raises(TrapError), start(TALKER, args=["trap"], stdout=DEVNULL):
        pass
    with start(TRAP) as process:  # nothing is raised by who only looks
        wait_for(process)
        assert process.poll() == 134
        with pytest.raises(TrapError):
            process.wait()


def test_an_exception_of_a_host_function_reaches_the_caller() -> None:
    error = KeyError("mine")
    host = Imports("host")

    @host.function
    def fail() -> None:
        raise error

    module = '(module (import "host" "fail" (func $f)) (memory (export "memory") 1) (func (export "_start") (call $f)))'
    with pytest.raises(KeyError) as caught, start(module, imports=host) as process:
        process.wait()
    assert caught.value is error
    assert outcome(error) is not None
    assert process.returncode == 1


def test_errors_before_the_guest_begins_are_raised_by_start() -> None:
    unknown = '(module (import "a" "b" (func)) (memory (export "memory") 1) (func (export "_start")))'
    for source, error in (("nothing.wasm", FileNotFoundError), (b"junk", ModuleError), (unknown, LinkError)):
        with pytest.raises(error):
            start(source)
    with pytest.raises(ConfigError):
        start(TOOL, dirs={"/": "/nowhere"})


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_in_the_block_ends_the_guest(kind: str) -> None:
    begun = time.monotonic()
    with pytest.raises(KeyError, match="mine"), begin(kind) as process:
        raise KeyError("mine")
    assert process.returncode == -9
    assert time.monotonic() - begun < 10


def test_writing_to_a_trapped_guest_raises_its_trap() -> None:
    process = start(TRAP, bufsize=0)
    wait_for(process)
    with pytest.raises(TrapError) as caught, process:
        process.stdin.write(b"x")
    assert isinstance(caught.value.__cause__, BrokenPipeError)
    process = start(TRAP)
    wait_for(process)
    with pytest.raises(KeyError) as other, process:
        raise KeyError("mine")
    assert "TrapError" in other.value.__notes__[0]


def test_leaving_early_closes_the_pipes() -> None:
    with start(TALKER, args=["flood"]) as process:
        for _ in range(3):
            process.stdout.read(1000)
    assert process.returncode == 3  # it was told that nobody reads
    with start(TOOL, args=["cat"]) as process:
        process.stdin.write(b"never flushed")
    assert process.returncode == 0
    with start(TOOL, args=["exit", "7"]) as process:
        process.stdin.write(b"never read")
        assert process.wait() == 7
    rust = Module(  # as Rust's println! does
        """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\00\\10\\00\\00")
        (func (export "_start")
          (loop $l (br_if $l (i32.eqz (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
          unreachable))"""
    )
    with start(rust) as process:
        process.stdout.read(10)
    assert process.returncode == 134


# -- around it ---------------------------------------------------------------------------------------------------------


def test_a_forgotten_guest_is_ended_with_a_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        process = begin("sleeps")
        guest = process._guest
        del process
        gc.collect()
        assert guest.thread.over.wait(10)
    assert "was still running, and is ended" in " ".join(str(one.message) for one in caught)
    assert guest.code == -15


def test_reading_its_stdout_keeps_a_dropped_guest_running() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        lines = list(start(TALKER, args=["progress", "20"], text=True, stdin=DEVNULL).stdout)
        gc.collect()
    assert len(lines) == 20


def test_many_at_once() -> None:
    guests = [start(SERVER, args=["cat"], text=True, bufsize=1) for _ in range(60)]
    for number, process in enumerate(guests):
        process.stdin.write(f"{number}\n")
    assert [int(process.stdout.readline()) for process in guests] == list(range(60))
    assert [process.communicate() for process in guests] == [("", None)] * 60
    for process in guests:
        with process:
            assert process.returncode == 0


def test_a_process_cannot_be_pickled() -> None:
    with begin("reads") as process, pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(process)
    assert "returncode: 0" in repr(process)


def test_python_ends_although_guests_run() -> None:
    code = f"""
import wasihost
tool, talker = (wasihost.Module(path) for path in {[str(build_c("tool")), str(build_c("talker"))]!r})
guests = [wasihost.start(tool, args=args) for args in (["spin"], ["sleep", "60"], ["cat"])]
guests.append(wasihost.start(talker, args=["flood"]))
print(guests[0].stdout.readline())
"""
    begun = time.monotonic()
    done = python(code)
    assert (done.stdout, done.returncode) == ("b'spinning\\n'\n", 0)
    assert time.monotonic() - begun < 30


def test_a_forked_child_holds_no_end_open() -> None:
    code = f"""
import os, time, wasihost
module = wasihost.Module({str(build_c("talker"))!r})
with wasihost.start(module, args=["both", "3"]) as process:
    process.stdin.write(b"once")
    child = os.fork()
    if not child:
        try:
            process.wait()
        except RuntimeError as error:
            print(error, flush=True)
        time.sleep(60)
        os._exit(0)
    process.stdin.close()
    print(process.stdout.read(), process.wait())
os.kill(child, 9)
os.waitpid(child, 0)
"""
    begun = time.monotonic()
    done = python(code)
    assert "b'xxxonce' 0" in done.stdout
    assert "belongs to the process that was forked" in done.stdout
    assert time.monotonic() - begun < 30


def test_ctrl_c_while_reading() -> None:
    code = f"""
import os, signal, threading, wasihost
signal.signal(signal.SIGINT, signal.default_int_handler)
module = wasihost.Module({str(build_c("tool"))!r})
try:
    with wasihost.start(module, args=["spin"]) as process:
        process.stdout.readline()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        process.stdout.readline()
except KeyboardInterrupt:
    print(process.returncode)
"""
    assert python(code).stdout == "-9\n"
