"""Sockets that others have too: several guests, the embedder, and what Python's defaults and options do to them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.descriptors import open_files
from tests.support.raw import Raw, clock, event, readable
from wasihost import Errno, ModuleConfig

pytestmark = pytest.mark.usefixtures("in_time")

NONBLOCK, PEEK, WAITALL = 4, 1, 2
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@contextlib.contextmanager
def accepted(listener: socket.socket, flags: int = 0) -> Iterator[tuple[Raw, socket.socket]]:
    """A guest whose 4 is connected to the socket."""
    with Raw(ModuleConfig().with_listener("web", listener)) as raw, socket.socket() as peer:
        peer.connect(listener.getsockname())
        assert raw.call("sock_accept", 3, flags, 0x80) == 0
        yield raw, peer


def recv(raw: Raw, fd: int, size: int, flags: int = 0) -> tuple[int, int]:
    """`sock_recv`: errno and size."""
    return raw.call("sock_recv", fd, *raw.iovecs((raw.new(size), size)), flags, 0x80, 0x84), raw.get(0x80)


def ends_in_time(raw: Raw, call: Callable[[], object]) -> None:
    """It waits, until the deadline."""
    raw.state.handlers.scope.start(time.monotonic_ns() + 50_000_000, RuntimeError("enough"))
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        call()
    assert 0.05 <= time.monotonic() - begin < 10
    raw.state.handlers.scope.start(None, None)


def test_a_guest_that_goes_leaves_the_listener_as_others_need_it(listener: socket.socket) -> None:
    config = ModuleConfig().with_listener("web", listener)
    with Raw(config) as raw:
        with Raw(config):
            pass
        ends_in_time(raw, lambda: raw.call("sock_accept", 3, 0, 0x80))
        listener.setblocking(True)  # whoever shares it may do that at any time
        ends_in_time(raw, lambda: raw.call("sock_accept", 3, 0, 0x80))
        assert not os.get_blocking(listener.fileno())
    assert os.get_blocking(listener.fileno())
    with Raw(config.with_listener("again", listener)) as raw:
        assert raw.call("fd_close", 4) == 0
        ends_in_time(raw, lambda: raw.call("sock_accept", 3, 0, 0x80))
    assert os.get_blocking(listener.fileno())


def test_a_default_timeout_of_the_process_means_nothing(listener: socket.socket) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(0.01)
    try:
        with accepted(listener, NONBLOCK) as (raw, _):
            assert recv(raw, 4, 9)[0] == Errno.AGAIN
            assert raw.call("fd_fdstat_set_flags", 4, 0) == 0
            ends_in_time(raw, lambda: recv(raw, 4, 9))
            ends_in_time(raw, lambda: raw.call("sock_accept", 3, 0, 0x80))
        ours, theirs = socket.socketpair()
        with ours, theirs, Raw(ModuleConfig().with_socket("peer", theirs)) as raw:
            ends_in_time(raw, lambda: recv(raw, 3, 9))
    finally:
        socket.setdefaulttimeout(before)


def test_a_nonblocking_socket_stays_nonblocking_for_the_guest(listener: socket.socket) -> None:
    listener.setblocking(False)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    config = ModuleConfig().with_listener("web", listener).with_socket("peer", theirs)
    with ours, theirs, Raw(config) as raw:
        assert [raw.fdstat(fd)["fs_flags"] for fd in (3, 4)] == [NONBLOCK, NONBLOCK]
        assert raw.call("sock_accept", 3, 0, 0x80) == Errno.AGAIN
        assert recv(raw, 4, 9)[0] == Errno.AGAIN
    assert not os.get_blocking(listener.fileno())


def test_giving_a_socket_does_not_touch_its_flags() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    seen: set[bool] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(os.get_blocking(theirs.fileno()))

    looking = threading.Thread(target=look)
    with ours, theirs:
        looking.start()
        for _ in range(300):
            Raw(ModuleConfig().with_socket("peer", theirs)).state.close()
        over.set()
        looking.join()
    assert seen == {False}


def test_an_error_after_a_partial_receive_is_reported_next(listener: socket.socket) -> None:
    """A reset must not look like an end: what was received is not all."""
    with accepted(listener) as (raw, peer):
        peer.sendall(b"abc")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset = threading.Timer(0.05, peer.close)
        reset.start()
        assert recv(raw, 4, 9, WAITALL) == (0, 3)
        assert raw.poll(readable(1, 4), clock(2, 1, 10**10)) == [event(1, 1)]
        assert recv(raw, 4, 9)[0] == Errno.CONNRESET
        assert recv(raw, 4, 9) == (0, 0)
        reset.join()


def test_a_message_is_sent_as_a_whole_or_not() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, Raw(ModuleConfig().with_socket("peer", theirs)) as raw:
        short = raw.text(b"0123456789")
        raw.memory.extend(bytes(4 * MIB))
        for way in ("sock_send", "fd_write"):
            long = raw.iovecs(short, (len(raw.memory) - 2 * MIB, 2 * MIB))
            args = (*long, 0, 0x80) if way == "sock_send" else (*long, 0x80)
            assert raw.call(way, 3, *args) == Errno.MSGSIZE
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(99)
        assert raw.call("sock_send", 3, *raw.iovecs(short, short), 0, 0x80) == 0
        assert ours.recv(99) == b"0123456789" * 2


def test_looking_for_all_of_a_lot_costs_little() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Raw(ModuleConfig().with_socket("peer", theirs)) as raw:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        ours.sendall(bytes(100_000))
        raw.memory.extend(bytes(MIB))
        vectors = raw.iovecs((len(raw.memory) - MIB, MIB))
        begin = time.thread_time()
        raw.state.handlers.scope.start(time.monotonic_ns() + 200_000_000, RuntimeError("enough"))
        with pytest.raises(RuntimeError, match="enough"):
            raw.call("sock_recv", 3, *vectors, PEEK | WAITALL, 0x80, 0x84)
        assert time.thread_time() - begin < 0.1


def test_closing_a_connection_does_not_linger(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with accepted(listener, NONBLOCK) as (raw, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        vectors = raw.data(bytes(65536))
        while raw.call("sock_send", 4, *vectors, 0, 0x80) == 0:
            pass
        begin = time.monotonic()
        assert raw.call("fd_close", 4) == 0
        assert time.monotonic() - begin < 4
