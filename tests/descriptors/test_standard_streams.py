"""Descriptors 0, 1 and 2: what can be given as a stream, and what the guest sees of it."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw import Raw, abi, clock, event, writable
from tests.support.terminals import terminal
from wasihost import Errno, ModuleConfig
from wasihost.config import Inherit

ROOT = Path(__file__).resolve().parents[2]
"""Where processes of their own find `tests.support`."""
UNKNOWN, CHARACTER_DEVICE, REGULAR_FILE = 0, 2, 4


def rights(*names: str) -> int:
    flags = abi()["types"]["rights"]["flags"]
    return sum(1 << flags.index(name) for name in names)


READ, WRITE, SEEK, TELL = (rights(f"fd_{name}") for name in ("read", "write", "seek", "tell"))
COMMON = rights("fd_fdstat_set_flags", "fd_filestat_get", "poll_fd_readwrite")


def all_of(raw: Raw, size: int = 3) -> bytes:
    out = b""
    while piece := raw.read(0, size):
        out += piece
    return out


class OnlyRead:
    """The least that can be standard input."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read(self, size: int, /) -> bytes:
        return self.pieces.pop(0)[:size] if self.pieces else b""


@pytest.mark.parametrize(
    ("stdin", "content"),
    [
        pytest.param(None, b"", id="nothing"),
        pytest.param(b"some bytes", b"some bytes", id="bytes"),
        pytest.param(io.BytesIO(b"some bytes"), b"some bytes", id="BytesIO"),
        pytest.param(io.BufferedReader(io.BytesIO(b"buffered")), b"buffered", id="BufferedReader"),
        pytest.param(OnlyRead(b"ab", b"c"), b"abc", id="object"),
    ],
)
def test_standard_input(stdin: Any, content: bytes) -> None:
    with Raw(ModuleConfig().with_stdin(stdin)) as raw:
        assert all_of(raw) == content
        assert raw.read(0, 3) == b""
        stat = raw.fdstat(0)
        assert (stat["fs_filetype"], stat["fs_rights_base"]) == (UNKNOWN, COMMON | READ)


def test_standard_input_from_a_file_object(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"from a file")
    with (tmp_path / "f").open("rb") as file, Raw(ModuleConfig().with_stdin(file)) as raw:
        assert all_of(raw) == b"from a file"


def test_a_read_returns_what_is_there_and_does_not_wait_for_more() -> None:
    reader, writer = os.pipe()
    with (
        open(writer, "wb", buffering=0) as out,
        open(reader, "rb") as file,
        Raw(ModuleConfig().with_stdin(file)) as raw,
    ):
        out.write(b"ab")
        assert raw.read(0, 100) == b"ab"


def test_input_that_has_nothing_now_is_again() -> None:
    class Empty:
        def read(self, size: int, /) -> None:
            return None

    with Raw(ModuleConfig().with_stdin(Empty())) as raw:
        assert raw.call("fd_read", 0, *raw.iovecs((0x100, 4)), 0x80) == Errno.AGAIN


@pytest.mark.parametrize(("given", "error"), [(3.5, TypeError), (b"too long", ValueError), ("too long", ValueError)])
def test_input_that_is_not_what_was_asked_for_is_an_error_of_the_embedder(given: Any, error: type[Exception]) -> None:
    class Wrong:
        def read(self, size: int, /) -> Any:
            return given

    with Raw(ModuleConfig().with_stdin(Wrong())) as raw:
        before = bytes(raw.memory)
        vectors = raw.iovecs((0x100, 4))
        with pytest.raises(error, match="standard input gave"):
            raw.call("fd_read", 0, *vectors, 0x80)
        assert raw.memory[:0x200] == before[:0x200]


def test_standard_output_and_error_to_a_callable_and_an_object() -> None:
    lines: list[bytes] = []
    kept = io.BytesIO()
    with Raw(ModuleConfig().with_stdout(lines.append).with_stderr(kept)) as raw:
        assert raw.write(1, b"one ", b"two") == 7
        assert raw.write(2, b"three") == 5
        stat = raw.fdstat(1)
        assert (stat["fs_filetype"], stat["fs_rights_base"]) == (UNKNOWN, COMMON | WRITE)
    assert lines == [b"one two"]
    assert type(lines[0]) is bytes
    assert kept.getvalue() == b"three"
    assert not kept.closed


