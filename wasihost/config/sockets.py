"""The sockets of a config: checks, and the environment variables that name them for the guest.

Rules of this file: nothing is opened; imported only for a config that has sockets.
"""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

from wasihost.errors import ConfigError


class NamedSocket(NamedTuple):
    """A socket of the embedder, and the guest's name for it."""

    name: str
    socket: socket.socket


def checked(name: str, sock: Any, listens: bool) -> NamedSocket:
    """Return the socket and its name, once both are checked.

    Raises:
        ConfigError: It is not a socket, is closed or uses TLS; it does not listen although `listens` says so, or is not
            connected although `listens` is false; the name is empty or has a `:` or a NUL.
    """
    if not name or ":" in name or "\0" in name:
        raise ConfigError(f"a socket cannot be called {name!r}: a name is not empty and holds no ':' and no NUL")
    if not isinstance(sock, socket.socket):
        raise ConfigError(f"{name} is not a socket but {sock!r}: give a socket.socket")
    if hasattr(sock, "cipher"):
        raise ConfigError(
            f"{name} is a TLS socket, whose keys a guest does not have: give it a plain one, and do TLS between the two"
        )
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
    """Return LISTEN_FDS and LISTEN_FDNAMES as systemd sets them: the number of descriptors from 3 on, and their names.

    Directories come first and are called `unknown`, which is systemd's word for a descriptor without a name.
    """
    names = ["unknown"] * directories + [one.name for one in sockets]
    return f"LISTEN_FDS={len(names)}".encode(), b"LISTEN_FDNAMES=" + ":".join(names).encode()
