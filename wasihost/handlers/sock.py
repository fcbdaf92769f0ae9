"""`sock_*`: what a host without sockets answers, BADF for a closed number and NOTSOCK for anything else."""

from __future__ import annotations

from typing import NoReturn

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import SockHandlers
from wasi_preview1.types import (
    CiovecArray,
    Errno,
    Fd,
    Fdflags,
    IovecArray,
    Riflags,
    Roflags,
    Sdflags,
    Siflags,
    Size,
)

from wasihost.fdtable import FdTable


class Sock(SockHandlers):
    """No descriptor is a socket yet."""

    __slots__ = ()

    table: FdTable

    def sock_accept(self, fd: Fd, flags: Fdflags) -> Fd:
        """NOTSOCK."""
        self._no_socket(fd)

    def sock_recv(self, fd: Fd, ri_data: IovecArray, ri_flags: Riflags) -> tuple[Size, Roflags]:
        """NOTSOCK."""
        self._no_socket(fd)

    def sock_send(self, fd: Fd, si_data: CiovecArray, si_flags: Siflags) -> Size:
        """NOTSOCK."""
        self._no_socket(fd)

    def sock_shutdown(self, fd: Fd, how: Sdflags) -> None:
        """NOTSOCK."""
        self._no_socket(fd)

    def _no_socket(self, fd: Fd) -> NoReturn:
        self.table.get(fd)
        raise WasiError(Errno.NOTSOCK)
