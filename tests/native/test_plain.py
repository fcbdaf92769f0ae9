"""The calls that C does without the GIL have the results that the Python handlers have."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wasi_preview1.types import Fdflags, Filetype

from tests.native import plain_scripts
from wasihost import ModuleConfig, State
from wasihost.config.inherit import Inherit
from wasihost.config.limits import OutputLimit
from wasihost.descriptors.host_file import HostFile, SharedFile
from wasihost.descriptors.table import FdTable
from wasihost.host.plain import PLAIN
from wasihost.native import extension, why

pytestmark = pytest.mark.skipif(extension is None, reason=f"there are no plain calls without the extension: {why}")


class Guest:
    """A State over a folder with a file of 1000 bytes, which is open as `fd`."""

    def __init__(self, folder: Path) -> None:
        (folder / "file").write_bytes(bytes(range(250)) * 4)
        self.memory = bytearray(0x10000)
        self.state = State(lambda: self.memory, ModuleConfig().with_host_directory_preopen("/", str(folder)))
        plain = self.state.plain
        assert plain is not None
        self.plain = plain
        self.fd = self.open()

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()

    def open(self, flags: int = 0) -> int:
        self.memory[:4] = b"file"
        everything = (1 << 30) - 1
        assert self.state.path_open(3, 1, 0, 4, 0, everything, everything, flags, 8) == 0
        return self.number(8)

    def number(self, at: int) -> int:
        return int.from_bytes(self.memory[at : at + 4], "little")

    def call(self, name: str, *numbers: int) -> bool:
        """Whether C did it."""
        return self.plain.call(name, self.memory, *numbers)

    def read(self, fd: int) -> bytes | None:
        """Ten bytes from C; None if it did nothing."""
        struct.pack_into("<II", self.memory, 0x100, 0x200, 10)
        done = self.call("fd_read", fd, 0x100, 1, 0x10)
        return bytes(self.memory[0x200 : 0x200 + self.number(0x10)]) if done else None


# -- the same results --------------------------------------------------------------------------------------------------


def test_random_calls_with_and_without(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    for seed in range(15):
        plain_scripts.run(seed, tmp_path, done)
    assert set(done) == set(PLAIN)  # the test would prove nothing of a function that C never did
    assert all(done[name] > 4 for name in PLAIN), done


def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedFile, "keep", HostFile.keep)  # so that C does not know of rights that were given up
    done: Counter[str] = Counter()

    def run() -> None:
        for seed in range(100):
            plain_scripts.run(seed, tmp_path, done)

    with pytest.raises(plain_scripts.Differs):
        run()


def test_both_paths_share_the_position(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        assert guest.read(guest.fd) == bytes(range(10))
        assert guest.state.fd_read(guest.fd, 0x100, 1, 0x10) == 0
        assert guest.memory[0x200:0x20A] == bytes(range(10, 20))
        assert guest.read(guest.fd) == bytes(range(20, 30))


def test_more_than_a_piece_is_left_to_python(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        guest.memory += bytes(2 << 20)
        for size, done in (((1 << 20), True), ((1 << 20) + 1, False)):
            struct.pack_into("<II", guest.memory, 0x100, 0x200, size)
            assert guest.call("fd_read", guest.fd, 0x100, 1, 0x10) == done
            assert guest.call("random_get", 0x200, size) == done


# -- descriptors -------------------------------------------------------------------------------------------------------


def test_a_closed_file_is_closed_for_c_too(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        assert guest.read(guest.fd)
        guest.state.fd_close(guest.fd)
        assert guest.read(guest.fd) is None
        assert not any(guest.call(name, guest.fd, 0x300) for name in ("fd_tell", "fd_fdstat_get", "fd_filestat_get"))
        assert not guest.call("fd_seek", guest.fd, 0, 0, 0x300)


def test_a_file_moves_to_another_number(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        other = guest.open()
        assert guest.read(guest.fd) == bytes(range(10))
        assert guest.state.fd_renumber(guest.fd, other) == 0
        assert guest.read(guest.fd) is None
        assert guest.read(other) == bytes(range(10, 20))
        assert guest.state.fd_close(other) == 0
        assert guest.read(other) is None


def test_a_file_that_was_forgotten_is_not_read(tmp_path: Path) -> None:
    """`path_open` does so when a signal handler raises before it has returned."""
    with Guest(tmp_path) as guest:
        file = guest.state.handlers.table.open[guest.fd]
        assert isinstance(file, SharedFile)
        guest.state.handlers.table.forget([file.fd])
        assert guest.read(guest.fd) is None
        os.close(file.fd)


def test_rights_that_were_given_up(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        assert guest.read(guest.fd)
        everything = guest.state.handlers.table.open[guest.fd].rights
        assert guest.state.fd_fdstat_set_rights(guest.fd, everything & ~(1 << 1), 0) == 0
        assert guest.read(guest.fd) is None
        assert guest.call("fd_tell", guest.fd, 0x300)


def test_appending_is_left_to_python(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        struct.pack_into("<II", guest.memory, 0x100, 0x200, 10)
        write = ("fd_write", guest.fd, 0x100, 1, 0x10)
        assert guest.call(*write)
        assert guest.state.fd_fdstat_set_flags(guest.fd, Fdflags.APPEND) == 0
        assert not guest.call(*write)
        assert guest.read(guest.fd) == bytes(range(10, 20))
        assert guest.state.fd_fdstat_set_flags(guest.fd, Fdflags.NONBLOCK) == 0
        assert guest.call(*write)
        appending = guest.open(flags=Fdflags.APPEND)
        assert not guest.call("fd_write", appending, 0x100, 1, 0x10)


def test_only_regular_files_are_shared(tmp_path: Path) -> None:
    class Own(HostFile):
        __slots__ = ()

    table = FdTable()
    fds = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    files = [
        HostFile(fds[0], 0, Fdflags(0)),
        HostFile(fds[1], 0, Fdflags(0), Filetype.BLOCK_DEVICE),
        Own(fds[2], 0, Fdflags(0)),
    ]
    for file in files:
        table.insert(file)
    assert [isinstance(file, SharedFile) for file in files] == [True, False, False]
    table.close_all()


def test_many_files_and_numbers(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        fds = [guest.open() for _ in range(300)]
        for fd in fds:
            guest.call("fd_seek", fd, fd % 200, 0, 0x300)
        for fd in fds:
            assert guest.read(fd) == bytes(range(fd % 200, fd % 200 + 10))
        for turn in range(300):
            guest.state.fd_close(fds[turn])
            assert guest.read(fds[turn]) is None
            assert guest.open() == fds[turn]
            assert guest.read(fds[turn]) == bytes(range(10))


# -- streams and polls -------------------------------------------------------------------------------------------------


def polled(state: State, memory: bytearray, *subscriptions: tuple[int, int, int]) -> list[int] | None:
    """Poll in C: (userdata, case, descriptor or timeout). Returns the userdata of the events; None if C did nothing."""
    array = b"".join(
        struct.pack("<QB7xQQ16x", userdata, case, *((0, value) if case == 0 else (value, 0)))
        for userdata, case, value in subscriptions
    )
    memory[: len(array)] = array
    assert state.plain is not None
    if not state.plain.call("poll_oneoff", memory, 0, 0, len(subscriptions), 0x2000):
        return None
    count = int.from_bytes(memory[0x2000:0x2004], "little")
    return [int.from_bytes(memory[32 * i : 32 * i + 8], "little") for i in range(count)]


def test_streams_and_times_that_are_ready() -> None:
    memory, pipes = bytearray(0x3000), [os.pipe(), os.pipe()]
    (stdin, writing), (reading, stdout) = pipes
    config = ModuleConfig().with_stdin(Inherit(stdin)).with_stdout(Inherit(stdout)).with_limits(subscriptions=3)
    with State(lambda: memory, config) as state:
        plain = state.plain
        assert plain is not None
        assert polled(state, memory, (7, 1, 0)) is None  # there is nothing: the handler waits
        assert polled(state, memory, (7, 0, 1000)) is None
        assert polled(state, memory, (7, 1, 0), (8, 0, 0)) == [8]
        assert polled(state, memory, (7, 0, 0), (8, 2, 1)) == [8, 7]
        assert polled(state, memory, (7, 1, 3)) is None  # there is no descriptor 3
        assert polled(state, memory, *[(1, 0, 0)] * 3) == [1, 1, 1]
        assert polled(state, memory, *[(1, 0, 0)] * 4) is None
        struct.pack_into("<II", memory, 0x100, 0x200, 10)
        assert not plain.call("fd_read", memory, 0, 0x100, 1, 0x10)
        os.write(writing, b"three")
        assert polled(state, memory, (7, 1, 0)) == [7]
        assert int.from_bytes(memory[16:24], "little") == 5
        assert plain.call("fd_read", memory, 0, 0x100, 1, 0x10)
        assert memory[0x200:0x205] == b"three"
        assert plain.call("fd_write", memory, 1, 0x100, 1, 0x10)
        assert os.read(reading, 100) == b"three" + bytes(5)
        struct.pack_into("<II", memory, 0x100, 0x200, 5000)  # the handler waits until all is written
        assert not plain.call("fd_write", memory, 1, 0x100, 1, 0x10)
        struct.pack_into("<II", memory, 0x100, 0x200, 10)
        state.fd_close(1)
        assert not plain.call("fd_write", memory, 1, 0x100, 1, 0x10)
    for fd in sum(pipes, ()):
        os.close(fd)


def test_a_stream_with_a_limit_stays_with_python() -> None:
    memory, out = bytearray(0x3000), os.open(os.devnull, os.O_WRONLY)
    config = ModuleConfig().with_stdout(Inherit(out, OutputLimit(5)))
    with State(lambda: memory, config) as state:
        assert polled(state, memory, (7, 2, 1)) is None
    os.close(out)


# -- randomness, threads, memory ---------------------------------------------------------------------------------------


def test_random_bytes_do_not_come_twice() -> None:
    with State() as state:
        plain, memory = state.plain, bytearray(64)
        assert plain is not None
        seen = set()
        for turn in range(1000):
            assert plain.call("random_get", memory, 0, 16 + turn % 49)
            seen.add(bytes(memory[:16]))
        assert len(seen) == 1000


FORK = """
import os
from wasihost import State

