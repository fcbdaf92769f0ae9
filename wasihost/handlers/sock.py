"""`sock_*`: calls on sockets. BADF for a number that is not open, NOTSOCK for a descriptor that is not a socket."""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import SockHandlers
from wasi_preview1.types import (
    CiovecArray,
    Errno,
    Fd,
    Fdflags,
    IovecArray,
    Riflags,
    Rights,
    Roflags,
    Sdflags,
    Siflags,
    Size,
)

from wasihost.descriptors.base import Socket
from wasihost.descriptors.table import FdTable

_COMPLETE, _TRUNCATED = Roflags(0), Roflags.RECV_DATA_TRUNCATED
_PEEK, _WAITALL = Riflags.RECV_PEEK, Riflags.RECV_WAITALL
_READ, _WRITE = Rights.FD_READ, Rights.FD_WRITE


class SockFunctions(SockHandlers):
    """Works on `table`. A guest cannot create sockets: it has those of its config, and those that they accept."""

    __slots__ = ()

    table: FdTable

    def sock_accept(self, fd: Fd, flags: Fdflags) -> Fd:
        # MFILE if the table is full, before a connection is accepted.
        listener = self._socket(fd, Rights.SOCK_ACCEPT)
        self.table.check_room(listener)
        accepted = listener.accept(flags)
        accepted.keep(listener.inheriting, 0)
        return self.table.insert(accepted)

    def sock_recv(self, fd: Fd, ri_data: IovecArray, ri_flags: Riflags) -> tuple[Size, Roflags]:
        peek, wait_all = ri_flags & _PEEK != 0, ri_flags & _WAITALL != 0
        size, truncated = self._socket(fd, _READ).receive(ri_data, peek, wait_all)
        return size, _TRUNCATED if truncated else _COMPLETE

    def sock_send(self, fd: Fd, si_data: CiovecArray, si_flags: Siflags) -> Size:
        # INVAL for any flag: the spec defines none.
        if si_flags:
            raise WasiError(Errno.INVAL)
        return self._socket(fd, _WRITE).send(si_data)

    def sock_shutdown(self, fd: Fd, how: Sdflags) -> None:
        # INVAL if no direction is set.
        socket = self._socket(fd, Rights.SOCK_SHUTDOWN)
        if not how:
            raise WasiError(Errno.INVAL)
        socket.shutdown(how)

    def _socket(self, fd: Fd, right: Rights) -> Socket:
        descriptor = self.table.open[fd]
        if not isinstance(descriptor, Socket):
            raise WasiError(Errno.NOTSOCK)
        if not descriptor.rights & right:
            raise descriptor.missing_right(right)
        return descriptor
