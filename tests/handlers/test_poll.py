"""poll_oneoff: clocks, descriptors, and both at once."""

import contextlib
import errno
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.support.raw import Raw, clock, event, readable, writable
from tests.support.timing import few_tries, in_time
from wasihost import Errno, LimitExceeded, ModuleConfig
from wasihost.config import Inherit
from wasihost.testing import FaultyFS, MemoryFS

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
    """A clock that advances only when the guest sleeps."""

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
        now = (time.time_ns, time.monotonic_ns)[which]
        begin = now()
        events = raw.poll(clock(7, which, begin + TICK if absolute else TICK, absolute=absolute))
        assert events == [event(7, 0)]
        assert now() - begin >= TICK - (100_000 if which == REALTIME or absolute else 0)


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
        raw.state.handlers.scope.start(time.monotonic_ns() + 20_000_000, RuntimeError("enough"))
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


def test_poll_finds_input_that_came_during_the_embedder_s_sleep(pipe: tuple[int, int]) -> None:
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


def test_a_descriptor_that_was_closed_behind_its_back_is_badf() -> None:
    reader, writer = os.pipe()
    with Raw(ModuleConfig().with_stdin(Inherit(reader))) as raw:
        os.close(reader)
        assert raw.poll(readable(1, 0), clock(2, MONOTONIC, HOUR)) == [event(1, 1, error=Errno.BADF)]
    os.close(writer)


def test_poll_reports_an_error_of_one_subscription_in_its_event() -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            return b""

        def readable(self, timeout: float) -> bool:
            raise OSError(5, "the line is cut")

    fs = FaultyFS(MemoryFS({"f": b"12345"}))
    with Raw(ModuleConfig().with_stdin(Broken()).with_mount("/", fs)) as raw:
        fd = raw.open("f")
        fs.fail("stat", errno.ENOSPC)
        assert raw.poll(readable(1, 0), readable(2, fd), writable(3, 1)) == [
            event(1, 1, error=Errno.IO),
            event(2, 1, error=Errno.NOSPC),
            event(3, 2, nbytes=1),
        ]


def test_a_limit_of_sleeps_is_for_what_really_sleeps(pipe: tuple[int, int]) -> None:
    config = ModuleConfig().with_stdin(Inherit(pipe[0])).with_limits(sleep=2)
    with Raw(config) as raw:
        with pytest.raises(LimitExceeded):
            raw.poll(readable(1, 0), clock(2, MONOTONIC, HOUR))
        os.write(pipe[1], b"x")
        assert raw.poll(readable(1, 0), clock(2, MONOTONIC, HOUR)) == [event(1, 1, nbytes=1)]
        assert raw.poll(readable(1, 0), clock(2, REALTIME, 2**63, absolute=True)) == [event(1, 1, nbytes=1)]


