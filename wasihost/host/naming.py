"""The guest's names of its open descriptors: the path by which each was opened, and the mount it belongs to.

Rules of this file: names are kept for guests with hooks that ask for their host; all others pay nothing. A name is what
the guest called it: a later rename does not change it, and a symbolic link in it is not followed.
"""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING, Any, Final

from wasi_preview1.light_typing import NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias

    from wasi_preview1.handlers import Handlers
    from wasi_preview1.types import Fd, Filetype

    from wasihost.config import ModuleConfig
    from wasihost.descriptors.table import FdTable

    Name: TypeAlias = tuple[str | None, str | None]
    """The path of a descriptor and its mount, as a `Description` has them."""


KEEPING_NAMES: Final = ("path_open", "fd_close", "fd_renumber", "sock_accept")
"""The functions by which names change: C must not do them by itself."""


class Description(NamedTuple):
    """What an open descriptor is."""

    kind: Filetype
    """Its type, as `fd_fdstat_get` reports it."""
    path: str | None
    """The guest's path; "stdin", "stdout" or "stderr"; the name of a socket; None if it is not known."""
    mount: str | None
    """The guest's path of the mount; None for what is not in a mount."""


def first_names(config: ModuleConfig) -> dict[Fd, Name]:
    """Path and mount of the descriptors that a guest starts with, by number."""
    paths = [mount.guest_path for mount in config.fs_preopens]
    listed: list[Name] = [(name, None) for name in ("stdin", "stdout", "stderr")]
    listed += [(path, path) for path in paths]
    listed += [(one.name, None) for one in config.sockets]
    return dict(enumerate(listed))


class NamedHandlers:
    """Has the functions of `handlers`; those that open and close descriptors keep `names`."""

    def __init__(self, handlers: Handlers, table: FdTable, names: dict[Fd, Name]) -> None:
        self._handlers = handlers
        self._table = table
        self._names = names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handlers, name)

    def path_open(self, fd: Fd, dirflags: Any, path: str, *rest: Any) -> Fd:
        """Note the path of what is opened."""
        names = self._names
        folder, mount = names.get(fd, (None, None))
        opened = self._handlers.path_open(fd, dirflags, path, *rest)
        names[opened] = (None if folder is None else normpath(join(folder, path)), mount)
        return opened

    def fd_close(self, fd: Fd) -> None:
        """Forget the path."""
        try:
            self._handlers.fd_close(fd)
        finally:
            if fd not in self._table.open:
                self._names.pop(fd, None)

    def fd_renumber(self, fd: Fd, to: Fd) -> None:
        """Move the path."""
        self._handlers.fd_renumber(fd, to)
        names = self._names
        names[to] = names.pop(fd, (None, None))

    def sock_accept(self, fd: Fd, flags: Any) -> Fd:
        """A connection has the name of its listener."""
        accepted = self._handlers.sock_accept(fd, flags)
        names = self._names
        names[accepted] = names.get(fd, (None, None))
        return accepted
