"""`start`: every way in which a guest can end, and who gets the exception."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.embedding.guests import KINDS, TALKER, TOOL, TRAP, begin, wait_for
from wasihost import (
    DEVNULL,
    PIPE,
    ConfigError,
    Imports,
    LinkError,
    Module,
    ModuleError,
    Process,
    TimeoutExpired,
    TrapError,
    outcome,
    start,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


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
