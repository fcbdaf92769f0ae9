"""Python streams that a guest waits for: by their file, by their `readable(timeout)`, by reading ahead."""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.descriptors import open_files
from tests.support.raw import Raw, clock, event, readable
from wasihost import Errno, ModuleConfig

pytestmark = pytest.mark.usefixtures("in_time")

NONBLOCK = 4
SOON = 0.03
TICK = 2_000_000
LONG = 20 * 10**9


class Line:
    """A stream with nothing behind it that the system knows: `send` gives it data, b"" ends it."""

    def __init__(self) -> None:
        self.pieces: queue.Queue[bytes] = queue.Queue()
        self.rest = b""
        self.over = False

    def send(self, data: bytes) -> None:
        self.pieces.put(data)

    def wait(self, timeout: float | None) -> bool:
        if not self.rest and not self.over:
            try:
                self.rest = self.pieces.get(timeout=timeout) if timeout != 0 else self.pieces.get_nowait()
            except queue.Empty:
                return False
            self.over = not self.rest
        return True

    def read(self, size: int) -> bytes:
        self.wait(None)
        data, self.rest = self.rest[:size], self.rest[size:]
        return data


class Hooked(Line):
    """It says whether it has something."""

    def readable(self, timeout: float) -> int:
        return self.wait(timeout) and (len(self.rest) or 1)


class Impatient(Line):
    """Its `read` answers None where it has nothing now."""

    def read(self, size: int) -> bytes | None:  # type: ignore[override]  # what such a reader is
        return super().read(size) if self.wait(0) else None


class OnPipe:
    """A file object of Python's over a pipe."""

    def __init__(self, buffering: int) -> None:
        reads, self.writes = os.pipe()
        self.stream: Any = os.fdopen(reads, "rb", buffering=buffering)

    def send(self, data: bytes) -> None:
        if data:
            os.write(self.writes, data)
        else:
            os.close(self.writes)
            self.writes = -1

    def close(self) -> None:
        self.stream.close()
        if self.writes >= 0:
            os.close(self.writes)


def _threads() -> int:
    return sum(thread.name == "wasihost input" for thread in threading.enumerate())


@pytest.fixture(params=["hook", "thread", "callable", "impatient", "buffered", "raw"])
def line(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Callable[[bytes], None]]]:
    """A stream for a guest, and how to send it something."""
    before = open_files()
    made: Any
    if request.param in ("buffered", "raw"):
        made = OnPipe(-1 if request.param == "buffered" else 0)
        yield made.stream, made.send
        made.close()
    else:
        made = {"hook": Hooked, "impatient": Impatient}.get(request.param, Line)()
        yield made.read if request.param == "callable" else made, made.send
        made.send(b"")
        until = time.monotonic() + 5
        while _threads():
            assert time.monotonic() < until, "a thread outlives its run"
            time.sleep(0.01)
    assert open_files() == before


def test_poll_waits_for_input(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, send = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        begin = time.monotonic_ns()
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        assert time.monotonic_ns() - begin >= TICK
        for piece in (b"one", b"two!"):
            late = threading.Timer(SOON, send, (piece,))
            late.start()
            begin = time.monotonic_ns()
            assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=len(piece))]
            assert time.monotonic_ns() - begin < LONG / 4
            assert raw.poll(readable(1, 0)) == [event(1, 1, nbytes=len(piece))]
            assert raw.read(0, 2) == piece[:2]
            assert raw.poll(readable(1, 0)) == [event(1, 1, nbytes=len(piece) - 2)]
            assert raw.read(0, 9) == piece[2:]
            late.join()


