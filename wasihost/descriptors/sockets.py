"""Sockets passed to a guest: listening ones, and connected ones of any family.

Rules of this file: each fd is a duplicate of the embedder's, whose own object stays open. The status flags of a
connected socket are never changed, because the embedder shares them: every call is made with MSG_DONTWAIT, and if it
would block, the wait happens in the scope, where it can be cancelled. No call raises SIGPIPE.
"""

from __future__ import annotations

import _socket
import os
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import ClassVar, TypeVar

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Sdflags

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import select, threading
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Socket, joined
from wasihost.descriptors.hoststat import filestat_of
from wasihost.errors import BY_SIGNAL_HANDLER
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.poller import bytes_to_read

T = TypeVar("T")

_NONBLOCK = int(Fdflags.NONBLOCK)
_NO_WAIT = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
_PEEK, _TRUNC = socket.MSG_PEEK, socket.MSG_TRUNC
_GONE = select.POLLHUP | getattr(select, "POLLRDHUP", 0)
_IOV_MAX = 1024
_PEEK_INTERVAL = 1_000_000
"""ns between two checks for the bytes that a PEEK with WAITALL waits for: poll(2) cannot wait for a number of bytes."""
_DIRECTIONS = {1: socket.SHUT_RD, 2: socket.SHUT_WR, 3: socket.SHUT_RDWR}
_NO_LINGER = struct.pack("ii", 0, 0)


class HostSocket(Socket):
    """What listening and connected sockets share. `socket` is a duplicate, owned and closed by this object."""

    __slots__ = ("fd", "scope", "socket")

    OWNS: ClassVar[bool] = True

    def __init__(self, sock: _socket.socket, rights: int, inheriting: int, flags: Fdflags) -> None:
        super().__init__(rights, inheriting, flags)
        self.socket: _socket.socket = sock
        self.fd: int = sock.fileno()
        self.scope: CancelScope = CancelScope()

    def set_scope(self, scope: CancelScope) -> None:
        self.scope = scope

    def filetype(self) -> Filetype:
        return Filetype.SOCKET_STREAM if self.socket.type == socket.SOCK_STREAM else Filetype.SOCKET_DGRAM

    def stat(self) -> Filestat:
        """fstat(2), with the type of the socket."""
        return filestat_of(os.fstat(self.fd))._replace(filetype=self.filetype())

    def host_fd(self) -> int | None:
        return self.fd

    def set_flags(self, flags: Fdflags) -> None:
        """Keep NONBLOCK here. Raises NOTSUP for any other flag."""
        if flags & ~_NONBLOCK:
            raise WasiError(Errno.NOTSUP)
        self.flags = flags

    def close(self) -> None:
        """close(2)."""
        self.socket.close()

    def _retry_when_ready(self, event: int, call: Callable[[], T]) -> T:
        """Return what `call` returns as soon as it does not block; with NONBLOCK, raise AGAIN if it would."""
        while True:
            try:
                return call()
            except BlockingIOError as error:
                if self.flags & _NONBLOCK or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
            self.scope.wait(self.fd, event)


