"""Sockets: what the sock_* functions, fd_* and poll_oneoff do with them, against real peers."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from tests.support.descriptors import open_files
from tests.support.raw import Raw, clock, event, readable, writable
from wasihost import ConfigError, Errno, ModuleConfig

pytestmark = pytest.mark.usefixtures("in_time")

NONBLOCK, PEEK, WAITALL, RD, WR = 4, 1, 2, 1, 2
STREAM, DGRAM = 6, 5
SOON = 0.05
TICK = 2_000_000


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before


@contextlib.contextmanager
def connected(kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[tuple[Raw, socket.socket]]:
    """A guest whose 3 is connected to the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs, Raw(ModuleConfig().with_socket("peer", theirs)) as raw:
        yield raw, ours


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: str) -> Iterator[socket.socket]:
    if request.param == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.bind(os.path.join(tmp_path, "s"))
        made.listen()
    else:
        six = request.param == "tcp6"
        made = socket.create_server(("::1" if six else "127.0.0.1", 0), family=[socket.AF_INET, socket.AF_INET6][six])
    with made:
        yield made


def connect(listener: socket.socket) -> socket.socket:
    made = socket.socket(listener.family, listener.type)
    made.connect(listener.getsockname())
    return made


def recv(raw: Raw, size: int, flags: int = 0, *, fd: int = 3, parts: int = 1) -> tuple[int, bytes, int]:
    """Call `sock_recv` with `parts` buffers of `size` bytes together. Returns errno, data and flags."""
    each = size // parts
    buffers = [(raw.new(each), each) for _ in range(parts)]
    length, told = raw.new(4), raw.new(2)
    errno = raw.call("sock_recv", fd, *raw.iovecs(*buffers), flags, length, told)
    data = b"".join(bytes(raw.memory[at : at + each]) for at, _ in buffers)
    return errno, data[: raw.get(length)] if not errno else b"", raw.get(told, 2) if not errno else 0


def send(raw: Raw, *pieces: bytes, fd: int = 3) -> int:
    assert raw.call("sock_send", fd, *raw.data(*pieces), 0, 0x80) == 0
    return raw.get(0x80)


def accept(raw: Raw, flags: int = 0) -> tuple[int, int]:
    errno = raw.call("sock_accept", 3, flags, 0x80)
    return errno, raw.get(0x80)


