"""One echo server on 127.0.0.1, in a process of its own.

    python -m tests.bench.servers KIND GUEST

Prints the port, serves `CONNECTIONS` clients and ends; or, whatever happens, after `LIFETIME` seconds. KIND: a guest of
ours or plain Python, each with blocking calls, one client after the other, or waiting for all of them at once.

Rules: only what a kind needs is imported. Both ways of a kind take pieces of `PIECE` bytes, as tests/guests/server.c
does, and do the same calls to the system where they can.
"""

from __future__ import annotations

import selectors
import signal
import socket
import sys
from typing import Final

PIECE: Final = 65536
CONNECTIONS: Final = 2
"""One that is measured, with a server that still waits for others, and one that ends it."""
LIFETIME: Final = 60


def ours_blocking(listener: socket.socket, guest: str) -> None:
    """The guest's `read` and `write`, which wait."""
    _run(listener, guest, "one")


def ours_poll(listener: socket.socket, guest: str) -> None:
    """The guest's `poll`, `recv` and `send`."""
    _run(listener, guest, "echo")


def _run(listener: socket.socket, guest: str, way: str) -> None:
    from wasihost import ModuleConfig, run

    config = ModuleConfig().with_listener("echo", listener)
    run(guest, config, args=[way, str(CONNECTIONS)], check=True)


def python_blocking(listener: socket.socket, _guest: str) -> None:
    """What anybody would write first."""
    piece = memoryview(bytearray(PIECE))
    for _ in range(CONNECTIONS):
        client, _ = listener.accept()
        with client:
            while size := client.recv_into(piece):
                client.sendall(piece[:size])


class _Client:
    """What of a piece is still to be sent."""

    def __init__(self) -> None:
        self.piece = memoryview(bytearray(PIECE))
        self.begin = self.end = 0

    def step(self, sock: socket.socket) -> bool:
        """Receive if there is nothing to send, and send; False at the end."""
        try:
            if self.begin == self.end:
                self.begin, self.end = 0, sock.recv_into(self.piece)
                if not self.end:
                    return False
            self.begin += sock.send(self.piece[self.begin : self.end])
        except BlockingIOError:
            pass
        return True


def python_poll(listener: socket.socket, _guest: str) -> None:
    """What the guest does, by the standard library's `selectors`."""
    accepted, is_open = 0, 0
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while accepted < CONNECTIONS or is_open:
            for key, _ in selector.select():
                sock, client = key.fileobj, key.data
                assert isinstance(sock, socket.socket)
                if client is None:
                    made, _ = listener.accept()
                    made.setblocking(False)
                    selector.register(made, selectors.EVENT_READ, _Client())
                    accepted, is_open = accepted + 1, is_open + 1
                elif not client.step(sock):
                    selector.unregister(sock)
                    sock.close()
                    is_open -= 1
                else:
                    wanted = selectors.EVENT_WRITE if client.begin < client.end else selectors.EVENT_READ
                    if wanted != key.events:
                        selector.modify(sock, wanted, client)


KINDS: Final = {
    "ours_blocking": ours_blocking,
    "ours_poll": ours_poll,
    "python_blocking": python_blocking,
    "python_poll": python_poll,
}


def main() -> None:
    """Serve as the kind named first."""
    kind, guest = sys.argv[1:]
    signal.alarm(LIFETIME)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        KINDS[kind](listener, guest)


if __name__ == "__main__":
    main()
