"""The host: one class of the handlers of all groups, over one descriptor table, one set of clocks and one config.

mypy proves here that no function of the spec is missing and none has another type.
"""

from __future__ import annotations

import os
import sys

from wasi_preview1.guest import make

from wasihost.config import ModuleConfig
from wasihost.descriptors.base import Directory
from wasihost.descriptors.opening import check_read_only, input_of, open_mount, open_socket, output_of
from wasihost.descriptors.table import FdTable
from wasihost.errors import ConfigError
from wasihost.handlers.args import ArgsFunctions, EnvironFunctions, sizes
from wasihost.handlers.clock import ClockFunctions
from wasihost.handlers.fd import FdFunctions
from wasihost.handlers.path import PathFunctions
from wasihost.handlers.poll import PollFunctions
from wasihost.handlers.proc import ProcFunctions, SchedFunctions
from wasihost.handlers.random import RandomFunctions, RandomPool
from wasihost.handlers.sock import SockFunctions
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.clocks import Clocks
from wasihost.waiting.poller import Poller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasi_preview1.handlers import Handlers as _Complete
    from wasi_preview1.types import Fd, Size

    from wasihost.config.limits import Limits
    from wasihost.config.mounts import Mount
    from wasihost.config.sockets import NamedSocket
    from wasihost.config.streams import RandomSource
    from wasihost.handlers.poll import _Polled
    from wasihost.host.naming import Description, Name

else:
    _Complete = object  # with `Handlers` a class of the embedder's could not derive from two groups: their order


class Host(
    ArgsFunctions,
    EnvironFunctions,
    ClockFunctions,
    FdFunctions,
    PathFunctions,
    PollFunctions,
    ProcFunctions,
    SchedFunctions,
    RandomFunctions,
    SockFunctions,
    _Complete,
):
    """The host of one guest. Do not share it between guests or use it from two threads at once.

    It has slots because every call of a guest reads them: an instance dict would add 15 to 30 ns to each call.
    """

    __slots__ = (
        "args",
        "args_sizes",
        "clocks",
        "environ",
        "environ_sizes",
        "max_path",
        "max_sleep",
        "max_subscriptions",
        "met",
        "names",
        "osyield",
        "poller",
        "polls",
        "rand_source",
        "random_pool",
        "scope",
        "table",
    )

    def __init__(self, config: ModuleConfig) -> None:
        self.scope: CancelScope = CancelScope()
        self.met: set[str] = set()  # names of limits that the guest has reached
        self.names: dict[Fd, Name] | None = None  # see `naming`
        limits = config.limits
        self.args: tuple[bytes, ...] = config.args or ((os.fsencode(config.name),) if config.name else ())
        self.args_sizes: tuple[Size, Size] = sizes(self.args)
        self.environ: tuple[bytes, ...] = _environ(config) if config.sockets else config.environ
        self.environ_sizes: tuple[Size, Size] = sizes(self.environ)
        self.max_path: int = sys.maxsize if limits.path is None else limits.path
        self.max_sleep: int = _longest(limits)
        self.max_subscriptions: int = sys.maxsize if limits.subscriptions is None else limits.subscriptions
        self.clocks: Clocks = Clocks(config, self.scope)
        self.polls: dict[bytes, list[_Polled]] = {}
        self.poller: Poller = Poller(self.scope)
        self.osyield: Callable[[], object] | None = config.clock_osyield
        self.rand_source: RandomSource | None = config.rand_source
        self.random_pool: RandomPool = RandomPool()
        self.table: FdTable = FdTable(limits.open_files, self.scope, self.met)
        self.table.insert(input_of(config.stdin))
        self.table.insert(output_of(config.stdout, 1))
        self.table.insert(output_of(config.stderr, 2))
        if config.fs_preopens or config.sockets or self.table.limit < 3:
            try:
                self._open(config.fs_preopens, config.sockets)
            except BaseException:
                self.close()
                raise

    def _open(self, mounts: Sequence[Mount], sockets: Sequence[NamedSocket]) -> None:
        """Open the directories and sockets of the config."""
        count = len(mounts) + len(sockets)
        if count + 3 > self.table.limit:
            raise ConfigError(
                f"{count} directories and sockets and the standard streams are more than "
                f"{self.table.limit} open files: raise the limit by with_limits(open_files=...)"
            )
        if any(isinstance(mount.source, str) for mount in mounts):
            import wasihost.host.quick  # noqa: F401 - see there
        kinds = 0
        for mount in mounts:
            self.table.insert(open_mount(mount))
            kinds |= 1 if mount.read_only else 2
        if kinds == 3:
            check_read_only(list(zip(mounts, map(self.table.directory, range(3, 3 + len(mounts))), strict=True)))
        for one in sockets:
            self.table.insert(open_socket(one))

    def describe(self, fd: Fd) -> Description:
        """What an open descriptor is: its type, its path and its mount. Raises BADF if it is not open.

        Paths are known of mounts, and for guests with a hook that has `open`, of everything that the guest opened.
        """
        from wasihost.host.naming import Description

        descriptor = self.table.get(fd)
        if self.names is not None:
            path, mount = self.names.get(fd, (None, None))
        else:
            path = mount = descriptor.preopen if isinstance(descriptor, Directory) else None
        return make(Description, (descriptor.filetype(), path, mount))

    def close(self) -> None:
        """Close every descriptor."""
        self.table.close_all()
        self.scope.close()


def _longest(limits: Limits) -> int:
    """Return the longest sleep in ns."""
    return 1 << 64 if limits.sleep is None else int(min(limits.sleep * 1_000_000_000, 1 << 64))


def _environ(config: ModuleConfig) -> tuple[bytes, ...]:
    from wasihost.config.sockets import environment

    environ = config.environ
    if any(entry.startswith(b"LISTEN_FDS=") for entry in environ):
        return environ
    return environ + environment(config.sockets, len(config.fs_preopens))