def later(act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(SOON, act)
    timer.start()
    return timer


def test_a_listener_accepts_waiting_for_the_peer(listener: socket.socket) -> None:
    peers: list[socket.socket] = []
    with Raw(ModuleConfig().with_listener("web", listener)) as raw:
        assert raw.fdstat(3)["fs_filetype"] == STREAM
        late = later(lambda: peers.append(connect(listener)))
        assert accept(raw) == (0, 4)
        late.join()
        peers[0].sendall(b"hello")
        assert recv(raw, 9, fd=4) == (0, b"hello", 0)
        assert send(raw, b"back", b" to you", fd=4) == 11
        assert peers[0].recv(99) == b"back to you"
        assert raw.fdstat(4)["fs_filetype"] == STREAM
        assert raw.fdstat(4)["fs_flags"] == 0
        assert raw.filestat("fd_filestat_get", 4)["filetype"] == STREAM
        assert raw.call("fd_close", 4) == 0
        assert peers[0].recv(1) == b""
        peers[0].close()


def test_nonblock_is_the_listener_s_or_the_connection_s(listener: socket.socket) -> None:
    with Raw(ModuleConfig().with_listener("web", listener)) as raw:
        assert raw.call("fd_fdstat_set_flags", 3, NONBLOCK) == 0
        assert raw.fdstat(3)["fs_flags"] == NONBLOCK
        assert accept(raw)[0] == Errno.AGAIN
        with connect(listener) as peer:
            assert raw.poll(readable(1, 3)) == [event(1, 1)]
            assert accept(raw, NONBLOCK) == (0, 4)
            assert raw.fdstat(4)["fs_flags"] == NONBLOCK
            assert recv(raw, 9, fd=4)[0] == Errno.AGAIN
            assert raw.call("fd_read", 4, *raw.iovecs((raw.new(9), 9)), 0x80) == Errno.AGAIN
            peer.sendall(b"x")
            assert raw.read(4, 9) == b"x"
        assert accept(raw, 1)[0] == Errno.INVAL
    assert listener.gettimeout() is None
    assert os.get_blocking(listener.fileno())


def test_a_full_table_accepts_nobody(listener: socket.socket) -> None:
    with Raw(ModuleConfig().with_limits(open_files=4).with_listener("web", listener)) as raw, connect(listener) as peer:
        assert accept(raw)[0] == Errno.MFILE
        listener.setblocking(False)
        sock, _ = listener.accept()  # it is still there
        sock.close()
        del peer


def test_reading_and_writing_by_fd() -> None:
    with connected() as (raw, peer):
        peer.sendall(b"0123456789")
        assert raw.read(3, 4) == b"0123"
        one, two = raw.new(2), raw.new(9)
        assert raw.call("fd_read", 3, *raw.iovecs((one, 2), (two, 9)), 0x80) == 0
        assert (raw.get(0x80), bytes(raw.memory[one : one + 2]), bytes(raw.memory[two : two + 4])) == (
            6,
            b"45",
            b"6789",
        )
        late = later(lambda: peer.sendall(b"late"))
        assert raw.read(3, 9) == b"late"
        late.join()
        assert raw.write(3, b"abc", b"", b"def") == 6
        assert peer.recv(99) == b"abcdef"
        assert raw.call("fd_seek", 3, 0, 0, 0x80) == Errno.SPIPE
        assert raw.call("fd_sync", 3) == Errno.INVAL


def test_a_big_piece_goes_as_a_whole() -> None:
    data = bytes(range(256)) * 256
    with connected() as (raw, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        got = bytearray()

        def take() -> None:
            time.sleep(SOON)
            while len(got) < 4 * len(data):
                got.extend(peer.recv(99999))

        taker = threading.Thread(target=take)
        taker.start()
        vectors = raw.data(data)
        for _ in range(4):
            assert raw.call("sock_send", 3, *vectors, 0, 0x80) == 0
            assert raw.get(0x80) == len(data)
        taker.join()
        assert got == data * 4
        assert raw.call("fd_fdstat_set_flags", 3, NONBLOCK) == 0
        while (errno := raw.call("fd_write", 3, *vectors, 0x80)) == 0:
            assert 0 < raw.get(0x80) <= len(data)
        assert errno == Errno.AGAIN
        assert raw.poll(writable(1, 3), clock(2, 1, TICK)) == [event(2, 0)]


def test_peek_leaves_it_there() -> None:
    with connected() as (raw, peer):
        peer.sendall(b"look")
        assert recv(raw, 9, PEEK) == (0, b"look", 0)
        assert recv(raw, 4, PEEK, parts=2) == (0, b"look", 0)
        assert recv(raw, 2) == (0, b"lo", 0)
        assert recv(raw, 9) == (0, b"ok", 0)


@pytest.mark.parametrize("flags", [WAITALL, WAITALL | PEEK])
def test_waitall_waits_for_all_or_the_end(flags: int) -> None:
    with connected() as (raw, peer):
        peer.sendall(b"fir")
        late = later(lambda: peer.sendall(b"st"))
        assert recv(raw, 4, flags, parts=2) == (0, b"firs", 0)
        late.join()
        assert recv(raw, 9) == (0, b"first" if flags & PEEK else b"t", 0)
        peer.sendall(b"la")

        def end() -> None:
            peer.sendall(b"st")
            peer.shutdown(socket.SHUT_WR)

        late = later(end)
        assert recv(raw, 9, flags) == (0, b"last", 0)
        late.join()
        if flags & PEEK:
            assert recv(raw, 9) == (0, b"last", 0)
        assert recv(raw, 9, flags) == (0, b"", 0)


def test_waitall_and_nonblock_do_not_wait() -> None:
    with connected() as (raw, peer):
        assert raw.call("fd_fdstat_set_flags", 3, NONBLOCK) == 0
        peer.sendall(b"fir")
        assert recv(raw, 9, WAITALL) == (0, b"fir", 0)
        assert recv(raw, 9, WAITALL)[0] == Errno.AGAIN


def test_a_message_that_is_cut_says_so() -> None:
    with connected(socket.SOCK_DGRAM) as (raw, peer):
        assert raw.fdstat(3)["fs_filetype"] == DGRAM
        for _ in range(4):
            peer.send(b"12345678")
        peer.send(b"")
        assert raw.poll(readable(1, 3)) == [event(1, 1, nbytes=8)]
        assert recv(raw, 4, PEEK) == (0, b"1234", 1)
        assert recv(raw, 4, parts=2) == (0, b"1234", 1)
        assert recv(raw, 8, WAITALL) == (0, b"12345678", 0)
        assert recv(raw, 9) == (0, b"12345678", 0)
        assert raw.read(3, 2) == b"12"
        assert recv(raw, 9) == (0, b"", 0)
        assert send(raw, b"one", b" message") == 11
        assert send(raw, b"another") == 7
        assert (peer.recv(99), peer.recv(99)) == (b"one message", b"another")


def test_shutdown_ends_one_direction() -> None:
    with connected() as (raw, peer):
        assert raw.call("sock_shutdown", 3, 0) == Errno.INVAL
        assert raw.call("sock_shutdown", 3, WR) == 0
        assert peer.recv(1) == b""
        peer.sendall(b"still")
        assert recv(raw, 9) == (0, b"still", 0)
        assert raw.call("sock_send", 3, *raw.data(b"x"), 0, 0x80) == Errno.PIPE
        assert raw.call("sock_shutdown", 3, RD) == 0
        assert recv(raw, 9) == (0, b"", 0)
    with connected() as (raw, peer):
        assert raw.call("sock_shutdown", 3, RD | WR) == 0
        assert peer.recv(1) == b""


def test_polling_tells_data_from_the_end() -> None:
    with connected() as (raw, peer):
        assert raw.poll(readable(1, 3), clock(2, 1, TICK)) == [event(2, 0)]
        peer.sendall(b"12345")
        assert raw.poll(readable(1, 3), writable(2, 3)) == [event(1, 1, nbytes=5), event(2, 2, nbytes=1)]
        raw.read(3, 9)
        peer.shutdown(socket.SHUT_WR)  # it may still read, so it has not gone
        assert raw.poll(readable(1, 3)) == [event(1, 1)]
        peer.close()
        assert raw.poll(readable(1, 3), writable(2, 3)) == [
            event(1, 1, hangup=True),
            event(2, 2, nbytes=1, hangup=True),
        ]
        assert raw.read(3, 9) == b""
        assert raw.call("fd_write", 3, *raw.data(b"x"), 0x80) == Errno.PIPE


def test_a_reset_is_reported(listener: socket.socket) -> None:
    if listener.family == socket.AF_UNIX:
        return  # which knows no resets
    with Raw(ModuleConfig().with_listener("web", listener)) as raw, connect(listener) as peer:
        assert accept(raw) == (0, 4)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert raw.poll(readable(1, 4)) == [event(1, 1, hangup=True)]
        assert recv(raw, 9, fd=4)[0] == Errno.CONNRESET
        assert raw.call("sock_send", 4, *raw.data(b"x"), 0, 0x80) == Errno.PIPE


def test_socket_calls_on_other_descriptors_fail() -> None:
    with Raw() as raw:
        for fd, errno in ((0, Errno.NOTSOCK), (1, Errno.NOTSOCK), (77, Errno.BADF)):
            assert raw.call("sock_accept", fd, 0, 0x80) == errno
            assert raw.call("sock_recv", fd, *raw.iovecs((raw.new(9), 9)), 0, 0x80, 0x84) == errno
            assert raw.call("sock_send", fd, *raw.data(b"x"), 0, 0x80) == errno
            assert raw.call("sock_shutdown", fd, RD) == errno


def test_each_kind_can_do_its_own(listener: socket.socket) -> None:
    with Raw(ModuleConfig().with_listener("web", listener)) as raw:
        assert recv(raw, 9)[0] == Errno.NOTCONN
        assert raw.call("sock_send", 3, *raw.data(b"x"), 0, 0x80) == Errno.NOTCONN
        assert raw.call("sock_shutdown", 3, RD) == Errno.NOTCONN
        assert raw.poll(writable(1, 3)) == [event(1, 2, error=Errno.NOTCAPABLE)]
        assert raw.call("fd_prestat_get", 3, 0x80) == Errno.BADF
        assert raw.call("fd_fdstat_set_flags", 3, 1) == Errno.NOTSUP
    with connected() as (raw, _):
        assert accept(raw)[0] == Errno.INVAL
        assert raw.call("fd_prestat_get", 3, 0x80) == Errno.BADF
        assert raw.call("sock_send", 3, *raw.data(b"x"), 1, 0x80) == Errno.INVAL


def test_rights_can_be_given_up(listener: socket.socket) -> None:
    with Raw(ModuleConfig().with_listener("web", listener)) as raw, connect(listener), connect(listener):
        stat = raw.fdstat(3)
        read_only = stat["fs_rights_inheriting"] & ~(1 << 6)
        assert raw.call("fd_fdstat_set_rights", 3, stat["fs_rights_base"], read_only) == 0
        assert accept(raw) == (0, 4)
        assert raw.call("sock_send", 4, *raw.data(b"x"), 0, 0x80) == Errno.NOTCAPABLE
        assert raw.call("fd_fdstat_set_rights", 3, stat["fs_rights_base"] & ~(1 << 29), read_only) == 0
        assert accept(raw)[0] == Errno.NOTCAPABLE


def test_waiting_ends_with_the_guest(listener: socket.socket) -> None:
    with connected() as (raw, _):
        raw.state.handlers.scope.start(time.monotonic_ns() + 30_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            recv(raw, 9)
    with Raw(ModuleConfig().with_listener("web", listener)) as raw:
        raw.state.handlers.scope.start(time.monotonic_ns() + 30_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            accept(raw)


def test_the_embedder_s_socket_stays_as_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)  # which makes the file NONBLOCK
        with Raw(ModuleConfig().with_socket("peer", theirs)) as raw:
            assert not os.get_blocking(theirs.fileno())
            late = later(lambda: ours.sendall(b"late"))
            assert recv(raw, 9) == (0, b"late", 0)
            late.join()
        assert not os.get_blocking(theirs.fileno())
        theirs.sendall(b"open")
        assert ours.recv(9) == b"open"


def test_sockets_follow_the_directories_and_have_names(tmp_path: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        config = ModuleConfig().with_socket("a", theirs).with_host_directory_preopen("/", tmp_path)
        with Raw(config) as raw:
            assert raw.fdstat(4)["fs_filetype"] == STREAM
            assert raw.state.handlers.environ == (b"LISTEN_FDS=2", b"LISTEN_FDNAMES=unknown:a")
        with Raw(config.with_env("LISTEN_FDS", "0")) as raw:
            assert raw.state.handlers.environ == (b"LISTEN_FDS=0",)
    with pytest.raises(ConfigError, match="socket a cannot be given"):
        Raw(config)


def test_sockets_that_cannot_be_passed_are_refused() -> None:
    config = ModuleConfig()
    with socket.socket() as idle, socket.create_server(("127.0.0.1", 0)) as listens:
        for give, name, given, message in (
            (config.with_listener, "a", idle, "does not listen"),
            (config.with_socket, "a", idle, "not connected"),
            (config.with_socket, "a", listens, "with_listener"),
            (config.with_listener, "a:b", listens, "cannot be called 'a:b'"),
            (config.with_listener, "", listens, "cannot be called ''"),
            (config.with_listener, "a", cast(socket.socket, 3), "not a socket"),
        ):
            with pytest.raises(ConfigError, match=message):
                give(name, given)
        with pytest.raises(ConfigError, match="open files"):
            Raw(config.with_limits(open_files=3).with_listener("a", listens))
    with pytest.raises(ConfigError, match="is closed"):
        config.with_listener("a", listens)
