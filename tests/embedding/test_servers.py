"""Guests that serve: many clients at once through `poll_oneoff`, one after the other, a terminal, a long stream."""

from __future__ import annotations

import os
import random
import re
import resource
import select
import selectors
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guests import build_c
from tests.support.terminals import terminal
from tests.support.timing import few_tries, in_time
from wasihost import CompletedProcess, Module, ModuleConfig, TimeoutExpired, run
from wasihost.config import Inherit

SERVER = Module(build_c("server"))
MIB = 1 << 20
COMMAND = [sys.executable, "-m", "wasihost", "run"]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as made:
        yield made


def served(listener: socket.socket, *args: str) -> tuple[threading.Thread, list[CompletedProcess[bytes]]]:
    """The server in a thread of its own, and what it gives when it is over."""
    done: list[CompletedProcess[bytes]] = []
    config = ModuleConfig().with_listener("echo", listener).with_limits(open_files=300)

    def serve() -> None:
        done.append(run(SERVER, config, args=args, capture_output=True, timeout=120))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread, done


class Client:
    """It sends its own bytes, and compares what comes back with them."""

    def __init__(self, address: tuple[str, int], number: int, size: int) -> None:
        self.data = memoryview(random.Random(number).randbytes(size))
        self.sent = self.got = 0
        self.socket = socket.create_connection(address)
        self.socket.setblocking(False)

    def step(self, events: int) -> bool:
        """Whether there is more to come."""
        if events & selectors.EVENT_WRITE:
            self.sent += self.socket.send(self.data[self.sent : self.sent + 65536])
            if self.sent == len(self.data):
                self.socket.shutdown(socket.SHUT_WR)
        if events & selectors.EVENT_READ:
            piece = self.socket.recv(65536)
            assert piece == self.data[self.got : self.got + len(piece)]
            self.got += len(piece)
            if not piece:
                assert self.got == len(self.data)
                self.socket.close()
                return False
        return True