def test_input_is_read_without_a_poll_too(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, send = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        send(b"first")
        assert raw.read(0, 9) == b"first"
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        send(b"second")
        if not isinstance(stream, Impatient):
            assert raw.read(0, 3) == b"sec"
            assert raw.read(0, 9) == b"ond"


def test_poll_reports_the_end_of_input(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, send = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        send(b"")
        (found,) = raw.poll(readable(1, 0), clock(2, 1, LONG))
        if not isinstance(stream, Hooked):  # which cannot tell
            assert found == event(1, 1, hangup=True)
        assert raw.read(0, 9) == b""


def test_nonblock_does_not_wait(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, send = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        vectors = raw.iovecs((raw.new(9), 9))
        assert raw.call("fd_fdstat_set_flags", 0, NONBLOCK) == 0
        assert raw.fdstat(0)["fs_flags"] == NONBLOCK
        assert raw.call("fd_read", 0, *vectors, 0x80) == Errno.AGAIN
        send(b"now")
        while raw.call("fd_read", 0, *vectors, 0x80) == Errno.AGAIN:
            time.sleep(0.001)
        assert raw.get(0x80) == 3
        assert raw.call("fd_read", 0, *vectors, 0x80) == Errno.AGAIN
        assert raw.call("fd_fdstat_set_flags", 0, 1) == Errno.NOTSUP


def test_poll_for_input_ends_with_the_guest(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, _ = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        raw.state.handlers.scope.start(time.monotonic_ns() + 30_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            raw.poll(readable(1, 0))


def test_poll_counts_bytes_in_the_buffer_of_a_stream() -> None:
    pipe = OnPipe(-1)
    pipe.send(b"0123456789")
    assert pipe.stream.read(3) == b"012"
    with Raw(ModuleConfig().with_stdin(pipe.stream)) as raw:
        assert raw.poll(readable(1, 0)) == [event(1, 1, nbytes=7)]
        assert raw.read(0, 5) == b"34567"
        assert raw.poll(readable(1, 0)) == [event(1, 1, nbytes=2)]
        pipe.send(b"ab")
        assert raw.poll(readable(1, 0)) == [event(1, 1, nbytes=4)]
        assert raw.read(0, 9) + raw.read(0, 9) == b"89ab"
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
    pipe.close()


def test_poll_reports_files_as_ready_with_their_size(tmp_path: Path) -> None:
    data = io.BytesIO(b"12345")
    data.read(2)
    (tmp_path / "f").write_bytes(bytes(1000))
    with open(tmp_path / "f", "rb") as file:
        file.read(1)
        for stream, size in ((io.StringIO("text"), 1), (data, 3), (file, 999)):
            with Raw(ModuleConfig().with_stdin(stream)) as raw:
                assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=size)]
    data.read()
    with Raw(ModuleConfig().with_stdin(data)) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1)]


@pytest.mark.parametrize("stream", [gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"unpacked"))),
                                    io.TextIOWrapper(io.BytesIO(b"unpacked"))], ids=["gzip", "text"])  # fmt: skip
def test_streams_without_a_hook_are_read_ahead(stream: Any) -> None:
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=8)]
        assert raw.read(0, 9) == b"unpacked"


class Unpacking(io.RawIOBase):
    """It has a descriptor, and data of its own that do not show there."""

    def __init__(self, fd: int, data: bytes) -> None:
        self.fd = fd
        self.data = data

    def fileno(self) -> int:
        return self.fd

    def read(self, size: int = -1) -> bytes:
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def test_a_descriptor_is_not_taken_for_all_that_an_object_has() -> None:
    pipe = OnPipe(0)
    with Raw(ModuleConfig().with_stdin(Unpacking(pipe.stream.fileno(), b"packed"))) as raw:
        raw.state.handlers.scope.start(time.monotonic_ns() + LONG, RuntimeError("enough"))
        assert raw.read(0, 3) == b"pac"
        assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=3)]
        assert raw.read(0, 9) == b"ked"
    pipe.close()


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

    with Raw(ModuleConfig().with_stdin(Odd())) as raw, pytest.raises(TypeError, match=r"readable\(0\) of .* answered"):
        raw.poll(readable(1, 0))


@pytest.mark.parametrize("kind", [Line, Hooked, "callable"])
def test_the_next_run_of_the_same_object_loses_nothing(kind: Any) -> None:
    line: Line = Line() if kind == "callable" else kind()
    stream: Any = line.read if kind == "callable" else line
    config = ModuleConfig().with_stdin(stream)
    for number in range(5):
        with Raw(config) as raw:
            assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        assert _threads() <= 1
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
