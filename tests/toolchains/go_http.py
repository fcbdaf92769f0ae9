"""An HTTP server in Go, many requests at once: `make go-tests` runs this file, since it takes a minute to compile."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random

import pytest

from tests.support.timing import few_tries, in_time
from tests.support.toolchains import build_go
from tests.toolchains.clients import ends_unasked, serving
from tests.toolchains.test_go import COMMAND
from wasihost import Module, ModuleConfig


@pytest.fixture(scope="module")
def server() -> Module:
    """tests/guests/go/http.go."""
    return Module(build_go("http"))


@pytest.mark.parametrize("clients", [0, 1])
@few_tries
def test_a_server_that_nobody_asks_ends_in_time(server: Module, listener: socket.socket, clients: int) -> None:
    in_time(ends_unasked(server, listener, [], clients, 0.3), 0.3, 1)


def _visit(address: tuple[str, int], number: int) -> None:
    """One connection, several requests."""
    with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        for nth in range(5):
            body = Random(number * 5 + nth).randbytes(1 + 40_000 * nth)
            connection.request("POST", "/echo", body, {"Number": f"{number}.{nth}"})
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Seen"]) == (200, f"{number}.{nth}")
            assert answer.read() == body


def _get(address: tuple[str, int], path: str) -> bytes:
    with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


@pytest.mark.parametrize("as_given", [False, True])
def test_http_for_many_at_once(server: Module, listener: socket.socket, as_given: bool) -> None:
    """The listener is non-blocking by the guest, or by the embedder."""
    address = listener.getsockname()
    config = ModuleConfig()
    if as_given:
        listener.setblocking(False)
        config = config.with_env("AS_GIVEN", "yes")
    with serving(server, config.with_listener("web", listener)) as done:
        with ThreadPoolExecutor(20) as clients:
            slow = [clients.submit(_get, address, "/slowly") for _ in range(4)]
            visits = [clients.submit(_visit, address, number) for number in range(16)]
            for visit in visits:
                visit.result()
            assert {one.result() for one in slow} == {b"0\n1\n2\n3\n4\n"}
        assert _get(address, "/quit") == b""
        result = done.result()
    assert (result.returncode, result.stdout, result.stderr) == (0, b"over <nil>\n", b"")


@pytest.mark.parametrize("options", [(), ("--tcp-nonblock", "--env", "AS_GIVEN=yes")], ids=["waiting", "nonblock"])
def test_the_command_serves_http(options: tuple[str, ...]) -> None:
    command = [*COMMAND, "--tcplisten", "127.0.0.1:0", *options, str(build_go("http"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        said = server.stderr.readline().decode()
        found = re.fullmatch(r"wasihost: listening on 127\.0\.0\.1:(\d+)\n", said)
        assert found, said
        address = ("127.0.0.1", int(found[1]))
        _visit(address, 0)
        assert _get(address, "/slowly") == b"0\n1\n2\n3\n4\n"
        assert _get(address, "/quit") == b""
        assert server.communicate(timeout=30) == (b"over <nil>\n", b"")
        assert server.returncode == 0