class Connected(HostSocket):
    """A socket with a peer."""

    __slots__ = ("_pending_error", "_stream")

    KIND_RIGHTS: ClassVar[int] = kinds.SOCKET
    unsupported = Errno.INVAL

    def __init__(self, sock: _socket.socket, flags: Fdflags) -> None:
        super().__init__(sock, kinds.SOCKET, 0, flags)
        self._stream = sock.type == socket.SOCK_STREAM
        self._pending_error: OSError | None = (
            None  # error that ended a partial transfer: the OS reports it once, the next call raises it
        )

    def available(self) -> int:
        """FIONREAD; for datagrams the size of the first."""
        return bytes_to_read(self.fd)

    def host_fd(self) -> int | None:
        """The fd; None if an error is pending."""
        return self.fd if self._pending_error is None else None

    def read(self, buffers: list[memoryview]) -> int:
        return self.receive(buffers, False, False)[0]

    def write(self, buffers: list[memoryview]) -> int:
        return self.send(buffers)

    def receive(self, buffers: list[memoryview], peek: bool, wait_all: bool) -> tuple[int, bool]:
        """recvmsg(2). WAITALL has an effect for streams without NONBLOCK only, as in POSIX."""
        if self._pending_error is not None:
            raise self._take_pending_error()
        if self._stream and len(buffers) == 1 and not (peek or wait_all):  # the usual call of a server
            try:
                return self.socket.recv_into(buffers[0], 0, _NO_WAIT), False
            except BlockingIOError as error:
                if self.flags & _NONBLOCK or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
        filled = [buffer for buffer in buffers if len(buffer)][:_IOV_MAX]
        if self._stream and not filled:
            return 0, False
        flags = _NO_WAIT | _PEEK if peek else _NO_WAIT
        size, _, message_flags, _ = self._retry_when_ready(
            select.POLLIN, partial(self.socket.recvmsg_into, filled, 0, flags)
        )
        if not self._stream:
            return size, bool(message_flags & _TRUNC)
        if wait_all and size and not self.flags & _NONBLOCK:
            size = self._all_peeked(filled, size) if peek else self._all(filled, size)
        return size, False

    def _take_pending_error(self) -> OSError:
        error, self._pending_error = self._pending_error, None
        assert error is not None
        return error

    def _all(self, buffers: list[memoryview], size: int) -> int:
        """Fill the buffers. Returns less at the end of the stream or after an error, which the next call raises."""
        rest = buffers_after(buffers, size)
        while rest:
            try:
                more = self._retry_when_ready(select.POLLIN, partial(self.socket.recvmsg_into, rest, 0, _NO_WAIT))[0]
            except OSError as error:
                if BY_SIGNAL_HANDLER in error.__dict__:
                    raise
                self._pending_error = error
                break
            if not more:
                break
            size += more
            rest = buffers_after(rest, more)
        return size

    def _all_peeked(self, buffers: list[memoryview], size: int) -> int:
        wanted = sum(map(len, buffers))
        while size < wanted:
            over = self._no_more()
            if bytes_to_read(self.fd) > size:
                size = self.socket.recvmsg_into(buffers, 0, _NO_WAIT | _PEEK)[0]
            elif over:
                break
            else:
                self.scope.sleep(_PEEK_INTERVAL)
        return size

    def _no_more(self) -> bool:
        poller = select.poll()
        poller.register(self.fd, _GONE)
        return bool(poller.poll(0))

    def send(self, buffers: list[memoryview]) -> int:
        """send(2). On a stream sends all bytes of the joined buffers, unless NONBLOCK is set; else one datagram.

        Raises PIPE or CONNRESET if the peer no longer receives, MSGSIZE for a datagram that is too long.
        """
        if not self._stream:
            return self._retry_when_ready(
                select.POLLOUT, partial(self.socket.sendmsg, buffers[:_IOV_MAX], (), _NO_WAIT)
            )
        data, sent = buffers[0] if len(buffers) == 1 else joined(buffers), 0
        while True:
            try:
                sent += self.socket.send(data[sent:] if sent else data, _NO_WAIT)
                if sent == len(data) or self.flags & _NONBLOCK:
                    return sent
            except BlockingIOError as error:
                if self.flags & _NONBLOCK or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
            except OSError as error:
                if not sent or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
                if not isinstance(error, BrokenPipeError):  # which the OS reports again at the next send
                    self._pending_error = error
                return sent
            self.scope.wait(self.fd, select.POLLOUT)

    def shutdown(self, how: Sdflags) -> None:
        self.socket.shutdown(_DIRECTIONS[how])