def talk(address: tuple[str, int], clients: int, size: int) -> None:
    """So many clients at once."""
    with selectors.DefaultSelector() as selector:
        for number in range(clients):
            client = Client(address, number, size)
            selector.register(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
        while selector.get_map():
            for key, events in selector.select(30):
                client = key.data
                more = client.step(events)
                if not more:
                    selector.unregister(key.fileobj)
                elif client.sent == len(client.data):
                    selector.modify(key.fileobj, selectors.EVENT_READ, client)


def test_two_hundred_clients_at_once(listener: socket.socket) -> None:
    thread, done = served(listener, "echo", "200")
    talk(listener.getsockname(), 200, MIB // 2)
    thread.join()
    assert (done[0].returncode, done[0].stdout, done[0].stderr) == (0, b"200 clients\n", b"")


def test_one_client_after_the_other(listener: socket.socket) -> None:
    thread, done = served(listener, "one", "3")
    for number in range(3):
        talk(listener.getsockname(), 1, MIB + number)
    thread.join()
    assert (done[0].returncode, done[0].stdout, done[0].stderr) == (0, b"3 clients\n", b"")


@pytest.mark.parametrize("way", ["echo", "one"])
@few_tries
def test_a_server_that_nobody_calls_ends_in_time(listener: socket.socket, way: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(SERVER, ModuleConfig().with_listener("echo", listener), args=[way, "1"], timeout=0.1)
    in_time(time.perf_counter() - begin, 0.1, 0.3)


def test_the_command_listens() -> None:
    command = [*COMMAND, "--tcplisten", "127.0.0.1:0", str(build_c("server")), "one", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        said = server.stderr.readline().decode()
        found = re.fullmatch(r"wasihost: listening on 127\.0\.0\.1:(\d+)\n", said)
        assert found, said
        talk(("127.0.0.1", int(found[1])), 1, MIB)
        assert server.communicate(timeout=30) == (b"1 clients\n", b"")
        assert server.returncode == 0


def test_ctrl_c_ends_a_server() -> None:
    command = [*COMMAND, "--tcplisten", "[::1]:0", str(build_c("server")), "one", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        assert b"listening on [::1]:" in server.stderr.readline()
        time.sleep(0.1)
        server.send_signal(signal.SIGINT)
        server.wait(timeout=5)
        assert server.returncode == -signal.SIGINT


@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.1:70000", "::1:80", ":80", "a:b"])
def test_a_wrong_address_is_reported(where: str) -> None:
    done = subprocess.run([*COMMAND, "--tcplisten", where, str(build_c("server"))], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{where!r} is not HOST:PORT" in done.stderr


def test_an_unknown_host_is_reported() -> None:
    command = [*COMMAND, "--tcplisten", "nowhere.invalid:80", str(build_c("server"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("wasihost: cannot listen on nowhere.invalid:80: ")


def test_an_address_in_use_is_reported(listener: socket.socket) -> None:
    where = f"127.0.0.1:{listener.getsockname()[1]}"
    done = subprocess.run([*COMMAND, "--tcplisten", where, str(build_c("server"))], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"wasihost: cannot listen on {where}: Address already in use\n"


def _until(fd: int, wanted: bytes) -> bytes:
    """What comes until `wanted` has."""
    got, until = b"", time.monotonic() + 20
    while wanted not in got:
        assert time.monotonic() < until, got
        if select.select([fd], [], [], 1)[0]:
            got += os.read(fd, 4096)
    return got


def test_a_chat_over_a_terminal() -> None:
    ours, theirs = terminal()
    try:
        mode = termios.tcgetattr(theirs)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        with subprocess.Popen([*COMMAND, str(build_c("server")), "chat"], stdin=theirs, stdout=theirs) as guest:
            assert _until(ours, b".")  # it goes on while nobody says anything
            for number in range(5):
                os.write(ours, b"line %d\n" % number)
                assert b"you said: line %d" % number in _until(ours, b"line %d" % number)
            os.write(ours, b"\x04")  # the end, as a person types it
            _until(ours, b"bye")
            assert guest.wait(timeout=20) == 0
        assert os.get_blocking(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_is_a_terminal_to_the_guest(tmp_path: Path) -> None:
    ours, theirs = terminal()
    with open(tmp_path / "f", "wb") as file:
        config = (
            ModuleConfig().with_args("server", "tty").with_stdout(Inherit(theirs)).with_stderr(Inherit(file.fileno()))
        )
        with open(os.devnull, "rb") as null:
            assert run(SERVER, config.with_stdin(Inherit(null.fileno()))).returncode == 0
        assert _until(ours, b"\n") == b"0 1 0\r\n"
        assert run(SERVER, config.with_stdin(Inherit(theirs))).returncode == 0
        assert _until(ours, b"\n") == b"1 1 0\r\n"
    os.close(ours)
    os.close(theirs)


def test_a_reader_that_leaves_is_a_broken_pipe() -> None:
    command = [*COMMAND, str(build_c("server")), "cat"]
    with open("/dev/zero", "rb") as zeros, subprocess.Popen(
        command, stdin=zeros, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as guest:  # fmt: skip
        assert guest.stdout is not None
        assert guest.stderr is not None
        assert len(guest.stdout.read(MIB)) == MIB
        guest.stdout.close()
        assert guest.stderr.read() == b"write: Broken pipe\n"
        assert guest.wait(timeout=20) == 3


def test_closed_standard_input_is_empty() -> None:
    command = [*COMMAND, str(build_c("server")), "cat"]
    done = subprocess.run(command, capture_output=True, preexec_fn=lambda: os.close(0), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


class Endless:
    """A stream of so many bytes."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.piece = os.urandom(65536)

    def read(self, size: int) -> bytes:
        taken = min(size, self.left, len(self.piece))
        self.left -= taken
        return self.piece[:taken]


def _resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_gibibyte_streams_through_without_growth() -> None:
    total, most = 0, 0

    def count(data: bytes) -> None:
        nonlocal total, most
        total += len(data)
        if total % (16 * MIB) < len(data):
            most = max(most, _resident())

    run(SERVER, args=["cat"], stdin=Endless(64 * MIB), stdout=count)
    before, total, most = most, 0, 0
    assert run(SERVER, args=["cat"], stdin=Endless(1024 * MIB), stdout=count).returncode == 0
    assert total == 1024 * MIB
    assert 0 < most < before + 16 * MIB


def test_a_pipe_is_streamed_both_ways() -> None:
    with subprocess.Popen(
        [*COMMAND, str(build_c("server")), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as guest:
        assert guest.stdin is not None
        assert guest.stdout is not None
        for piece in (b"one", b"two", b"three"):
            guest.stdin.write(piece)
            guest.stdin.flush()
            assert guest.stdout.read(len(piece)) == piece
        guest.stdin.close()
        assert guest.wait(timeout=20) == 0
