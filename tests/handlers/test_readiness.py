"""Python streams that a guest waits for: by their file, by their `readable(timeout)`, by reading ahead."""

from __future__ import annotations

import gzip
import io
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
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


def test_it_is_waited_for(line: tuple[Any, Callable[[bytes], None]]) -> None:
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


def test_what_was_not_waited_for_is_read_too(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, send = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        send(b"first")
        assert raw.read(0, 9) == b"first"
        assert raw.poll(readable(1, 0), clock(2, 1, TICK)) == [event(2, 0)]
        send(b"second")
        if not isinstance(stream, Impatient):
            assert raw.read(0, 3) == b"sec"
            assert raw.read(0, 9) == b"ond"


def test_its_end_is_ready(line: tuple[Any, Callable[[bytes], None]]) -> None:
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


def test_waiting_for_it_ends_with_the_guest(line: tuple[Any, Callable[[bytes], None]]) -> None:
    stream, _ = line
    with Raw(ModuleConfig().with_stdin(stream)) as raw:
        raw.state.handlers.deadline.start(time.monotonic_ns() + 30_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            raw.poll(readable(1, 0))


def test_what_a_buffered_stream_holds_is_counted() -> None:
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


def test_what_cannot_be_asked_is_always_ready() -> None:
    packed = gzip.compress(b"unpacked")
    for stream in (io.StringIO("text"), io.BytesIO(b"bytes"), gzip.GzipFile(fileobj=io.BytesIO(packed))):
        with Raw(ModuleConfig().with_stdin(stream)) as raw:
            assert raw.poll(readable(1, 0), clock(2, 1, LONG)) == [event(1, 1, nbytes=1)]


def test_what_its_read_raises_reaches_the_embedder() -> None:
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