def test_writes_are_not_buffered(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file, Raw(ModuleConfig().with_stdout(file)) as raw:
        raw.write(1, b"now")
        assert (tmp_path / "f").read_bytes() == b"now"


def test_an_oserror_of_a_stream_is_the_guest_s_errno() -> None:
    def full(_data: bytes) -> None:
        raise OSError(28, "No space left on device")  # ENOSPC on every system

    with Raw(ModuleConfig().with_stdout(full)) as raw:
        assert raw.call("fd_write", 1, *raw.data(b"x"), 0x80) == Errno.NOSPC


def test_any_other_exception_of_a_stream_comes_out() -> None:
    def broken(_data: bytes) -> None:
        raise LookupError("mine")

    with Raw(ModuleConfig().with_stdout(broken)) as raw:
        vectors = raw.data(b"x")
        with pytest.raises(LookupError, match="mine"):
            raw.call("fd_write", 1, *vectors, 0x80)


def test_streams_go_one_way_and_have_no_position() -> None:
    with Raw(ModuleConfig().with_stdin(b"abc")) as raw:
        vectors = raw.iovecs((0x100, 1))
        assert raw.call("fd_write", 0, *vectors, 0x80) == Errno.BADF
        assert raw.call("fd_read", 1, *vectors, 0x80) == Errno.BADF
        assert raw.call("fd_pread", 0, *vectors, 0, 0x80) == Errno.SPIPE
        assert raw.call("fd_pwrite", 1, *vectors, 0, 0x80) == Errno.SPIPE
        assert raw.call("fd_seek", 0, 0, 0, 0x80) == Errno.SPIPE
        assert raw.call("fd_tell", 1, 0x80) == Errno.SPIPE
        assert raw.call("fd_readdir", 0, 0x100, 100, 0, 0x80) == Errno.NOTDIR
        assert raw.call("path_filestat_get", 1, 0, 0x100, 1, 0x80) == Errno.NOTDIR


# -- INHERIT: the streams of a process of their own --------------------------------------------------------------------

REPORT = """
import json, os, sys
from tests.support.raw import Raw
from wasihost import INHERIT, ModuleConfig
where = int(sys.argv[1])
with Raw(ModuleConfig().with_stdin(INHERIT).with_stdout(INHERIT).with_stderr(INHERIT)) as raw:
    report = [raw.fdstat(fd) for fd in range(3)]
    if sys.argv[2:]:
        raw.write(1, b"copied: ", raw.read(0, 100))
        seek = raw.call("fd_seek", 0, 1, 0, 0x80)
        buffer = raw.new(100)
        vectors = raw.iovecs((buffer, 2))
        pread = raw.call("fd_pread", 0, *vectors, 1, 0x80)
        report.append([seek, pread, raw.memory[buffer:buffer + 2].decode()])
        assert raw.call("fd_close", 1) == 0
os.fstat(1)  # a guest's fd_close leaves it open
os.write(where, json.dumps(report).encode())
"""


def report(*arguments: str, **streams: Any) -> list[Any]:
    """Run REPORT with these streams. What it tells through a pipe of its own."""
    reader, writer = os.pipe()
    with open(reader, "rb") as told:
        try:
            command = [sys.executable, "-c", REPORT, str(writer), *arguments]
            done = subprocess.run(command, pass_fds=[writer], cwd=ROOT, timeout=30, check=False, **streams)
        finally:
            os.close(writer)
        assert done.returncode == 0
        loaded: list[Any] = json.loads(told.read())
        return loaded


def kinds(stats: list[dict[str, int]]) -> list[tuple[int, int]]:
    return [(stat["fs_filetype"], stat["fs_rights_base"]) for stat in stats[:3]]


def test_inherited_pipes() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"data")
    os.close(writer)
    back, out = os.pipe()
    try:
        stats = report("copy", stdin=reader, stdout=out, stderr=out)
    finally:
        os.close(reader)
        os.close(out)
    with open(back, "rb") as written:
        assert written.read() == b"copied: data"
    assert kinds(stats) == [(UNKNOWN, COMMON | READ), (UNKNOWN, COMMON | WRITE), (UNKNOWN, COMMON | WRITE)]
    assert stats[3][:2] == [Errno.SPIPE, Errno.SPIPE]


def test_inherited_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"data")
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        stats = report("copy", stdin=stdin, stdout=stdout)
        assert stdin.tell() == 1  # the position is shared, and the guest has sought
    both = COMMON | SEEK | TELL | rights("fd_sync", "fd_datasync")
    assert kinds(stats)[:2] == [(REGULAR_FILE, both | READ), (REGULAR_FILE, both | WRITE)]
    assert stats[3] == [0, 0, "at"]
    assert (tmp_path / "out").read_bytes() == b"copied: data"


