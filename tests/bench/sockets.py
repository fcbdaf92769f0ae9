"""The throughput of an echo server in a guest, compared with the same server in plain Python.

Rules: one client for all of them, which sends as fast as it can, compares every byte that comes back, and gives up when
nothing moves any more. The servers run one at a time, interleaved; the best of all rounds counts. All but `measure` and
what it calls is pure.
"""

from __future__ import annotations

import random
import select
import socket
import subprocess
import time
from typing import Final

from tests.bench.processes import ROOT
from tests.bench.report import Verdict
from tests.bench.servers import PIECE
from tests.support.guests import build_c

COLUMNS: Final = ("ours", "python")
"""wasmtime's own WASI and `node:wasi` have no sockets."""

WAYS: Final = ("blocking", "poll")

CASES: Final = {
    "stream_blocking": "MiB/s",
    "stream_poll": "MiB/s",
    "turns_blocking": "round trips/s",
    "turns_poll": "round trips/s",
}
"""Case -> unit. A stream comes in pieces of 64 KiB as the server reads it; a turn is `MESSAGE` bytes there and back."""

LEAST: Final = 0.5
"""What ours may be of plain Python at least, in streams. Turns are told and not judged."""

MESSAGE: Final = 64
MIB: Final = 1 << 20
PATIENCE: Final = 30

Rates = dict[str, dict[str, float]]
"""Column -> case -> what it got through in a second; the best of all rounds."""


def measure(python: str, cases: list[str], rounds: int, quick: bool = False) -> Rates:
    """Run `rounds` processes of each server that a case needs, with the interpreter `python`."""
    rates: Rates = {column: {} for column in COLUMNS}
    ways = [way for way in WAYS if any(case.endswith(way) for case in cases)]
    size, turns = (MIB, 20) if quick else (192 * MIB, 2000)
    for _ in range(rounds):
        for way in ways:
            for column, best in rates.items():
                found = _round(python, column, way, size, turns)
                for case in set(found).intersection(cases):
                    best[case] = max(best.get(case, 0), found[case])
    return rates


def _round(python: str, column: str, way: str, size: int, turns: int) -> dict[str, float]:
    command = [python, "-m", "tests.bench.servers", f"{column}_{way}", str(build_c("server"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = ("127.0.0.1", int(server.stdout.readline()))
            with socket.create_connection(address, PATIENCE) as client:
                found = {f"turns_{way}": take_turns(client, turns), f"stream_{way}": stream(client, size)}
            socket.create_connection(address, PATIENCE).close()
            if server.wait(PATIENCE):
                raise RuntimeError(f"{' '.join(command)}: exit status {server.returncode}")
        finally:
            server.kill()
    return found


def take_turns(client: socket.socket, turns: int) -> float:
    """Messages there and back in a second, after a first one, for which the server may still have to get ready."""
    message = random.Random(turns).randbytes(MESSAGE)
    begin = 0.0
    for turn in range(turns + 1):
        if turn == 1:
            begin = time.perf_counter()
        client.sendall(message)
        got = client.recv(MESSAGE)
        while len(got) < MESSAGE:
            got += client.recv(MESSAGE - len(got)) or _gone()
        if got != message:
            raise RuntimeError("an answer is not what was sent")
    return turns / (time.perf_counter() - begin)


def stream(client: socket.socket, size: int) -> float:
    """MiB in a second, of `size` bytes that are sent while they come back. The connection is at its end then."""
    period = 17 * PIECE  # not a power of two: a piece that is lost or sent twice must be noticed
    data = random.Random(size).randbytes(period)
    data += data[:PIECE]
    source, room = memoryview(data), memoryview(bytearray(PIECE))
    sent = got = 0
    client.setblocking(False)
    poller = select.poll()
    poller.register(client, select.POLLIN | select.POLLOUT)
    begin = time.perf_counter()
    while True:
        events = poller.poll(PATIENCE * 1000)
        if not events:
            raise RuntimeError(f"nothing moves after {sent} bytes there and {got} back")
        if sent < size and events[0][1] & select.POLLOUT:
            at = sent % period
            sent += client.send(source[at : at + min(PIECE, size - sent)])
            if sent == size:
                client.shutdown(socket.SHUT_WR)
                poller.modify(client, select.POLLIN)
        if events[0][1] & ~select.POLLOUT:
            came = client.recv_into(room)
            if not came:
                break
            if not data.startswith(room[:came], got % period):
                raise RuntimeError(f"what comes back differs within {came} bytes from {got} on")
            got += came
    took = time.perf_counter() - begin
    if got != size:
        raise RuntimeError(f"{got} of {size} bytes came back")
    return size / MIB / took


def _gone() -> bytes:
    raise RuntimeError("the server has gone")


def ratio(rates: Rates, case: str) -> float | None:
    """Ours to Python's; None where one of them was not measured."""
    ours, python = (rates.get(column, {}).get(case) for column in COLUMNS)
    return ours / python if ours and python else None


def verdicts(rates: Rates) -> list[Verdict]:
    """Each stream that was measured."""
    found = [(case, ratio(rates, case)) for case in CASES if case.startswith("stream_")]
    return [Verdict(f"{case}: ours/python", value, LEAST, at_least=True) for case, value in found if value]


def table(rates: Rates) -> str:
    """The cases; empty if nothing was measured."""
    lines = []
    for case, unit in CASES.items():
        value = ratio(rates, case)
        if value is not None:
            cells = "".join(f"{rates[column][case]:,.0f}".rjust(12) for column in COLUMNS)
            lines.append(f"  {case}, {unit}".ljust(36) + cells + f"{value:.3g}".rjust(13))
    head = "an echo server".ljust(36) + "".join(column.rjust(12) for column in COLUMNS) + "ours/python".rjust(13)
    return "\n".join([head, *lines]) if lines else ""
