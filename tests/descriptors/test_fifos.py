"""Opening what POSIX would wait for: a FIFO's other end, another process' lease, a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.raw import Raw, abi, clock, event, readable
from tests.support.terminals import terminal
from wasihost import Errno

pytestmark = pytest.mark.usefixtures("in_time")

ROOT = Path(__file__).resolve().parents[2]
NONBLOCK = 1 << 2


def rights(*names: str) -> int:
    flags = abi()["types"]["rights"]["flags"]
    return sum(1 << flags.index(f"fd_{name}") for name in names)


POLL = 1 << abi()["types"]["rights"]["flags"].index("poll_fd_readwrite")
READ, WRITE = rights("read", "fdstat_set_flags"), rights("write", "fdstat_set_flags")


@pytest.fixture(params=["pipe", "d/pipe"])
def name(request: pytest.FixtureRequest, folder: Path) -> str:
    """A FIFO: one that is opened by its name, and one whose path is resolved."""
    (folder / "d").mkdir()
    os.mkfifo(folder / request.param)
    return str(request.param)


@pytest.fixture
def soon() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Do something in another thread, when this one is most likely waiting."""
    timers: list[threading.Timer] = []

    def start(action: Callable[[], object]) -> None:
        timers.append(threading.Timer(0.1, action))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


Soon = Callable[[Callable[[], object]], None]


def read_errno(raw: Raw, fd: int) -> int:
    return raw.call("fd_read", fd, *raw.iovecs((raw.new(9), 9)), 0x80)


def test_reading_opens_at_once_and_waits_for_a_writer_that_is_there(
    raw: Raw, folder: Path, name: str, soon: Soon
) -> None:
    fd = raw.open(name, rights=READ)
    assert raw.fdstat(fd)["fs_flags"] == 0
    writer = os.open(folder / name, os.O_WRONLY)
    soon(lambda: os.write(writer, b"late"))
    assert raw.read(fd, 9) == b"late"
    os.close(writer)
    assert raw.read(fd, 9) == b""


def test_reading_waits_for_the_first_writer(raw: Raw, folder: Path, name: str, soon: Soon) -> None:
    """As on Linux, where opening has waited. After that one has gone, and before the next, it is at its end."""
    fd = raw.open(name, rights=READ)

    def write() -> None:
        writer = os.open(folder / name, os.O_WRONLY)
        os.write(writer, b"first")
        os.close(writer)

    soon(write)
    assert raw.read(fd, 9) == b"first"
    assert raw.read(fd, 9) == b""
    write()
    assert raw.read(fd, 9) == b"first"


def test_a_writer_that_came_and_wrote_nothing_is_an_end(raw: Raw, folder: Path, name: str, soon: Soon) -> None:
    fd = raw.open(name, rights=READ)
    soon(lambda: os.close(os.open(folder / name, os.O_WRONLY)))
    assert raw.read(fd, 9) == b""


def test_with_nonblock_no_writer_is_an_end(raw: Raw, name: str) -> None:
    assert raw.read(raw.open(name, rights=READ, flags=NONBLOCK), 9) == b""


def test_a_deadline_ends_the_wait_for_the_first_writer(raw: Raw, name: str) -> None:
    fd = raw.open(name, rights=READ)
    raw.state.handlers.scope.start(time.monotonic_ns() + 50_000_000, RuntimeError("enough"))
    with pytest.raises(RuntimeError, match="enough"):
        raw.read(fd, 9)


def test_a_poll_waits_for_the_first_writer(raw: Raw, folder: Path, name: str, soon: Soon) -> None:
    fd = raw.open(name, rights=READ | rights("read") | POLL)
    assert raw.poll(readable(1, fd), clock(2, 1, 1_000_000)) == [event(2, 0)]
    gone = threading.Event()

    def write() -> None:
        writer = os.open(folder / name, os.O_WRONLY)
        os.write(writer, b"now")
        gone.wait(20)
        os.close(writer)

    soon(write)
    assert raw.poll(readable(1, fd)) == [event(1, 1, nbytes=3)]
    gone.set()


def test_writing_is_nxio_without_a_reader(raw: Raw, folder: Path, name: str, soon: Soon) -> None:
    assert raw.call("path_open", 3, 1, *raw.text(name), 0, WRITE, 0, 0, 0x80) == Errno.NXIO
    reader = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK)
    fd = raw.open(name, rights=WRITE)
    writer = os.open(folder / name, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(select.PIPE_BUF))
    os.close(writer)
    soon(lambda: os.read(reader, 1 << 20))
    assert raw.write(fd, b"late") == 4
    os.close(reader)


def test_nonblock_is_kept_and_can_be_taken_back(raw: Raw, folder: Path, name: str, soon: Soon) -> None:
    fd = raw.open(name, rights=READ, flags=NONBLOCK)
    writer = os.open(folder / name, os.O_WRONLY)
    assert raw.fdstat(fd)["fs_flags"] == NONBLOCK
    assert read_errno(raw, fd) == Errno.AGAIN
    assert raw.call("fd_fdstat_set_flags", fd, 0) == 0
    soon(lambda: os.write(writer, b"late"))
    assert raw.read(fd, 9) == b"late"
    os.close(writer)


def test_a_lease_of_another_process_is_waited_for(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"leased")
    holder = """
import fcntl, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
print("held", flush=True)
signal.sigwait([signal.SIGIO])
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
"""
    command = [sys.executable, "-c", holder, str(folder / "f")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert raw.read(raw.open("f"), 9) == b"leased"
    assert process.returncode == 0


def test_a_terminal_does_not_become_the_host_s_own() -> None:
    code = """
import os, sys
from tests.support.raw import Raw
from wasihost import ModuleConfig
folder, name = os.path.split(sys.argv[1])
with Raw(ModuleConfig().with_host_directory_preopen("/", folder, kernel_files=True)) as raw:
    assert raw.fdstat(raw.open(name))["fs_filetype"] == 2
    try:
        os.open("/dev/tty", os.O_RDWR)
    except OSError:
        print("none")
"""
    parent, child = terminal()
    try:
        command = [sys.executable, "-c", code, os.ttyname(child)]
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            start_new_session=True, timeout=30,
        )  # fmt: skip
    finally:
        os.close(parent)
        os.close(child)
    assert (done.stdout, done.stderr) == ("none\n", "")