def test_inherited_terminals() -> None:
    parent, child = terminal()
    try:
        stats = report(stdin=child, stdout=child, stderr=child)
    finally:
        os.close(parent)
        os.close(child)
    kind = CHARACTER_DEVICE  # without SEEK and TELL: that is how a guest's isatty knows
    assert kinds(stats) == [(kind, COMMON | READ), (kind, COMMON | WRITE), (kind, COMMON | WRITE)]


def test_an_inherited_null_device_is_not_a_terminal() -> None:
    stats = report(stdin=subprocess.DEVNULL)
    assert kinds(stats)[0] == (CHARACTER_DEVICE, COMMON | READ | SEEK | TELL)


def test_streams_that_this_process_does_not_have_are_empty() -> None:
    code = """
import os, sys
from tests.support.raw import Raw
from wasihost import INHERIT, ModuleConfig
kept = os.dup(2)
for fd in range(3):
    os.close(fd)
with Raw(ModuleConfig().with_stdin(INHERIT).with_stdout(INHERIT).with_stderr(INHERIT)) as raw:
    assert raw.read(0, 4) == b"" and raw.write(1, b"abc") == 3 and raw.write(2, b"abc") == 3
os.write(kept, b"well")
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"well")


class Refusing(io.RawIOBase):
    """Takes a part, then nothing."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)

    def writable(self) -> bool:
        return True

    def write(self, _data: object) -> int | None:
        return self.answers.pop(0)


def test_a_raw_stream_s_short_write_is_reported() -> None:
    with Raw(ModuleConfig().with_stdout(Refusing(3, None))) as raw:
        assert raw.write(1, b"12345") == 3
        assert raw.call("fd_write", 1, *raw.data(b"45"), 0x80) == Errno.AGAIN


def test_a_short_write_before_blocking_is_reported() -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise BlockingIOError(11, "full", 2 if len(data) > 2 else 0)

    with Raw(ModuleConfig().with_stdout(Full())) as raw:
        assert raw.write(1, b"12345") == 2
        assert raw.call("fd_write", 1, *raw.data(b"45"), 0x80) == Errno.AGAIN


def _write_for_ever(raw: Raw, vectors: tuple[int, int]) -> None:
    while True:
        assert raw.call("fd_write", 1, *vectors, 0x80) == 0


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_object_on_a_pipe_is_waited_for(buffering: int) -> None:
    reads, writes = os.pipe()
    with os.fdopen(writes, "wb", buffering=buffering) as file:
        file.write(b"before ")
        with Raw(ModuleConfig().with_stdout(file)) as raw:
            assert raw.write(1, b"after") == 5
            assert os.read(reads, 99) == b"before after"
            scope = raw.state.handlers.scope
            scope.start(time.monotonic_ns() + 100_000_000, RuntimeError("enough"))
            vectors = raw.data(bytes(8192))
            with pytest.raises(RuntimeError, match="enough"):
                _write_for_ever(raw, vectors)
            scope.start(None, None)
            assert raw.poll(writable(1, 1), clock(2, 1, 1000)) == [event(2, 0)]
            os.read(reads, 1 << 20)
            assert raw.poll(writable(1, 1), clock(2, 1, 10**10)) == [event(1, 2, nbytes=1)]
        assert not file.closed
    os.close(reads)


def test_an_inherited_socket_is_one() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        config = ModuleConfig().with_stdin(Inherit(theirs.fileno())).with_stdout(Inherit(theirs.fileno()))
        with Raw(config) as raw:
            ours.sendall(b"question")
            assert raw.fdstat(0)["fs_filetype"] == 6
            assert raw.fdstat(0)["fs_rights_base"] & WRITE == 0
            assert raw.read(0, 99) == b"question"
            assert raw.write(1, b"answer") == 6
            assert ours.recv(99) == b"answer"
            assert raw.call("sock_shutdown", 1, 2) == 0
            assert ours.recv(99) == b""
        assert theirs.fileno() >= 0


def test_a_read_of_an_object_that_comes_too_late_ends_the_guest() -> None:
    class Late:
        def read(self, _size: int) -> bytes:
            time.sleep(0.05)
            return b"late"

    with Raw(ModuleConfig().with_stdin(Late())) as raw:
        raw.state.handlers.scope.start(time.monotonic_ns() + 20_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            raw.read(0, 9)
