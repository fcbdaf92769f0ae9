"""A guest in Go: its runtime schedules goroutines itself, and waits for all of them in one call.

`make go-tests` also runs `go_http.py`: an HTTP server takes a minute to compile.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import GUESTS
from tests.support.timing import few_tries, in_time
from tests.support.toolchains import build_go, go_root
from tests.toolchains.clients import PIECE, check_asked, ends_unasked, serving, stream, talk
from wasihost import Module, ModuleConfig, Policy, TimeoutExpired, run
from wasihost.cassettes import Cassette

COMMAND = [sys.executable, "-m", "wasihost", "run", "--timeout", "60"]
"""With a timeout as everywhere here: without any, the engine compiles all of it once more, which takes seconds."""
MIB = 1 << 20


@pytest.fixture(scope="module")
def waits() -> Module:
    """tests/guests/go/waits.go."""
    return Module(build_go("waits"))


@few_tries
def test_go_timers(waits: Module) -> None:
    begin = time.perf_counter()
    done = run(waits, args=["timers"], capture_output=True, timeout=30)
    took = time.perf_counter() - begin
    said = ["slept", "slept 100 times", "ticked", "nothing came", "context deadline exceeded", "true", "true", "called"]
    assert (done.returncode, done.stdout.decode().splitlines(), done.stderr) == (0, said, b"")
    in_time(took, 0.155, 4)


def test_a_go_program_runs_under_the_policy_that_it_taught(waits: Module, tmp_path: Path) -> None:
    file = tmp_path / "go.toml"
    options: Any = {"args": ["timers"], "capture_output": True, "timeout": 30}
    taught = run(waits, learn=file, **options)
    held = run(waits, policy=file, **options)
    assert (held.returncode, held.stdout, held.stats.refusals) == (0, taught.stdout, ())
    assert {"monotonic", "realtime"} <= set(Policy.load(file).clocks)
    held = run(waits, policy=Policy(random=True, clocks=["realtime"]), **options)
    assert held.returncode != 0
    assert {one.rule for one in held.stats.refusals} == {'clocks = ["monotonic"]'}


@few_tries
def test_a_sleep_ends_in_time(waits: Module) -> None:
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired):
        run(waits, args=["timers"], timeout=0.1)
    in_time(time.perf_counter() - begin, 0.1, 0.8)


@pytest.mark.parametrize("as_given", [False, True])
def test_many_clients_at_once(waits: Module, listener: socket.socket, as_given: bool) -> None:
    """A listener that the embedder made non-blocking is one for the guest too, which need not do anything then."""
    config = ModuleConfig()
    if as_given:
        listener.setblocking(False)
        config = config.with_env("AS_GIVEN", "yes")
    with serving(waits, config.with_listener("echo", listener), "echo", "102") as done:
        talk(listener.getsockname(), 100, 4)
        stream(listener.getsockname(), 4 * MIB)
        talk(listener.getsockname(), 1, 1)
        result = done.result()
    assert (result.returncode, result.stdout, result.stderr) == (0, b"102 clients\n", b"")


def test_a_server_is_replayed_without_its_clients(waits: Module, listener: socket.socket, tmp_path: Path) -> None:
    file = tmp_path / "of.cassette"
    config = ModuleConfig().with_listener("echo", listener)
    recorded = Cassette(file, "all").config(config.with_args("waits", "echo", "5").with_limits(open_files=300))
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(run, waits, recorded, capture_output=True, timeout=30)
        talk(listener.getsockname(), 5, 3)
        assert done.result().stdout == b"5 clients\n"
    replayed = run(waits, args=["echo", "5"], replay=file, capture_output=True, timeout=30, stats=True)
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, b"5 clients\n", b"")
    assert replayed.stats.bytes["fd_write"] == 5 * 3 * PIECE + len(replayed.stdout)


@pytest.mark.parametrize("clients", [0, 1])
@few_tries
def test_a_server_that_nobody_asks_ends_in_time(waits: Module, listener: socket.socket, clients: int) -> None:
    in_time(ends_unasked(waits, listener, ["echo", "1"], clients, 0.3), 0.3, 1)


@pytest.mark.parametrize("options", [(), ("--tcp-nonblock", "--env", "AS_GIVEN=yes")], ids=["waiting", "nonblock"])
def test_the_command_serves(options: tuple[str, ...]) -> None:
    command = [*COMMAND, "--tcplisten", "127.0.0.1:0", *options, str(build_go("waits")), "echo", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        said = server.stderr.readline().decode()
        found = re.fullmatch(r"wasihost: listening on 127\.0\.0\.1:(\d+)\n", said)
        assert found, said
        talk(("127.0.0.1", int(found[1])), 2, 1)
        assert server.communicate(timeout=30) == (b"2 clients\n", b"")
        assert server.returncode == 0


def test_go_request_with_a_deadline(waits: Module, tmp_path: Path) -> None:
    check_asked(waits, tmp_path)


def test_go_timers_run_while_stdin_is_silent() -> None:
    command = [*COMMAND, str(build_go("waits")), "lines"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guest:
        assert guest.stdin is not None
        assert guest.stdout is not None
        assert guest.stdout.readline().startswith(b"alive ")
        for number in range(3):
            guest.stdin.write(b"line %d\n" % number)
            guest.stdin.flush()
            while (said := guest.stdout.readline()).startswith(b"alive "):
                pass
            assert said == b"you said: line %d\n" % number
            assert guest.stdout.readline().startswith(b"alive ")
        guest.stdin.close()
        assert guest.stdout.read().endswith(b"bye\n")
        assert guest.wait(timeout=30) == 0


def test_go_reads_lines(waits: Module) -> None:
    done = run(waits, args=["lines"], input=b"one\ntwo", capture_output=True, timeout=30)
    said = [line for line in done.stdout.splitlines() if not line.startswith(b"alive ")]
    assert (done.returncode, said, done.stderr) == (0, [b"you said: one", b"you said: two", b"bye"], b"")


def test_go_sources_are_formatted() -> None:
    done = subprocess.run([go_root() / "bin" / "gofmt", "-d", GUESTS / "go"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
