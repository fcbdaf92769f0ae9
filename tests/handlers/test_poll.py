"""poll_oneoff: clocks, descriptors, and both at once."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.support.raw import Raw, clock, event, readable, writable
from wasihost import Errno, LimitExceeded, ModuleConfig
from wasihost.config import Inherit

REALTIME, MONOTONIC, PROCESS, THREAD = range(4)
TICK = 2_000_000
HOUR = 3600 * 10**9


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Virtual:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000
        self.slept: list[int] = []

    def now(self) -> int:
        return self.time

    def sleep(self, duration: int) -> None:
        self.slept.append(duration)
        self.time += duration

    def config(self) -> ModuleConfig:
        return ModuleConfig().with_nanotime(self.now, 1).with_walltime(self.now, 1).with_nanosleep(self.sleep)


def elapsed_by(raw: Raw, *subscriptions: bytes) -> tuple[int, list[bytes]]:
    before = time.monotonic_ns()
    events = raw.poll(*subscriptions)
    return time.monotonic_ns() - before, events


@pytest.mark.parametrize("which", [REALTIME, MONOTONIC])
@pytest.mark.parametrize("absolute", [False, True])
def test_the_system_s_clock_really_passes(which: int, absolute: bool) -> None:
    with Raw() as raw:
        begin = (time.time_ns, time.monotonic_ns)[which]() if absolute else 0
        took, events = elapsed_by(raw, clock(7, which, begin + TICK, absolute=absolute))
        assert events == [event(7, 0)]
        assert took >= TICK - (100_000 if absolute else 0)


def test_only_the_clocks_that_are_due_are_answered() -> None:
    virtual = Virtual()
    with Raw(virtual.config()) as raw:
        found = raw.poll(clock(1, MONOTONIC, 500), clock(2, MONOTONIC, 300), clock(3, REALTIME, 1300, absolute=True))
        assert found == [event(2, 0), event(3, 0)]
        assert virtual.slept == [300]


def test_a_time_that_has_passed_needs_no_sleep() -> None:
    virtual = Virtual()
    with Raw(virtual.config()) as raw:
        assert raw.poll(clock(1, MONOTONIC, 999, absolute=True), clock(2, MONOTONIC, 0)) == [event(1, 0), event(2, 0)]
        assert virtual.slept == []


@pytest.mark.parametrize(("which", "now"), [(PROCESS, time.process_time_ns), (THREAD, time.thread_time_ns)])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_clock_of_the_processor_goes_on_while_it_is_waited_for(
    which: int, now: Callable[[], int], absolute: bool
) -> None:
    with Raw() as raw:
        begin = now()
        timeout = TICK + (begin if absolute else 0)
        found = raw.poll(clock(1, which, timeout, absolute=absolute), clock(2, MONOTONIC, HOUR))
        assert found == [event(1, 0)]
        assert now() - begin >= TICK


def test_a_clock_of_the_processor_that_is_due_needs_no_waiting() -> None:
    with Raw() as raw:
        assert raw.poll(clock(1, THREAD, 0), clock(2, MONOTONIC, HOUR)) == [event(1, 0)]
        assert raw.poll(clock(1, PROCESS, 1, absolute=True)) == [event(1, 0)]


def test_another_clock_may_come_before_the_processor_s(pipe: tuple[int, int]) -> None:
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
        took, events = elapsed_by(raw, clock(1, PROCESS, HOUR), clock(2, MONOTONIC, TICK), readable(3, 0))
        assert events == [event(2, 0)]
        assert took >= TICK
        late = threading.Timer(0.02, os.write, (pipe[1], b"xyz"))
        late.start()
        assert raw.poll(clock(1, PROCESS, HOUR), readable(3, 0)) == [event(3, 1, nbytes=3)]
        late.join()
    virtual = Virtual()
    with Raw(virtual.config()) as raw:
        assert raw.poll(clock(1, PROCESS, HOUR), clock(2, MONOTONIC, HOUR)) == [event(2, 0)]
        assert virtual.slept == [HOUR]


def test_waiting_for_a_clock_of_the_processor_ends_and_is_limited() -> None:
    with Raw(ModuleConfig().with_limits(sleep=2)) as raw:
        assert raw.poll(clock(1, PROCESS, TICK)) == [event(1, 0)]
        with pytest.raises(LimitExceeded, match="3600 seconds"):
            raw.poll(clock(1, PROCESS, HOUR))
    with Raw() as raw:
        raw.state.handlers.deadline.start(time.monotonic_ns() + 20_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            raw.poll(clock(1, PROCESS, HOUR))


def test_the_longest_sleep_does_not_upset_the_host() -> None:
    class Awake(Exception):
        pass

    def wake(_number: int, _frame: FrameType | None) -> None:
        raise Awake

    before = signal.signal(signal.SIGALRM, wake)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        with Raw() as raw, pytest.raises(Awake):
            raw.poll(clock(1, MONOTONIC, 2**64 - 1))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_descriptor_that_is_not_open_is_the_event_s_error() -> None:
    with Raw() as raw:
        found = raw.poll(readable(1, 77), writable(2, 77), clock(3, MONOTONIC, 10**9))
        assert found == [event(1, 1, error=Errno.BADF), event(2, 2, error=Errno.BADF)]


def test_a_regular_file_is_always_ready(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"12345")
    fd = raw.open("f")
    raw.read(fd, 2)
    assert raw.poll(readable(1, fd), writable(2, fd)) == [event(1, 1, nbytes=3), event(2, 2, nbytes=1)]


def test_python_streams_are_always_ready() -> None:
    with Raw(ModuleConfig().with_stdin(b"abc")) as raw:
        assert raw.poll(readable(1, 0), writable(2, 1)) == [event(1, 1, nbytes=3), event(2, 2, nbytes=1)]


def test_waiting_for_what_a_descriptor_may_not_do_is_notcapable() -> None:
    with Raw(ModuleConfig().with_stdin(b"abc")) as raw:
        found = raw.poll(writable(1, 0), readable(2, 1))
        assert found == [event(1, 2, error=Errno.NOTCAPABLE), event(2, 1, error=Errno.NOTCAPABLE)]


def test_waiting_needs_its_right(raw: Raw) -> None:
    assert raw.poll(readable(1, 3)) == [event(1, 1, error=Errno.NOTCAPABLE)]


def test_a_pipe_with_data_is_readable(pipe: tuple[int, int]) -> None:
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
        os.write(pipe[1], b"abcd")
        assert raw.poll(clock(1, MONOTONIC, 10**9), readable(2, 0)) == [event(2, 1, nbytes=4)]


def test_an_empty_pipe_waits_for_the_clock(pipe: tuple[int, int]) -> None:
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
        took, events = elapsed_by(raw, readable(1, 0), clock(2, MONOTONIC, TICK))
        assert events == [event(2, 0)]
        assert took >= TICK


def test_an_empty_pipe_waits_with_the_embedder_s_sleep(pipe: tuple[int, int]) -> None:
    virtual = Virtual()
    pause = 2 * 10**9
    with Raw(virtual.config().with_stdin(Inherit(pipe[0]))) as raw:
        took, events = elapsed_by(raw, readable(1, 0), clock(2, MONOTONIC, pause))
        assert events == [event(2, 0)]
        assert virtual.slept == [pause]
        assert took < 10**9


def test_what_comes_during_the_embedder_s_sleep_is_found(pipe: tuple[int, int]) -> None:
    def sleep(_duration: int) -> None:
        os.write(pipe[1], b"xy")

    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0])).with_nanosleep(sleep)) as raw:
        assert raw.poll(readable(1, 0), clock(2, MONOTONIC, 10**9)) == [event(1, 1, nbytes=2)]


def test_a_pipe_whose_writer_has_gone_hangs_up() -> None:
    reader, writer = os.pipe()
    try:
        os.close(writer)
        with Raw(ModuleConfig().with_stdin(Inherit(reader))) as raw:
            assert raw.poll(readable(1, 0)) == [event(1, 1, hangup=True)]
    finally:
        os.close(reader)


def test_a_full_pipe_is_not_writable(pipe: tuple[int, int]) -> None:
    with Raw(ModuleConfig().with_stdout(Inherit(pipe[1]))) as raw:
        assert raw.poll(writable(1, 1)) == [event(1, 2, nbytes=1)]
        os.set_blocking(pipe[1], False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe[1], bytes(4096))
        assert raw.poll(writable(1, 1), clock(2, MONOTONIC, 1000)) == [event(2, 0)]
