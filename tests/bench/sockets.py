"""The throughput of an echo server in a guest, compared with the same server in plain Python.

Rules: one client for all of them, which sends as fast as it can, compares every byte that comes back, and gives up when
nothing moves any more. The servers run one at a time, interleaved; the median of the rounds counts.
"""

from __future__ import annotations

import random
import select
import socket
import subprocess
import time
from typing import Final

from tests.bench import cases
from tests.bench.cases import Samples
from tests.bench.hosts import ROOT, environment
from tests.bench.plan import Plan
from tests.bench.servers import PIECE
from tests.support.guests import build_c

COLUMNS: Final = ("native", "pure", "python")
"""wasmtime's own WASI and `node:wasi` have no sockets."""

WAYS: Final = ("blocking", "poll")

MESSAGE: Final = 64
MIB: Final = 1 << 20
PATIENCE: Final = 30
ROUNDS: Final = 3


def measure(plan: Plan) -> Samples:
    """Run each server that a case of the plan needs. A stream comes in pieces of 64 KiB as the server reads it, and its
    number is ns per MiB; a turn is `MESSAGE` bytes there and back."""
    samples: Samples = {case: {} for case in cases.SERVERS if plan.has(case)}
    columns = [column for column in COLUMNS if column in plan.hosts.by_column or column == "python"]
    if not plan.ours:
        return {}
    ways = [way for way in WAYS if any(case.endswith(way) for case in samples)]
    size, turns = (MIB, 20) if plan.quick else (128 * MIB, 2000)
    for _ in range(min(plan.rounds, ROUNDS)):
        for way in ways:
            for column in columns:
                for case, took in _round(plan.hosts.python, column, way, size, turns).items():
                    if case in samples:
                        samples[case].setdefault(column, []).append(took)
    return samples


def _round(python: str, column: str, way: str, size: int, turns: int) -> dict[str, float]:
    kind = "python" if column == "python" else "ours"
    command = [python, "-m", "tests.bench.servers", f"{kind}_{way}", str(build_c("server"))]
    env = environment(column)
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as server:
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
    """ns of a message there and back, after a first one, for which the server may still have to get ready."""
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
    return (time.perf_counter() - begin) * 1e9 / turns


def stream(client: socket.socket, size: int) -> float:
    """ns per MiB, of `size` bytes that are sent while they come back. The connection is at its end then."""
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
    return took * 1e9 / (size / MIB)


def _gone() -> bytes:
    raise RuntimeError("the server has gone")
