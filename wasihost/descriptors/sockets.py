"""Sockets that a guest was given: listening ones, and connected ones of any family.

Rules of this file: the host's file is a duplicate of the embedder's, whose own object stays open. A connected socket's
status flags are never changed, as the embedder shares them: every call says itself that it must not wait
(`MSG_DONTWAIT`), tries first, and waits where it can be ended. No call raises SIGPIPE.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Sdflags

from wasihost import rights as kinds
from wasihost.deadline import Deadline
from wasihost.descriptors.base import Socket, one_piece
from wasihost.descriptors.hoststat import bytes_to_read, filestat_of

T = TypeVar("T")

_NONBLOCK = int(Fdflags.NONBLOCK)
_NO_WAIT = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
_GONE = select.POLLHUP | getattr(select, "POLLRDHUP", 0)
_IOV_MAX = 1024
_AGAIN_SOON = 1_000_000
"""ns between two looks at what a PEEK with WAITALL waits for, which poll(2) cannot be asked for."""
_DIRECTIONS = {1: socket.SHUT_RD, 2: socket.SHUT_WR, 3: socket.SHUT_RDWR}


class HostSocket(Socket):
    """What both kinds share. `socket` is a duplicate, owned and closed by this object."""

    __slots__ = ("deadline", "fd", "socket")

    def __init__(self, sock: socket.socket, rights: int, inheriting: int, flags: Fdflags) -> None:
        super().__init__(rights, inheriting, flags)
        self.socket = sock
        self.fd = sock.fileno()
        self.deadline = Deadline()

    def attend(self, deadline: Deadline) -> None:
        """No call waits longer than that."""
        self.deadline = deadline

    def filetype(self) -> Filetype:
        """A stream, or datagrams."""
        return Filetype.SOCKET_STREAM if self.socket.type == socket.SOCK_STREAM else Filetype.SOCKET_DGRAM

    def stat(self) -> Filestat:
        """fstat(2)."""
        return filestat_of(os.fstat(self.fd))._replace(filetype=self.filetype())

    def host_fd(self) -> int | None:
        """The fd."""
        return self.fd

    def set_flags(self, flags: Fdflags) -> None:
        """NONBLOCK, which is kept here. NOTSUP for any other."""
        if flags & ~_NONBLOCK:
            raise WasiError(Errno.NOTSUP)
        self.flags = flags

    def close(self) -> None:
        """close(2)."""
        self.socket.close()

    def _until(self, event: int, call: Callable[[], T]) -> T:
        """What `call` answers once it does not have to wait; with NONBLOCK, AGAIN if it has to."""
        while True:
            try:
                return call()
            except BlockingIOError:
                if self.flags & _NONBLOCK:
                    raise
            self.deadline.wait(self.fd, event)


class Connected(HostSocket):
    """A socket with a peer."""

    __slots__ = ("_stream",)

    KIND = kinds.SOCKET
    missing = Errno.INVAL

    def __init__(self, sock: socket.socket, flags: Fdflags) -> None:
        super().__init__(sock, kinds.SOCKET, 0, flags)
        self._stream = sock.type == socket.SOCK_STREAM

    def available(self) -> int:
        """FIONREAD: of datagrams, the first."""
        return bytes_to_read(self.fd)

    def read(self, buffers: list[memoryview]) -> int:
        """recv(2)."""
        if len(buffers) == 1 and self._stream:
            (buffer,) = buffers
            try:
                return self.socket.recv_into(buffer, 0, _NO_WAIT)
            except BlockingIOError:
                pass
        return self.receive(buffers, False, False)[0]

    def write(self, buffers: list[memoryview]) -> int:
        """send(2)."""
        return self.send(buffers)

    def receive(self, buffers: list[memoryview], peek: bool, wait_all: bool) -> tuple[int, bool]:
        """recvmsg(2). WAITALL is for streams, and not for NONBLOCK, as POSIX has it."""
        filled = [buffer for buffer in buffers if len(buffer)][:_IOV_MAX]
        flags = _NO_WAIT | (socket.MSG_PEEK if peek else 0)
        if self._stream and not filled:
            return 0, False
        size, _, told, _ = self._until(select.POLLIN, partial(self.socket.recvmsg_into, filled, 0, flags))
        if not self._stream:
            return size, bool(told & socket.MSG_TRUNC)
        if wait_all and size and not self.flags & _NONBLOCK:
            size = self._all_peeked(filled, size) if peek else self._all(filled, size)
        return size, False

    def _all(self, buffers: list[memoryview], size: int) -> int:
        """Fill them; less if the end or an error comes before, which the next call meets again."""
        rest = after(buffers, size)
        while rest:
            try:
                more = self._until(select.POLLIN, partial(self.socket.recvmsg_into, rest, 0, _NO_WAIT))[0]
            except OSError:
                break
            if not more:
                break
            size += more
            rest = after(rest, more)
        return size

    def _all_peeked(self, buffers: list[memoryview], size: int) -> int:
        wanted = sum(map(len, buffers))
        while size < wanted and not self._no_more():
            self.deadline.sleep(_AGAIN_SOON)
            size = self.socket.recvmsg_into(buffers, 0, _NO_WAIT | socket.MSG_PEEK)[0]
        return size

    def _no_more(self) -> bool:
        poller = select.poll()
        poller.register(self.fd, _GONE)
        return bool(poller.poll(0))

    def send(self, buffers: list[memoryview]) -> int:
        """send(2): all of a piece, unless with NONBLOCK; PIPE, or CONNRESET, where nobody receives any more."""
        data, sent = one_piece(buffers), 0
        while True:
            rest = data[sent:]
            try:
                sent += self._until(select.POLLOUT, partial(self.socket.send, rest, _NO_WAIT))
            except OSError:
                if not sent:
                    raise
                return sent  # the next call meets the error again
            if sent == len(data) or self.flags & _NONBLOCK:
                return sent

    def shutdown(self, how: Sdflags) -> None:
        """shutdown(2)."""
        self.socket.shutdown(_DIRECTIONS[how])


class Listener(HostSocket):
    """A socket that accepts.

    While the guest has it, it does not wait by itself (O_NONBLOCK, shared with whoever has it open): a peer that went
    away between poll(2) and accept(2) would leave the guest where nothing can end it.
    """

    __slots__ = ("_waited",)

    KIND = kinds.LISTENER
    missing = Errno.NOTCONN

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, kinds.LISTENER, kinds.SOCKET, Fdflags(0))
        self._waited = os.get_blocking(self.fd)
        os.set_blocking(self.fd, False)

    def close(self) -> None:
        """close(2); it waits again if it did."""
        if self._waited:
            os.set_blocking(self.fd, True)
        super().close()

    def accept(self, flags: Fdflags) -> Connected:
        """accept(2). AGAIN with NONBLOCK if nobody has come; `flags` are the new socket's."""
        if flags & ~_NONBLOCK:
            raise WasiError(Errno.INVAL)
        sock, _ = self._until(select.POLLIN, self.socket.accept)
        return Connected(sock, flags)


def after(buffers: list[memoryview], size: int) -> list[memoryview]:
    """What of the buffers is left after `size` bytes."""
    rest = []
    for buffer in buffers:
        if size < len(buffer):
            rest.append(buffer[size:])
        size = max(0, size - len(buffer))
    return rest


def given(sock: socket.socket) -> HostSocket:
    """The embedder's socket as a guest's."""
    fd = os.dup(sock.fileno())
    try:
        waits = os.get_blocking(fd)
        own = socket.socket(sock.family, sock.type, sock.proto, fd)
        own.settimeout(None)  # whatever Python's default is; this sets the file's flag, which is put back
        os.set_blocking(fd, waits)
    except BaseException:
        os.close(fd)
        raise
    return Listener(own) if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else Connected(own, Fdflags(0))
