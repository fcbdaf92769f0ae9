"""Messages between the embedder's process and a guest's: small values as JSON, bytes unchanged.

Rules of this file: a message of a compromised worker can at worst be refused. So there is no pickle, every size is
compared with a bound before it is used, and every wait ends.
"""

from __future__ import annotations

import _socket
import array
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from wasihost.common.unpatched import time

_HEAD: Final = struct.Struct("<IQ")
_MOST_TEXT: Final = 64 << 20
"""Bytes of the JSON of one message: what a tree of 250,000 long names takes."""
_PIECE: Final = 1 << 20
_FD: Final = struct.Struct("=i")
_SAME: Final = (-1,)
"""Family, type and protocol of a socket: -1 takes those that it has."""
_FDS: Final = 200
"""Descriptors that go with one byte; the kernel takes 253."""

MADE: Final = b"."
"""The byte that is sent to the embedder with the sockets of a worker. An errno is sent without sockets."""


class BadMessage(Exception):
    """The other side sent an invalid message."""


class Message(NamedTuple):
    """`kind` says which `values` there are; numbers in them may be indices into `blobs`."""

    kind: str
    values: dict[str, Any]
    blobs: list[memoryview]


class Channel:
    """One end of a stream socket. One thread at a time sends, and one receives."""

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock

    def send(
        self, kind: str, values: Mapping[str, Any] | None = None, blobs: Sequence[bytes | memoryview] = ()
    ) -> None:
        """Send a whole message. OSError if the other end is closed."""
        text = json.dumps([kind, values or {}, [len(one) for one in blobs]]).encode()
        head = _HEAD.pack(len(text), sum(map(len, blobs)))
        self.sock.settimeout(None)
        if len(blobs) == 1 and len(blobs[0]) < _PIECE:
            self.sock.sendall(b"".join((head, text, blobs[0])))
            return
        self.sock.sendall(head + text)
        for blob in blobs:
            self.sock.sendall(blob)

    def receive(self, most: int | None = None, until: float | None = None) -> Message | None:
        """The next message, whose blobs have at most `most` bytes together; None if the other end is closed.

        TimeoutError at `until` (seconds of `time.monotonic`), BadMessage for an invalid message.
        """
        first = self._exactly(_HEAD.size, until, may_end=True)
        if first is None:
            return None
        size, total = _HEAD.unpack(first)
        if size > _MOST_TEXT or (most is not None and total > most):
            raise BadMessage(f"a message of {size} and {total} bytes is too long")
        text = self._exactly(size, until)
        body = memoryview(self._exactly(total, until) or b"").toreadonly()
        try:
            kind, values, lengths = json.loads(bytes(text or b""))
            if not isinstance(kind, str) or not isinstance(values, dict) or not isinstance(lengths, list):
                raise BadMessage("a message is no message")
            blobs, at = [], 0
            for length in lengths:
                if type(length) is not int or length < 0 or at + length > total:
                    raise BadMessage("a blob goes beyond its message")
                blobs.append(body[at : at + length])
                at += length
        except (ValueError, TypeError, RecursionError) as error:
            raise BadMessage(f"a message is no message: {error}") from None
        return Message(kind, values, blobs)

    def _exactly(self, size: int, until: float | None, *, may_end: bool = False) -> bytearray | None:
        """Exactly `size` bytes. With `may_end`, None if the stream ends before the first one."""
        data = bytearray()
        while len(data) < size:
            if until is None:
                self.sock.settimeout(None)
            else:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.sock.settimeout(left)
            try:
                piece = self.sock.recv(min(size - len(data), _PIECE))
            except ConnectionResetError:
                piece = b""
            if not piece:
                if may_end and not data:
                    return None
                raise BadMessage("a message ends before its end")
            data += piece
        return data

    def close(self) -> None:
        """Close the socket; the other end is notified."""
        self.sock.close()


def send_parcel(sock: _socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send bytes and descriptors from the embedder to the worker, which trusts them."""
    sock.settimeout(None)
    sock.sendall(struct.pack("<QI", len(data), len(fds)))
    for at in range(0, len(fds), _FDS):
        sock.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds[at : at + _FDS]))])
    sock.sendall(data)


def receive_parcel(sock: socket.socket) -> tuple[bytes, list[int]] | None:
    """Receive what `send_parcel` sent; None if the embedder has closed its end."""
    head = _all(sock, 12)
    if head is None:
        return None
    size, count = struct.unpack("<QI", head)
    fds: list[int] = []
    while len(fds) < count:
        data, some, _, _ = socket.recv_fds(sock, 1, _FDS)
        if not data:
            return None
        fds += some
    body = _all(sock, size)
    return None if body is None else (body, fds)


def take_sockets(sock: _socket.socket, size: int, most: int, flags: int = 0) -> tuple[bytes, list[_socket.socket]]:
    """One message and the sockets that come with it, which programs that this process executes do not get."""
    room = socket.CMSG_SPACE(most * _FD.size)
    # In C until they are objects, which close themselves: a signal handler that raises comes between any two steps.
    found: list[Any] = []
    try:
        found.extend(map(sock.recvmsg, (size,), (room,), (flags | getattr(socket, "MSG_CMSG_CLOEXEC", 0),)))
        fds = _fds_of(found[0])
        found.extend(map(_socket.socket, _SAME * len(fds), _SAME * len(fds), _SAME * len(fds), fds))
    except BaseException:
        if len(found) == 1:
            for fd in _fds_of(found[0]):
                os.close(fd)
        raise
    return found[0][0], found[1:]


def _fds_of(message: tuple[bytes, list[tuple[int, int, bytes]], int, Any]) -> list[int]:
    return [
        fd
        for level, kind, content in message[1]
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _FD.iter_unpack(content[: len(content) // _FD.size * _FD.size])
    ]


def _all(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(size - len(data), _PIECE))
        if not piece:
            return None
        data += piece
    return bytes(data)
