"""The sockets of a config, checked, and the environment that tells a guest of them.

Rules of this file: nothing is opened; loaded only for a config that has sockets.
"""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

from wasihost.errors import ConfigError


class NamedSocket(NamedTuple):
    """A socket of the embedder's and the guest's name for it."""

    name: str
    socket: socket.socket


def checked(name: str, sock: Any, listens: bool) -> NamedSocket:
    """ConfigError for what is no socket, closed, of TLS, or not in the state that was promised."""
    if not name or ":" in name or "\0" in name:
        raise ConfigError(f"a socket cannot be called {name!r}: a name is not empty and holds no ':' and no NUL")
    if not isinstance(sock, socket.socket):
        raise ConfigError(f"{name} is not a socket but {sock!r}: give a socket.socket")
    if hasattr(sock, "cipher"):
        raise ConfigError(f"{name} is a TLS socket, whose keys a guest does not have: give it a plain one, and do TLS "
                          "between the two")  # fmt: skip
    if sock.fileno() < 0:
        raise ConfigError(f"{name} is closed: give a socket that is open")
    found = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if listens and not found:
        raise ConfigError(f"{name} does not listen: call its listen() first, or give it by with_socket")
    if not listens:
        if found:
            raise ConfigError(f"{name} listens: give it by with_listener")
        try:
            sock.getpeername()
        except OSError as error:
            raise ConfigError(f"{name} is not connected: call its connect() first") from error
    return NamedSocket(name, sock)


def environment(sockets: tuple[NamedSocket, ...], directories: int) -> tuple[bytes, ...]:
    """LISTEN_FDS and LISTEN_FDNAMES, as systemd has them: how many descriptors there are from 3 on, and their names.

    Directories come first and are `unknown`, which is systemd's word for what has no name.
    """
    names = ["unknown"] * directories + [one.name for one in sockets]
    return f"LISTEN_FDS={len(names)}".encode(), b"LISTEN_FDNAMES=" + ":".join(names).encode()
