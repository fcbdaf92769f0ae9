"""Streams of this process given to a guest: their flags stay as they are, whatever the guest sets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw import Raw
from tests.support.timing import few_tries, in_time
from wasihost import Errno, ModuleConfig
from wasihost.config import Inherit
from wasihost.descriptors import host_stream

pytestmark = pytest.mark.usefixtures("in_time")

APPEND, DSYNC, NONBLOCK, RSYNC, SYNC = (1 << bit for bit in range(5))
SOON = 0.1


@contextlib.contextmanager
def given(stdin: int, stdout: int) -> Iterator[Raw]:
    """A guest with these as 0 and 1, whose host flags do not change meanwhile, and which stay open."""
    before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (stdin, stdout)]
    with Raw(ModuleConfig().with_stdin(Inherit(stdin)).with_stdout(Inherit(stdout))) as raw:
        yield raw
        assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (stdin, stdout)] == before
    assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (stdin, stdout)] == before


@pytest.fixture(autouse=True, params=["now", "poll"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a call does not wait: by the system's own flag for it, or asked before, where there is none."""
    way: str = request.param
    if way == "poll":
        monkeypatch.setattr(host_stream, "_NOWAIT", 0)
    return way


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def errno_of_read(raw: Raw) -> int:
    return raw.call("fd_read", 0, *raw.iovecs((raw.new(9), 9)), 0x80)


def test_the_real_flags_are_reported(pipe: tuple[int, int], tmp_path: Path) -> None:
    with given(*pipe) as raw:
        assert [raw.fdstat(fd)["fs_flags"] for fd in (0, 1)] == [0, 0]
    os.set_blocking(pipe[0], False)
    with open(tmp_path / "f", "ab") as file, given(pipe[0], file.fileno()) as raw:
        assert [raw.fdstat(fd)["fs_flags"] for fd in (0, 1)] == [NONBLOCK, APPEND]
        assert errno_of_read(raw) == Errno.AGAIN


def test_nonblock_for_reading_is_the_guest_s_alone(pipe: tuple[int, int]) -> None:
    with given(*pipe) as raw:
        assert raw.call("fd_fdstat_set_flags", 0, NONBLOCK) == 0
        assert raw.fdstat(0)["fs_flags"] == NONBLOCK
        assert errno_of_read(raw) == Errno.AGAIN
        raw.write(1, b"data")
        assert raw.read(0, 9) == b"data"
        assert raw.call("fd_fdstat_set_flags", 0, 0) == 0
        late = threading.Timer(SOON, os.write, (pipe[1], b"late"))
        late.start()
        assert raw.read(0, 9) == b"late"
        late.join()


def test_nonblock_for_writing_is_the_guest_s_alone(pipe: tuple[int, int], way: str) -> None:
    data, taken = bytes(range(256)) * 24, b""
    with given(*pipe) as raw:
        assert raw.call("fd_fdstat_set_flags", 1, NONBLOCK) == 0
        vectors = raw.data(b"", data)
        while (errno := raw.call("fd_write", 1, *vectors, 0x80)) == 0:
            assert 0 < raw.get(0x80) <= (len(data) if way == "now" else select.PIPE_BUF)
            taken += data[: raw.get(0x80)]
        assert errno == Errno.AGAIN
        assert raw.call("fd_fdstat_set_flags", 1, 0) == 0
        got: list[bytes] = []
        late = threading.Timer(SOON, lambda: got.append(os.read(pipe[0], len(taken))))
        late.start()
        assert raw.write(1, b"the end") == 7
        late.join()
    assert got == [taken]
    assert os.read(pipe[0], 99) == b"the end"


def test_a_guest_that_wants_to_wait_waits_whatever_the_host_s_flags(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    with given(*pipe) as raw:
        for fd in (0, 1):
            assert raw.call("fd_fdstat_set_flags", fd, 0) == 0
        late = threading.Timer(SOON, os.write, (writer, b"late"))
        late.start()
        assert raw.read(0, 9) == b"late"
        late.join()
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(select.PIPE_BUF))
        late = threading.Timer(SOON, os.read, (reader, 1 << 20))
        late.start()
        assert raw.write(1, b"late") == 4
        late.join()


def test_append_to_a_file_is_the_guest_s_alone(pipe: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123")
    with open(tmp_path / "f", "r+b") as file, given(pipe[0], file.fileno()) as raw:
        raw.write(1, b"a")
        assert raw.call("fd_fdstat_set_flags", 1, APPEND | NONBLOCK) == 0
        assert raw.write(1, b"x" * 9000) == 9000
        assert raw.call("fd_fdstat_set_flags", 1, 0) == 0
        assert raw.call("fd_seek", 1, 1, 0, 0x80) == 0
        raw.write(1, b"b")
    assert (tmp_path / "f").read_bytes() == b"ab23" + b"x" * 9000


def test_append_that_is_there_stays(pipe: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123")
    with open(tmp_path / "f", "ab") as file, given(pipe[0], file.fileno()) as raw:
        assert raw.call("fd_fdstat_set_flags", 1, 0) == 0
        assert raw.fdstat(1)["fs_flags"] == APPEND
        assert raw.call("fd_seek", 1, 0, 0, 0x80) == 0
        raw.write(1, b"x")
    assert (tmp_path / "f").read_bytes() == b"0123x"


@pytest.mark.parametrize("flag", [DSYNC, RSYNC, SYNC])
def test_synchronous_flags_cannot_be_set(pipe: tuple[int, int], flag: int) -> None:
    with given(*pipe) as raw:
        assert raw.call("fd_fdstat_set_flags", 1, flag) == Errno.NOTSUP
        assert raw.fdstat(1)["fs_flags"] == 0


def test_files_are_synced_and_pipes_have_nothing_to(pipe: tuple[int, int], tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as file, given(pipe[0], file.fileno()) as raw:
        for name in ("fd_sync", "fd_datasync"):
            assert raw.call(name, 1) == 0
            assert raw.call(name, 0) == Errno.INVAL
    # A regular file that the kernel refuses to sync tells whether it was asked.
    with open("/proc/self/comm", "rb") as comm, given(comm.fileno(), pipe[1]) as raw:
        for name in ("fd_sync", "fd_datasync"):
            assert raw.call(name, 0) == Errno.INVAL


@pytest.mark.parametrize("way", ["now"], indirect=True)
@few_tries
def test_two_guests_that_read_one_pipe_end_in_time(pipe: tuple[int, int]) -> None:
    """Both processes are told that it is readable, and one reads first. Needs RWF_NOWAIT of the OS."""
    ends: list[float] = []

    def read() -> None:
        with Raw(ModuleConfig().with_stdin(Inherit(pipe[0]))) as raw:
            raw.state.handlers.scope.start(time.monotonic_ns() + 300_000_000, RuntimeError("enough"))
            with contextlib.suppress(RuntimeError):
                while True:
                    raw.read(0, 1)
            ends.append(time.monotonic())

    threads = [threading.Thread(target=read) for _ in range(2)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    while len(ends) < 1 and time.monotonic() < begin + 0.25:
        os.write(pipe[1], b"x")
        time.sleep(0.0005)
    for thread in threads:
        thread.join(30)
    assert len(ends) == 2
    in_time(max(ends) - begin, 0.3, 0.6)
