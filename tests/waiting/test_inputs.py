"""Python streams that a guest waits for: by their file, by their `readable(timeout)`, by reading ahead."""

from __future__ import annotations

import gzip
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.descriptors import open_files
from tests.support.raw import Raw, clock, event, readable
from tests.waiting.lines import LONG, NONBLOCK, SOON, TICK, Hooked, Impatient, Line, OnPipe, input_threads
from wasihost import Errno, ModuleConfig

pytestmark = pytest.mark.usefixtures("in_time")


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
        while input_threads():
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
