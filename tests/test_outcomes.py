"""What an exception that ends a guest carries: output, files, what was used, and the limits that were met."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import pickle
import signal
import threading
import time
import traceback
import weakref
from typing import Any

import pytest

import wasihost
from tests.support.guests import build_c
from wasihost import PIPE, MemoryFS, Module, ModuleConfig, outcome, run

FILES = {"old.txt": b"old"}


@pytest.fixture(scope="module")
def ends() -> Module:
    return Module(build_c("ends"))


def check_kept(error: BaseException, stderr: str | bytes = "started\n") -> wasihost.Outcome:
    """Every end of the guest `ends` says so on both outputs, and writes a file, before."""
    kept = outcome(error)
    assert kept is not None
    assert (kept.stdout, kept.stderr) == ("out\n" if isinstance(stderr, str) else b"out\n", stderr)
    assert kept.files == {"new.txt": b"new"}
    assert kept.files.created == ("new.txt",)
    assert kept.stats is not None
    assert kept.stats.peak_memory > 0
    assert kept.truncated == ()
    assert kept.args[1:]
    if isinstance(error, wasihost.GuestError):
        assert (error.stdout, error.stderr) == (kept.stdout, kept.stderr)
        assert (error.files, error.stats, error.truncated) == (kept.files, kept.stats, ())
    return kept


def test_a_trap_keeps_what_there_was(ends: Module) -> None:
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["trap"], capture_output=True, text=True, files=FILES)
    check_kept(caught.value)
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["pointer"], capture_output=True, files=FILES)
    check_kept(caught.value, b"started\n")


def test_an_assertion_of_c_can_be_read(ends: Module) -> None:
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["assert"], capture_output=True, text=True, files=FILES)
    check_kept(caught.value, 'started\nAssertion failed: !"reached" (ends.c: main: 35)\n')
    lines = str(caught.value).splitlines()
    assert lines[1:4] == [
        "the guest's last words on standard error:",
        "  started",
        '  Assertion failed: !"reached" (ends.c: main: 35)',
    ]


def test_a_timeout_and_a_limit_keep_what_there_was(ends: Module) -> None:
    with pytest.raises(wasihost.TimeoutExpired) as timeout:
        run(ends, args=["spin"], capture_output=True, text=True, files=FILES, timeout=0.5)
    kept = check_kept(timeout.value)
    assert kept.stats is not None
    assert kept.stats.limits == ("timeout",)
    assert kept.stats.wall >= 0.5
    with pytest.raises(wasihost.LimitExceeded) as limit:
        run(ends, args=["spin"], capture_output=True, text=True, files=FILES, fuel=1_000_000)
    kept = check_kept(limit.value)
    assert kept.stats is not None
    assert (kept.stats.limits, kept.stats.fuel) == (("fuel",), 1_000_000)
    config = ModuleConfig().with_limits(sleep=1)
    with pytest.raises(wasihost.LimitExceeded, match="sleep") as limit:
        run(ends, config, args=["sleep"], capture_output=True, text=True, files=FILES)
    assert check_kept(limit.value).stats.limits == ("sleep",)  # type: ignore[union-attr]  # check_kept looked


def test_a_status_keeps_what_there_was(ends: Module) -> None:
    with pytest.raises(wasihost.CalledProcessError) as caught:
        run(ends, args=["exit"], capture_output=True, text=True, files=FILES, check=True)
    check_kept(caught.value)
    assert "started" in "".join(traceback.format_exception(caught.value))
    done = run(ends, args=["exit"], capture_output=True, text=True, files=FILES)
    with pytest.raises(wasihost.CalledProcessError) as caught:
        done.check_returncode()
    check_kept(caught.value)
    with wasihost.instantiate(ends, args=["exit"], capture_output=True, text=True, files=FILES) as instance:
        with pytest.raises(wasihost.ExitError) as exit_error:
            instance.call("_start")
        assert exit_error.value.code == 3
    check_kept(exit_error.value)


class Own(Exception):
    pass


class Slotted(Exception):
    __slots__ = ()


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Stubborn(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError


@pytest.mark.parametrize(
    "reason", [Own("stop"), Slotted(), Frozen(1), Stubborn("no"), KeyboardInterrupt(), SystemExit(4)]
)
def test_an_exception_of_anothers_keeps_what_there_was(ends: Module, reason: BaseException) -> None:
    def read(_size: int) -> bytes:
        raise reason

    with pytest.raises(type(reason)) as caught:
        run(ends, args=["read"], stdin=read, stdout=PIPE, stderr=PIPE, text=True, files=FILES)
    assert caught.value is reason
    check_kept(reason)
    if not isinstance(reason, (Frozen, Stubborn)):
        assert reason.__notes__ == ["the guest's last words on standard error:\n  started"]


def test_an_exception_object_raised_repeatedly_stays_small(ends: Module) -> None:
    reason = Own("stop")

    def read(_size: int) -> bytes:
        raise reason

    for count in range(3):
        with pytest.raises(Own):
            run(ends, args=["read", *"x" * count], stdin=read, capture_output=True, text=True, files=FILES)
    assert len(reason.__notes__) == 1
    kept = check_kept(reason)
    assert kept.outer is None
    assert kept.args[1:] == ("read", "x", "x")


def test_ctrl_c_keeps_what_there_was(ends: Module) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    try:
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(0.5, signal.pthread_kill, [main, signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt) as caught:
            run(ends, args=["spin"], capture_output=True, text=True, files=FILES)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    check_kept(caught.value)


def test_bytes_that_are_no_text_replace_no_exception(ends: Module) -> None:
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["bad-text", "trap"], capture_output=True, text=True)
    assert caught.value.stderr == "started\n\ufffd\ufffd\n"
    with pytest.raises(wasihost.TimeoutExpired) as timeout:
        run(ends, args=["bad-text", "spin"], capture_output=True, text=True, timeout=0.3)
    assert timeout.value.stderr == "started\n\ufffd\ufffd\n"
    with pytest.raises(wasihost.CalledProcessError) as called:
        run(ends, args=["bad-text", "exit"], capture_output=True, text=True, check=True)
    assert called.value.stderr == "started\n\ufffd\ufffd\n"
    with pytest.raises(UnicodeDecodeError) as plain:  # nothing else went wrong
        run(ends, args=["bad-text", "exit"], capture_output=True, text=True)
    kept = outcome(plain.value)
    assert kept is not None
    assert kept.stderr == "started\n\ufffd\ufffd\n"


def test_messages_are_short_and_printable(ends: Module) -> None:
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["terminal", "trap"], capture_output=True)
    assert "\\x1b]0;title\\x07" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["much", "trap"], capture_output=True, text=True)
    assert len(caught.value.stderr) > 1_000_000
    assert len(str(caught.value)) < 10_000
    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["much", "trap"], capture_output=True, text=True, max_output=1000)
    assert caught.value.truncated == ("stderr",)
    assert caught.value.stats is not None
    assert caught.value.stats.limits == ("output",)


def test_outcomes_of_exceptions_pickle(ends: Module) -> None:
    def read(_size: int) -> bytes:
        raise Own("stop")

    with pytest.raises(Own) as own:
        run(ends, args=["read"], stdin=read, capture_output=True, text=True, files=FILES)
    check_kept(pickle.loads(pickle.dumps(own.value)))
    for args in (["trap"], ["exit"], ["raise"]):
        with (
            wasihost.instantiate(ends, args=args, capture_output=True, text=True, files=FILES) as instance,
            pytest.raises(wasihost.GuestError) as caught,
        ):
            instance.call("_start")
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value)
        assert str(again) == str(caught.value)
        check_kept(again)


def test_an_instance_that_goes_on_keeps_what_there_was_at_each_end() -> None:
    text = """(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\02\\00\\00\\00a\\n")
      (func (export "fail")
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32))) unreachable))"""
    with wasihost.instantiate(text, capture_output=True, text=True) as instance:
        for count in (1, 2, 3):
            with pytest.raises(wasihost.TrapError) as caught:
                instance.call("fail")
            assert caught.value.stderr == "a\n" * count
            assert str(caught.value).count("  a\n") == count


@pytest.mark.parametrize("where", ["(start 0)", '(export "_initialize" (func 0))'])
def test_an_end_at_the_start_keeps_what_there_was(where: str) -> None:
    text = f"""(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\02\\00\\00\\00a\\n")
      (func $fail (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32))) unreachable)
      {where.replace(" 0", " $fail")})"""
    with pytest.raises(wasihost.TrapError) as caught:
        wasihost.instantiate(text, capture_output=True, text=True)
    assert caught.value.stderr == "a\n"
    assert caught.value.backtrace[0].function == "fail"


def test_guests_within_guests_each_keep_their_own(ends: Module) -> None:
    def read(_size: int) -> bytes:
        run(ends, args=["trap", "inner"], capture_output=True, text=True, files=FILES)
        raise AssertionError

    with pytest.raises(wasihost.TrapError) as caught:
        run(ends, args=["read", "outer"], stdin=read, capture_output=True, text=True, files=FILES)
    kept = check_kept(caught.value)
    assert kept.args[1:] == ("trap", "inner")
    assert kept.outer is not None
    assert kept.outer.args[1:] == ("read", "outer")
    assert kept.outer.stderr == "started\n"


def test_a_task_that_is_cancelled_keeps_what_there_was(ends: Module) -> None:
    async def main() -> BaseException:
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        def read(_size: int) -> bytes:
            loop.call_soon_threadsafe(started.set)
            time.sleep(0.01)
            return b"x"

        task = asyncio.ensure_future(
            wasihost.run_async(ends, args=["read-on"], stdin=read, capture_output=True, text=True, files=FILES)
        )
        await started.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        raise AssertionError

    check_kept(asyncio.run(main()))


def test_an_exception_that_is_kept_keeps_no_guest(ends: Module) -> None:
    """Neither its memory nor a circle that waits for the garbage collector."""
    kept: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        for how in ("trap", "exit"):
            instance = wasihost.instantiate(ends, args=[how], capture_output=True)
            seen = weakref.ref(instance)
            try:
                instance.call("_start")
            except wasihost.GuestError as error:
                kept.append(error.with_traceback(None))
            instance.close()
            del instance
            assert seen() is None, how
    finally:
        gc.enable()
    assert [error.stderr for error in kept] == [b"started\n"] * 2


def test_limits_are_named_when_they_were_met(ends: Module) -> None:
    def met(*args: str, config: ModuleConfig | None = None, **options: Any) -> tuple[str, ...]:
        return run(ends, config, args=[*args, "end"], **options).stats.limits

    assert met() == ()
    assert met("open", config=ModuleConfig().with_limits(open_files=20), files=FILES) == ("open_files",)
    assert met("fill", fs=MemoryFS(max_bytes=1000)) == ("max_bytes",)
    assert met("fill", fs=MemoryFS(max_file_size=1000)) == ("max_file_size",)
    assert met("names", fs=MemoryFS(max_entries=20)) == ("max_entries",)
    assert met("path", config=ModuleConfig().with_limits(path=100), files=FILES) == ("path",)
    assert met("much", capture_output=True, max_output=10) == ("output",)
    assert met("open", "much", config=ModuleConfig().with_limits(open_files=20), files=FILES, stderr=PIPE,
               max_output=10) == ("open_files", "output")  # fmt: skip


@pytest.mark.parametrize(("pages", "met"), [(17, ("memory",)), (8, ())])
def test_memory_is_named_when_it_is_used_up(pages: int, met: tuple[str, ...]) -> None:
    text = f"""(module (memory (export "memory") 1) (func (export "_start") (local i32)
      (loop
        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
        (drop (memory.grow (i32.const 1)))
        (br_if 0 (i32.lt_u (local.get 0) (i32.const {pages}))))))"""
    assert run(text, max_memory=1 << 20).stats.limits == met
    with pytest.raises(wasihost.LimitExceeded) as caught:
        run(text.replace('"memory") 1', '"memory") 17'), max_memory=1 << 20)
    assert caught.value.stats is not None
    assert caught.value.stats.limits == ("memory",)