state = State()
plain, memory = state.plain, bytearray(16)
plain.call("random_get", memory, 0, 16)  # now there is a stock
reader, writer = os.pipe()
child = os.fork()
assert plain.call("random_get", memory, 0, 16)
if not child:
    os.write(writer, memory)
    os._exit(0)
os.waitpid(child, 0)
assert os.read(reader, 16) != memory
"""

WIPED = """
import ctypes
from wasihost import State

state = State()
plain, memory = state.plain, bytearray(16)
assert plain.call("random_get", memory, 0, 16)
needle = bytes(memory)
ours = {id(needle) + bytes.__basicsize__ - 1, ctypes.addressof(ctypes.c_char.from_buffer(memory))}
chunk = bytearray(1 << 20)
own = ctypes.addressof(ctypes.c_char.from_buffer(chunk))
found = []
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as everything:
    for start, end in [map(lambda text: int(text, 16), line.split()[0].split("-")) for line in maps if " rw" in line]:
        if end - start > 1 << 30:  # the shadow memory of a sanitizer
            continue
        for at in range(start, end, len(chunk)):
            everything.seek(at)
            view = memoryview(chunk)[: min(len(chunk), end - at)]
            try:
                size = everything.readinto(view)
            except OSError:
                continue
            place = chunk.find(needle, 0, size)
            while place >= 0:
                if not own <= at + place < own + len(chunk):
                    found.append(at + place)
                place = chunk.find(needle, place + 1, size)
