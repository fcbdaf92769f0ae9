"""A call that moves much ends with its guest, and stops no other thread; what comes late is late."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.timing import few_tries, in_time
from wasihost import MemoryFS, ModuleConfig, State, TimeoutExpired, instantiate, run
from wasihost.descriptors.reported import CHECKED
from wasihost.vfs import nodes
from wasihost.waiting.cancel_scope import after
from wasihost.waiting.pieces import PIECE

MIB = 1 << 20
SIZE = 3 * PIECE + 5
"""Of what is moved whole: no multiple of a piece."""
LARGE = 160 * MIB
"""Bytes that take longer than `SOON` to move anywhere."""
SOON = 0.005
READ, WRITE = 1 << 1 | 1 << 2 | 1 << 5, 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6
CONTENT = os.urandom(SIZE)


class Guest:
    """A State over a memory of `size` bytes, of which the first page is for pointers."""

    def __init__(self, size: int, config: ModuleConfig) -> None:
        self.memory = bytearray(65536 + size)
        self.size = size
        self.state = State(lambda: self.memory, config)
        self.scope = self.state.handlers.scope

    def open(self, name: str, rights: int, fdflags: int = 0, oflags: int = 1) -> int:
        self.memory[1024 : 1024 + len(name)] = name.encode()
        assert self.state.path_open(3, 0, 1024, len(name), oflags, rights, 0, fdflags, 0) == 0
        return int.from_bytes(self.memory[:4], "little")

    def move(self, function: str, fd: int, *more: int) -> tuple[int, int]:
        """Errno, and how many bytes: all of the memory in one buffer."""
        self.memory[16:24] = (65536).to_bytes(4, "little") + self.size.to_bytes(4, "little")
        errno = getattr(self.state, function)(fd, 16, 1, *more, 32)
        return errno, int.from_bytes(self.memory[32:36], "little")

    @property
    def content(self) -> bytes:
        return bytes(memoryview(self.memory)[65536:])


@contextmanager
def guest(size: int, config: ModuleConfig) -> Iterator[Guest]:
    made = Guest(size, config)
    with made.state:
        yield made


@pytest.fixture(params=["host", "memory", "tree"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> ModuleConfig:
    """A folder of each kind."""
    if request.param == "host":
        return ModuleConfig().with_host_directory_preopen("/", tmp_path)
    if request.param == "tree":
        return ModuleConfig().with_mount("/", Own())
    return ModuleConfig().with_mount("/", MemoryFS())


class OwnFile(nodes.File):
    """A file of a tree of one's own."""

    def __init__(self) -> None:
        self.data = bytearray()

    def stat(self) -> nodes.Stat:
        return nodes.Stat(len(self.data))

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> int:
        self.data[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, size: int) -> None:
        self.data = bytearray(size)


class Own(nodes.Directory):
    """A tree of one's own, with one file."""

    def __init__(self) -> None:
        self.files: dict[str, OwnFile] = {}

    def lookup(self, name: str) -> nodes.Node | None:
        return self.files.get(name)

    def entries(self) -> Iterable[tuple[str, nodes.Node]]:
        return self.files.items()

    def create_file(self, name: str) -> nodes.File:
        self.files[name] = OwnFile()
        return self.files[name]


def test_data_larger_than_a_piece_is_moved_whole(mounted: ModuleConfig) -> None:
    with guest(SIZE, mounted) as one:
        one.memory[65536:] = CONTENT
        fd = one.open("a", WRITE)
        assert one.move("fd_write", fd) == (0, SIZE)
        assert one.move("fd_pwrite", fd, SIZE) == (0, SIZE)
        fd = one.open("a", WRITE, fdflags=1)
        assert one.move("fd_write", fd) == (0, SIZE)
        assert one.state.fd_tell(fd, 0) == 0
        assert int.from_bytes(one.memory[:8], "little") == 3 * SIZE
        for at in range(3):
            one.memory[65536:] = bytes(SIZE)
            assert one.move("fd_pread", fd, at * SIZE) == (0, SIZE)
            assert one.content == CONTENT
        fd = one.open("a", READ)
        one.memory[65536:] = bytes(SIZE)
        assert one.move("fd_read", fd) == (0, SIZE)
        assert one.content == CONTENT
        assert one.move("fd_pread", fd, 3 * SIZE - 7) == (0, 7)