@pytest.mark.parametrize("alone", [True, False])
def test_a_time_of_the_wall_clock_has_come_when_it_is_over(alone: bool, pipe: tuple[int, int]) -> None:
    """Also where the clock goes slowly, or is set back, while one waits."""
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
        clocks = raw.state.handlers.clocks
        begin = time.monotonic_ns()
        clocks.now = (lambda: (time.monotonic_ns() - begin) // 2, *clocks.now[1:])
        others = () if alone else (readable(1, 0), clock(3, MONOTONIC, HOUR))
        assert raw.poll(*others, clock(2, REALTIME, 20 * TICK, absolute=True)) == [event(2, 0)]
        assert clocks.now[0]() >= 20 * TICK


def test_of_several_timers_those_that_are_due_are_reported() -> None:
    with Raw() as raw:
        begin = time.time_ns()
        soon = clock(2, REALTIME, begin + 20 * TICK, absolute=True)
        found = raw.poll(
            clock(1, REALTIME, begin + HOUR, absolute=True),
            soon,
            clock(3, MONOTONIC, HOUR),
            clock(4, MONOTONIC, 0),
        )
        assert found == [event(4, 0)]
        assert raw.poll(clock(1, MONOTONIC, HOUR), soon) == [event(2, 0)]
        assert time.time_ns() >= begin + 20 * TICK


@few_tries
def test_a_millisecond_is_never_shorter_and_seldom_much_longer(pipe: tuple[int, int]) -> None:
    """The bound is the issue's for a quiet machine; here it has to hold for one sleep of a few."""
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
        for subscriptions in ((clock(1, MONOTONIC, 10**6),), (readable(2, 0), clock(1, MONOTONIC, 10**6))):
            took = [elapsed_by(raw, *subscriptions)[0] for _ in range(20)]
            assert min(took) >= 10**6
            in_time(min(took), 10**6, 1_500_000)


@few_tries
def test_high_descriptors_are_waited_for_as_precisely(pipe: tuple[int, int]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    high = os.dup2(pipe[0], 1500, inheritable=False)
    try:
        with Raw(ModuleConfig().with_stdin(Inherit(high))) as raw:
            took = [elapsed_by(raw, readable(1, 0), clock(2, MONOTONIC, 1_200_000))[0] for _ in range(10)]
            in_time(min(took), 1_200_000, 2_000_000)
            os.write(pipe[1], b"x")
            assert raw.poll(readable(1, 0), clock(2, MONOTONIC, HOUR)) == [event(1, 1, nbytes=1)]
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_poll_does_not_wait_if_the_guest_was_ended_before(pipe: tuple[int, int]) -> None:
    """Also if the reason is one that handlers make an errno of."""
    for reason in (RuntimeError("enough"), TimeoutError("enough"), OSError(5, "enough")):
        with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
            scope = raw.state.handlers.scope
            scope.start(None, None)
            scope.cancel(reason)
            for act in (lambda: raw.poll(readable(1, 0)), lambda: raw.read(0, 1), lambda: raw.poll(clock(1, 1, HOUR))):
                with pytest.raises(type(reason)) as caught:
                    act()
                assert caught.value is reason


def test_the_cache_of_polls_is_bounded() -> None:
    with Raw() as raw:
        for number in range(100):
            raw.poll(writable(number, 1), writable(2, 1))
        raw.poll(*(writable(number, 1) for number in range(600)))
        kept = raw.state.handlers.polls
        assert 0 < len(kept) <= 8
        assert max(map(len, kept.values())) == 2


def test_a_poll_asked_before_is_answered_as_things_are_now(pipe: tuple[int, int]) -> None:
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0])).with_stdout(Inherit(pipe[1]))) as raw:
        os.write(pipe[1], b"x")
        asked = readable(1, 0), writable(2, 1)
        assert raw.poll(*asked) == [event(1, 1, nbytes=1), event(2, 2, nbytes=1)]
        assert raw.call("fd_fdstat_set_rights", 1, raw.fdstat(1)["fs_rights_base"] & ~(1 << 6), 0) == 0
        assert raw.poll(*asked) == [event(2, 2, error=Errno.NOTCAPABLE), event(1, 1, nbytes=1)]
        assert raw.call("fd_close", 0) == 0
        assert raw.poll(*asked) == [event(1, 1, error=Errno.BADF), event(2, 2, error=Errno.NOTCAPABLE)]


def test_a_kept_poll_waits_for_what_has_the_number_now(pipe: tuple[int, int]) -> None:
    other = os.pipe()
    config = ModuleConfig().with_stdin(Inherit(pipe[0])).with_stdout(Inherit(other[1])).with_stderr(Inherit(pipe[1]))
    with Raw(config) as raw:
        asked = writable(1, 1), readable(2, 0), writable(3, 2), writable(4, 1), readable(5, 0)
        writes = [event(1, 2, nbytes=1), event(3, 2, nbytes=1), event(4, 2, nbytes=1)]
        for _ in range(3):
            assert raw.poll(*asked) == writes
        assert raw.state.handlers.table.watched
        os.write(pipe[1], b"12")
        every = [writes[0], event(2, 1, nbytes=2), *writes[1:], event(5, 1, nbytes=2)]
        assert raw.poll(*asked) == every
        os.close(other[0])
        broken = [event(1, 2, nbytes=1, hangup=True), every[1], every[2], event(4, 2, nbytes=1, hangup=True), every[4]]
        assert raw.poll(*asked) == broken
        assert raw.call("fd_renumber", 2, 1) == 0
        found = raw.poll(*asked)
        assert found == [event(3, 2, error=Errno.BADF), every[0], every[1], every[3], every[4]]
    os.close(other[1])


def test_any_number_of_ends_does_not_hold_whoever_ends(pipe: tuple[int, int]) -> None:
    with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
        scope = raw.state.handlers.scope
        scope.start(None, None)
        assert raw.poll(readable(1, 0), clock(2, MONOTONIC, 1000)) == [event(2, 0)]
        for _ in range(70_000):
            scope.cancel(RuntimeError("enough"))
            scope.start(None, None)
        took, events = elapsed_by(raw, readable(1, 0), clock(2, MONOTONIC, TICK))
        assert events == [event(2, 0)]
        assert took >= TICK
