"""Hooks and the thread that reads ahead: one caller at a time, and nothing is lost between runs of the same object."""

from __future__ import annotations

import contextlib
import gc
import io
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from tests.support.raw import Raw, clock, event, readable
from tests.waiting.lines import LONG, SOON, TICK, Hooked, Line, OnPipe, input_threads
from wasihost import ModuleConfig

pytestmark = pytest.mark.usefixtures("in_time")


class Strict(Hooked):
    """It does not want to be called while it is."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def alone(self) -> contextlib.AbstractContextManager[bool]:
        assert self.lock.acquire(blocking=False), "two threads at once"
        self.lock.release()
        return self.lock

    def readable(self, timeout: float) -> int:
        with self.alone():
            return super().readable(timeout)

    def read(self, size: int) -> bytes:
        with self.alone():
            return super().read(size)


@pytest.mark.parametrize("active", [False, True])
def test_a_hook_is_called_by_one_thread_at_a_time_and_loses_nothing(active: bool) -> None:
    def send(line: Line) -> None:
        line.send(b"one")
        line.send(b"two")

    for number in range(20):
        line = Strict()
        with Raw(ModuleConfig().with_stdin(line)) as raw:
            if active:
                raw.state.handlers.scope.start(time.monotonic_ns() + LONG, RuntimeError("enough"))
            assert raw.poll(readable(1, 0), clock(2, 1, TICK // 2)) == [event(2, 0)]
            late = threading.Timer(number / 2000, send, (line,))
            late.start()
            assert raw.read(0, 9) == b"one"
            assert raw.read(0, 9) == b"two"
            late.join()


def test_a_hook_that_does_not_wait_is_not_asked_all_the_time() -> None:
    asked: list[float] = []

    class Hasty(Line):
        def readable(self, timeout: float) -> bool:
            asked.append(timeout)
            return False

    with Raw(ModuleConfig().with_stdin(Hasty())) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, 50 * TICK)) == [event(2, 0)]
        raw.state.handlers.scope.start(time.monotonic_ns() + 50 * TICK, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            raw.read(0, 1)
    assert len(asked) < 200


@pytest.mark.parametrize("answer", [None, "yes", -1, 2**70])
def test_a_hook_that_returns_nonsense_is_an_error(answer: object) -> None:
    class Odd(Line):
        def readable(self, _timeout: float) -> object:
            return answer

    with Raw(ModuleConfig().with_stdin(Odd())) as raw, pytest.raises(TypeError, match=r"readable\(0\) of .* returned"):
        raw.poll(readable(1, 0))


@pytest.mark.parametrize("kind", [Line, Hooked, "callable"])
def test_the_next_run_of_the_same_object_loses_nothing(kind: Any) -> None:
    line: Line = Line() if kind == "callable" else kind()
    stream: Any = line.read if kind == "callable" else line
    config = ModuleConfig().with_stdin(stream)
    for number in range(5):
        with Raw(config) as raw:
            assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        assert input_threads() <= 1
        line.send(b"%d!" % number)
        with Raw(config) as raw:
            assert raw.read(0, 1) == b"%d" % number
            assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=1)]
        with Raw(config) as raw:
            assert raw.read(0, 9) == b"!"
    line.send(b"")


@pytest.mark.parametrize("ahead", [False, True])
def test_a_thread_of_the_run_before_that_ends_later_leaves_the_object_to_the_next_run(ahead: bool) -> None:
    inside, go = threading.Event(), threading.Event()

    def wait() -> None:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            assert go.wait(30)

    class Slow(Line):
        def read(self, size: int) -> bytes | None:  # type: ignore[override]  # what such a reader is
            wait()
            return super().read(size) if self.wait(0) else None

    class SlowHook(Hooked):
        def readable(self, timeout: float) -> int:
            wait()
            return super().readable(0)

    line = Slow() if ahead else SlowHook()
    config = ModuleConfig().with_stdin(line)
    with Raw(config) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
    assert inside.is_set()
    with Raw(config) as raw:
        go.set()
        for thread in threading.enumerate():
            if thread.name == "wasihost input":
                thread.join(30)
        line.send(b"data")
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=4)]
        assert raw.read(0, 9) == b"data"


def test_input_read_ahead_is_kept_for_one_method_of_one_object() -> None:
    class Two(Line):
        def other(self, _size: int) -> bytes:
            return b"other"

        def __eq__(self, _other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    first, second = Two(), Two()
    first.send(b"secret")
    with Raw(ModuleConfig().with_stdin(first.read)) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=6)]
    second.send(b"own")
    for stream, content in ((first.other, b"other"), (second.read, b"own"), (first.read, b"secret")):
        with Raw(ModuleConfig().with_stdin(stream)) as raw:
            assert raw.read(0, 9) == content


def test_input_read_ahead_does_not_keep_the_object_alive() -> None:
    line = Line()
    with Raw(ModuleConfig().with_stdin(line)) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        line.send(b"left")
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=4)]
    del raw
    gone = weakref.ref(line)
    del line
    gc.collect()
    assert gone() is None


def test_a_thread_that_waits_does_not_keep_the_process() -> None:
    code = (
        "import queue, sys; sys.path.insert(0, '.')\n"
        "from tests.support.raw import Raw, clock, readable\n"
        "from wasihost import ModuleConfig\n"
        "with Raw(ModuleConfig().with_stdin(lambda size: queue.Queue().get())) as raw:\n"
        "    assert len(raw.poll(readable(1, 0), clock(2, 1, 1000))) == 1\n"
        "print('over')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_an_exception_of_read_reaches_the_caller() -> None:
    def read(_size: int) -> bytes:
        time.sleep(SOON)
        raise RuntimeError("the line is cut")

    with Raw(ModuleConfig().with_stdin(read)) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1)]
        assert raw.poll(readable(1, 0)) == [event(1, 1)]
        with pytest.raises(RuntimeError, match="the line is cut"):
            raw.read(0, 1)


def test_a_text_stream_gives_its_lines() -> None:
    pipe = OnPipe(-1)
    with Raw(ModuleConfig().with_stdin(io.TextIOWrapper(pipe.stream, encoding="latin-1"))) as raw:
        pipe.send("grüß\n".encode("latin-1"))
        assert raw.read(0, 99) == "grüß\n".encode()
    pipe.close()