def test_standard_streams_are_moved_whole() -> None:
    out: list[bytes] = []
    with guest(SIZE, ModuleConfig().with_stdin(CONTENT).with_stdout(out.append)) as one:
        assert one.move("fd_read", 0) == (0, SIZE)
        assert one.content == CONTENT
        assert one.move("fd_write", 1) == (0, SIZE)
    assert b"".join(out) == CONTENT
    assert max(map(len, out)) <= PIECE


@pytest.mark.parametrize("call", ["fd_write", "fd_pwrite", "fd_pread", "fd_read"])
def test_large_transfers_end_in_time(mounted: ModuleConfig, call: str) -> None:
    with guest(LARGE, mounted) as one:
        fd = one.open("a", WRITE)
        if call in ("fd_read", "fd_pread"):
            assert one.state.fd_filestat_set_size(fd, LARGE) == 0
        ends_soon(one, lambda: one.move(call, fd, *([0] if call[3] == "p" else [])))


def ends_soon(one: Guest, call: Callable[[], object]) -> None:
    reason = TimeoutExpired(["guest"], SOON)
    one.scope.start(after(SOON), reason)
    begun = time.monotonic()
    with pytest.raises(TimeoutExpired) as caught:
        call()
    assert caught.value is reason
    took = time.monotonic() - begun
    assert took < SOON + 1, took


def test_random_bytes_end_in_time() -> None:
    with guest(LARGE * 2, ModuleConfig()) as one:
        ends_soon(one, lambda: one.state.random_get(65536, one.size))


def test_random_bytes_of_a_source_end_in_time() -> None:
    class Source:
        def read(self, size: int) -> bytes:
            time.sleep(0.01)
            return bytes(size)

    with guest(LARGE, ModuleConfig().with_rand_source(Source())) as one:
        ends_soon(one, lambda: one.state.random_get(65536, one.size))


@pytest.mark.parametrize("way", ["input", "output", "file"])
def test_standard_streams_end_in_time(way: str, tmp_path: Path) -> None:
    config = ModuleConfig().with_stdin(bytes(LARGE)).with_stdout(lambda _: time.sleep(0.001))
    if way == "file":
        from wasihost.config import Inherit

        with open(tmp_path / "out", "wb") as file, guest(LARGE, config.with_stdout(Inherit(file.fileno()))) as one:
            ends_soon(one, lambda: one.move("fd_write", 1))
        return
    with guest(LARGE, config) as one:
        ends_soon(one, lambda: one.move("fd_read", 0) if way == "input" else one.move("fd_write", 1))


def test_a_long_listing_ends_in_time() -> None:
    class Many(nodes.Directory):
        def entries(self) -> Iterable[tuple[str, nodes.Node]]:
            node = nodes.File()
            return ((f"{number:08}", node) for number in range(300_000))

    with guest(0, ModuleConfig().with_mount("/", Many())) as one:
        ends_soon(one, lambda: one.state.fd_readdir(3, 4096, 64, 0, 16))


def test_a_long_listing_of_the_host_ends_in_time(tmp_path: Path) -> None:
    for number in range(2 * CHECKED):
        (tmp_path / f"{number}").touch()
    with guest(0, ModuleConfig().with_host_directory_preopen("/", tmp_path)) as one:
        assert one.state.fd_readdir(3, 4096, 64, 0, 16) == 0
        reason = TimeoutExpired(["guest"], 0)
        one.scope.start(after(0), reason)
        with pytest.raises(TimeoutExpired):
            one.state.fd_readdir(3, 4096, 64, 0, 16)


def test_more_than_the_disk_has_is_not_begun(tmp_path: Path) -> None:
    with guest(0, ModuleConfig().with_host_directory_preopen("/", tmp_path)) as one:
        fd = one.open("a", 1 << 8 | WRITE)
        assert one.state.fd_allocate(fd, 0, 1 << 60) in (22, 51)  # FBIG, NOSPC
        assert one.state.fd_allocate(fd, 0, 40 * MIB + 1) == 0
        assert (tmp_path / "a").stat().st_size == 40 * MIB + 1
        one.scope.start(after(0), TimeoutExpired(["guest"], 0))
        with pytest.raises(TimeoutExpired):
            one.state.fd_allocate(fd, 0, 80 * MIB)


LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+")
try:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except OSError:
    print("none", flush=True)
else:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_a_lease_of_another_process_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    config = ModuleConfig().with_host_directory_preopen("/", tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", LEASE, tmp_path / "a"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        if holder.stdout.readline() != "held\n":
            pytest.skip("this file system has no leases")
        with guest(0, config) as one:
            ends_soon(one, lambda: one.open("a", WRITE, oflags=0))
        with guest(0, config) as one:
            threading.Timer(0.2, holder.stdin.close).start()
            assert one.open("a", WRITE, oflags=0) == 4


# -- what is late ------------------------------------------------------------------------------------------------------

LATE = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\01\\00\\00\\00x")
  (func $write (export "write") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))
  (func (export "leave") (call $write) (call $proc_exit (i32.const 0)))
  (func (export "_start") (call $write) %s))"""


def slow(_data: bytes) -> None:
    time.sleep(0.3)


@pytest.mark.parametrize("end", ["", "(call $proc_exit (i32.const 0))", "(call $proc_exit (i32.const 3))"])
def test_a_call_that_returns_late_is_a_timeout(end: str) -> None:
    with pytest.raises(TimeoutExpired) as caught:
        run(LATE % end, stdout=slow, timeout=0.1)
    assert caught.value.stats is not None
    assert "timeout" in caught.value.stats.limits
    assert run(LATE % end, stdout=slow, timeout=60).returncode == (3 if "const 3" in end else 0)


@pytest.mark.parametrize("name", ["write", "leave"])
def test_a_call_of_an_export_that_returns_late_is_a_timeout(name: str) -> None:
    with instantiate(LATE % "", stdout=slow, timeout=60) as made:
        with pytest.raises(TimeoutExpired):
            made.call(name, timeout=0.1)
        made.call("write", timeout=60)


# -- turns -------------------------------------------------------------------------------------------------------------


def longest_gap(work: Callable[[], Any]) -> float:
    """How long another thread stood still while `work` ran: the best of some tries, as others use this machine."""
    best = 1e9
    for _ in range(4):
        worst, over = [0.0], threading.Event()
        thread = threading.Thread(target=beat, args=(worst, over))
        thread.start()
        try:
            work()
        finally:
            over.set()
            thread.join()
        best = min(best, worst[0])
        if best <= 0.1:
            break
    return best


def beat(worst: list[float], over: threading.Event) -> None:
    last = time.monotonic()
    while not over.is_set():
        time.sleep(0.002)
        now = time.monotonic()
        worst[0], last = max(worst[0], now - last), now


TURNS = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2562) (data (i32.const 0) "\\00\\00\\01\\00\\00\\00\\00\\0a")
  (func (export "_start")
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"""


@pytest.mark.parametrize("text", [False, True])
@few_tries
def test_output_that_is_kept_stops_no_other_thread(text: bool) -> None:
    size = 0xA000000  # of the one buffer above
    given = bytes(size)
    done: list[Any] = []

    def work() -> None:
        done[:] = [run(TURNS, input=given, capture_output=True, max_output=None, text=text or None)]

    gap = longest_gap(work)
    assert len(done[0].stdout) == size
    in_time(gap, 0, 0.2)


@few_tries
def test_a_large_file_in_memory_stops_no_other_thread() -> None:
    fs = MemoryFS({"given": bytes(LARGE)})
    with guest(LARGE, ModuleConfig().with_mount("/", fs)) as one:
        fd = one.open("given", READ)
        in_time(longest_gap(lambda: one.move("fd_pread", fd, 0)), 0, 0.2)

        def write() -> None:
            fs.put("new", b"")
            assert one.move("fd_pwrite", one.open("new", WRITE), 0) == (0, LARGE)

        in_time(longest_gap(write), 0, 0.2)
        in_time(longest_gap(lambda: fs["new"]), 0, 0.2)


def test_captured_text_is_as_if_it_were_decoded_at_once() -> None:
    from wasihost.guest.capture import CapturedOutput

    for content in ("äé€\r\n\r" * 200_000, "x\r" * 1_000_000, "a\n" * 900_000 + "😀\r\n" * 200_000):
        kept = CapturedOutput(None)
        for at in range(0, len(data := content.encode()), 77_777):
            kept(data[at : at + 77_777])
        assert kept.text("utf-8", "strict") == content.replace("\r\n", "\n").replace("\r", "\n")
        assert kept.content() == data
    kept(b"\xff")
    with pytest.raises(UnicodeDecodeError) as caught:
        kept.text("utf-8", "strict")
    assert caught.value.start == len(data)
    assert kept.text("utf-8", "replace").endswith("\n\ufffd")