assert set(found) >= ours, (found, ours)  # so the search works
assert set(found) == ours, (found, ours)
"""


def python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_forked_process_forgets_the_stock() -> None:
    python(FORK)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="there is no /proc to look into memory with")
def test_random_bytes_are_wiped_when_they_are_handed_out() -> None:
    python(WIPED)


def test_another_thread_can_close_and_open_files_meanwhile(tmp_path: Path) -> None:
    """It must not, but nothing that C reads may be freed: `make sanitize` would see it."""
    with Guest(tmp_path) as guest:
        until = time.monotonic() + 0.5

        def change() -> None:
            while time.monotonic() < until:
                fds = [guest.open() for _ in range(40)]
                for fd in fds:
                    guest.state.fd_close(fd)

        thread = threading.Thread(target=change)
        thread.start()
        memory = bytearray(0x1000)
        struct.pack_into("<II", memory, 0x100, 0x200, 10)
        calls = 0
        while thread.is_alive():
            for fd in range(4, 50):
                guest.plain.call("fd_read", memory, fd, 0x100, 1, 0x10)
                guest.plain.call("fd_tell", memory, fd, 0x300)
                calls += 1
        thread.join()
        assert calls


def refused(call: Callable[[], object], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call()


def test_wrong_arguments_are_python_errors(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        plain: Any = guest.plain
        file: Any = guest.state.handlers.table.open[guest.fd]
        refused(lambda: plain.call("fd_read"), TypeError)
        refused(lambda: plain.call("fd_read", bytes(8), 1, 2, 3, 4), BufferError)
        refused(lambda: plain.call("fd_read", guest.memory, "x"), TypeError)
        refused(lambda: plain.call(*["fd_read", guest.memory, *range(13)]), TypeError)
        refused(lambda: plain.put(1, object()), TypeError)
        refused(lambda: plain.enable([1]), TypeError)
        refused(lambda: type(file.shared)(), TypeError)
        refused(lambda: setattr(file, "position", -1), ValueError)
        refused(lambda: setattr(file, "position", 1 << 63), OverflowError)
        assert file.position == 0
        assert plain.call("no_such_function", guest.memory) is False
        assert plain.share(1 << 20, 5, 4, 0, 0, 0) is None