class Listener(HostSocket):
    """A socket that accepts.

    While guests use it, O_NONBLOCK is set, also for every other process that shares the socket: if a peer went away
    between poll(2) and accept(2), a blocking accept would hold the guest where it cannot be cancelled.
    """

    __slots__ = ("_key", "_lingers")

    KIND_RIGHTS: ClassVar[int] = kinds.LISTENER
    FIXED_FD: ClassVar[bool] = True
    unsupported = Errno.NOTCONN

    def __init__(self, sock: _socket.socket, flags: Fdflags) -> None:
        super().__init__(sock, kinds.LISTENER, kinds.SOCKET, flags)
        self._lingers = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)[:4] != _NO_LINGER[:4]
        self._key: _Key | None = _acquire_nonblocking(self.fd)

    def close(self) -> None:
        """close(2). O_NONBLOCK is restored when no guest of this process uses the socket any more."""
        key, self._key = self._key, None
        if key is not None:
            _release_nonblocking(key, self.fd)
        super().close()

    def accept(self, flags: Fdflags) -> Connected:
        """accept(2). With NONBLOCK, raises AGAIN if no connection is waiting. `flags` are those of the new socket.

        SO_LINGER is turned off for the new socket: close() could block after the guest's time is over.
        """
        if flags & ~_NONBLOCK:
            raise WasiError(Errno.INVAL)
        sock = self._retry_when_ready(select.POLLIN, self._accept)
        if self._lingers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        return Connected(sock, flags)

    def _accept(self) -> _socket.socket:
        if os.get_blocking(self.fd):  # another process that shares the socket has reset the flag
            os.set_blocking(self.fd, False)
        sock = _owning(self.socket, map(_fd_of, map(_accept, (self.socket,))))
        sock.settimeout(None)  # whatever `socket.setdefaulttimeout` says
        return sock


_Key = tuple[int, int]
_shared: dict[_Key, tuple[int, bool]] = {}
"""Listening sockets in use, by device and inode: the number of guests, and whether the socket was blocking before."""
_sharing = threading.Lock()


@in_forked_child
def _after_fork() -> None:
    global _sharing
    _sharing = threading.Lock()  # another thread of the parent may have held it


def _acquire_nonblocking(fd: int) -> _Key:
    about = os.fstat(fd)
    key = about.st_dev, about.st_ino
    with _sharing:
        count, waited = _shared.get(key) or (0, os.get_blocking(fd))
        _shared[key] = count + 1, waited
        os.set_blocking(fd, False)
    return key


def _release_nonblocking(key: _Key, fd: int) -> None:
    with _sharing:
        count, waited = _shared.pop(key)
        if count > 1:
            _shared[key] = count - 1, waited
        elif waited:
            os.set_blocking(fd, True)


def buffers_after(buffers: list[memoryview], size: int) -> list[memoryview]:
    """The parts of the buffers after the first `size` bytes."""
    rest = []
    for buffer in buffers:
        if size < len(buffer):
            rest.append(buffer[size:])
        size = max(0, size - len(buffer))
    return rest


def _owning(like: _socket.socket, fds: Iterator[int]) -> _socket.socket:
    """Make a socket like another one that owns the next of `fds`, so that deleting it closes the fd.

    Only C code runs between the system call and the new object, so no signal handler can raise in between and lose the
    fd.
    """
    [sock] = map(partial(_socket.socket, like.family, like.type, like.proto), fds)
    return sock


_accept = _socket.socket._accept  # type: ignore[attr-defined]  # typeshed leaves it out
_fd_of = itemgetter(0)


def inherited(fd: int) -> HostSocket:
    """Make a descriptor of a duplicate of `fd`, a socket of this process."""
    [sock] = map(partial(_socket.socket, -1, -1, -1), map(os.dup, (fd,)))
    try:
        return duplicate_of(sock)
    finally:
        sock.close()


def duplicate_of(sock: _socket.socket) -> HostSocket:
    """Make a descriptor of a duplicate of the embedder's socket. It has NONBLOCK if the embedder has called
    `setblocking(False)`."""
    waits = os.get_blocking(sock.fileno())
    own = _owning(sock, map(os.dup, (sock.fileno(),)))
    try:
        if socket.getdefaulttimeout() is not None:
            own.settimeout(None)  # this changes the flag of the open file, too
            os.set_blocking(own.fileno(), waits)
    except BaseException:
        own.close()
        raise
    flags = Fdflags(_NONBLOCK if sock.gettimeout() == 0 else 0)
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return Listener(own, flags) if listens else Connected(own, flags)
