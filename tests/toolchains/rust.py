"""A guest of Rust's.

Its compiler has to be on the machine, so these tests are not in `make test`: the name of this file has no `test_`, by
which pytest finds files; `make rust` names it.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.support.toolchains import build_rust
from tests.toolchains.clients import check_asked, ends_unasked, serving, stream, talk
from wasihost import Module, ModuleConfig, TimeoutExpired, run

MIB = 1 << 20


@pytest.fixture(scope="module")
def waits() -> Module:
    """tests/guests/waits.rs."""
    return Module(build_rust("waits"))


def test_rust_timers(waits: Module) -> None:
    begin = time.perf_counter()
    done = run(waits, args=["timers"], capture_output=True, timeout=30)
    took = time.perf_counter() - begin
    slept, until, seconds = done.stdout.decode().split()
    assert (done.returncode, slept, until, done.stderr) == (0, "slept", "until", b"")
    assert 0 <= time.time() - int(seconds) < 2
    assert 0.12 <= took < 2


def test_a_sleep_ends_in_time(waits: Module) -> None:
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(waits, args=["timers"], timeout=0.06)
    assert 0.06 <= time.perf_counter() - begin < 0.5


def test_one_client_after_the_other(waits: Module, listener: socket.socket) -> None:
    with serving(waits, ModuleConfig().with_listener("echo", listener), "echo", "3") as done:
        talk(listener.getsockname(), 1, 4)
        stream(listener.getsockname(), 4 * MIB)
        talk(listener.getsockname(), 1, 1)
        result = done.result()
    assert (result.returncode, result.stdout, result.stderr) == (0, b"3 clients\n", b"")


def test_many_clients_at_once(waits: Module, listener: socket.socket) -> None:
    with serving(waits, ModuleConfig().with_listener("echo", listener), "many", "101") as done:
        talk(listener.getsockname(), 100, 4)
        stream(listener.getsockname(), 4 * MIB)
        result = done.result()
    assert (result.returncode, result.stdout, result.stderr) == (0, b"101 clients\n", b"")


@pytest.mark.parametrize("clients", [0, 1])
@pytest.mark.parametrize("way", ["echo", "many"])
def test_a_server_that_nobody_asks_ends_in_time(waits: Module, listener: socket.socket, way: str, clients: int) -> None:
    assert 0.1 <= ends_unasked(waits, listener, [way, "1"], clients, 0.1) < 0.5


def test_rust_requests_over_a_socket(waits: Module, tmp_path: Path) -> None:
    check_asked(waits, tmp_path)


def test_rust_reads_lines(waits: Module) -> None:
    done = run(waits, args=["lines"], input=b"one\ntwo", capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"you said: one\nyou said: two\nbye\n", b"")
