"""What tests of guests in several languages share: a guest that serves in a thread, clients that compare every byte."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from wasihost import CompletedProcess, Module, ModuleConfig, TimeoutExpired, run

PIECE = 16384


@contextmanager
def serving(module: Module, config: ModuleConfig, *args: str) -> Iterator[Future[CompletedProcess[bytes]]]:
    """The guest runs meanwhile; the future is how it ended."""
    config = config.with_limits(open_files=300)
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(run, module, config, args=args, capture_output=True, timeout=30)


def talk(address: tuple[str, int], clients: int, rounds: int) -> None:
    """`clients` clients at once, each with other bytes: all of them send before any of them receives."""
    sockets = [socket.create_connection(address, timeout=30) for _ in range(clients)]
    for nth in range(rounds):
        said = [Random(nth * clients + number).randbytes(PIECE) for number in range(clients)]
        for one, piece in zip(sockets, said, strict=True):
            one.sendall(piece)
        for one, piece in zip(sockets, said, strict=True):
            assert receive(one, len(piece)) == piece
    for one in sockets:
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
        one.close()


def stream(address: tuple[str, int], size: int) -> None:
    """One client that sends all it has while it reads: more than the system keeps for it."""
    data = Random(size).randbytes(size)
    with socket.create_connection(address, timeout=30) as one, ThreadPoolExecutor(1) as sender:
        sent = sender.submit(one.sendall, data)
        assert receive(one, size) == data
        sent.result()
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""


def receive(one: socket.socket, size: int) -> bytes:
    """Receive `size` bytes; fewer if the other end closes."""
    got = bytearray()
    while len(got) < size and (piece := one.recv(size - len(got))):
        got += piece
    return bytes(got)


def check_asked(module: Module, folder: Path) -> None:
    """The guest makes a request over a socket that was passed to it, after a directory, and has to make it again."""
    ours, theirs = socket.socketpair()
    config = ModuleConfig().with_host_directory_preopen("/box", folder).with_socket("peer", theirs)
    with ours, theirs, serving(module, config, "ask") as done:
        ours.settimeout(30)
        with ours.makefile("rb") as questions:
            assert questions.readline() == b"a question\n"
            assert questions.readline() == b"again\n"
            ours.sendall("ünï\n".encode())
        result = done.result()
    assert (result.returncode, result.stderr) == (0, b"")
    *waited, answer = result.stdout.decode().splitlines()
    assert waited
    assert set(waited) == {"no answer"}
    assert answer == "ünï"


def ends_unasked(module: Module, listener: socket.socket, args: Sequence[str], clients: int, timeout: float) -> float:
    """The server has clients that say nothing, or none, and has to end in time: the seconds that it took."""
    silent = [socket.create_connection(listener.getsockname()) for _ in range(clients)]
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(module, ModuleConfig().with_listener("web", listener), args=args, timeout=timeout)
    took = time.perf_counter() - begin
    for one in silent:
        one.close()
    return took
