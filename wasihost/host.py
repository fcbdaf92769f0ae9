"""The host: the handlers of every group joined, over one descriptor table, set of clocks and config.

mypy proves here that no function of the spec is missing and none has another type.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Any, Literal, cast

from wasi_preview1.handlers import Handlers
from wasi_preview1.types import Rights

from wasihost.clocks import Clocks
from wasihost.config import Inherit, ModuleConfig, Stdin, Stdout
from wasihost.deadline import Deadline
from wasihost.descriptors.adapted import CallableReader, TextReader, is_text, plain_fd, why_not
from wasihost.descriptors.base import Descriptor
from wasihost.descriptors.host_stream import inherit
from wasihost.descriptors.stream import BytesInput, NullStream, ReaderInput, WriterOutput
from wasihost.errors import ConfigError
from wasihost.fdtable import FdTable
from wasihost.handlers.args import Args, Environ, sizes
from wasihost.handlers.clock import Clock
from wasihost.handlers.fd import FdFunctions
from wasihost.handlers.path import PathFunctions
from wasihost.handlers.poll import Poll
from wasihost.handlers.proc import Proc, Sched
from wasihost.handlers.random import Random, Stock
from wasihost.handlers.sock import Sock
from wasihost.mounts import check_read_only, open_mount
from wasihost.waiting import Waiter

if TYPE_CHECKING:
    from wasihost.pipes import PipeEnd
    from wasihost.sockconfig import NamedSocket


class Host(Args, Environ, Clock, FdFunctions, PathFunctions, Poll, Proc, Sched, Random, Sock, Handlers):
    """One guest's host. Not to be shared between guests or used from two threads at once.

    It has slots because every call of a guest reads them: an instance dict costs each call 15 to 30 ns more.
    """

    __slots__ = (
        "args", "args_sizes", "clocks", "deadline", "environ", "environ_sizes", "max_path", "max_sleep",
        "max_subscriptions", "met", "osyield", "polls", "rand_source", "stock", "table", "waiter",
    )  # fmt: skip

    def __init__(self, config: ModuleConfig) -> None:
        self.deadline = Deadline()
        self.met: set[str] = set()  # names of limits that the guest met
        self.args = config.args or ((os.fsencode(config.name),) if config.name else ())
        self.args_sizes = sizes(self.args)
        self.environ = _environ(config) if config.sockets else config.environ
        self.environ_sizes = sizes(self.environ)
        self.max_path = sys.maxsize if config.limits.path is None else config.limits.path
        self.max_sleep, self.max_subscriptions = _longest(config)
        self.clocks = Clocks(config, self.deadline)
        self.polls = {}
        self.waiter = Waiter(self.deadline)
        self.osyield = config.clock_osyield
        self.rand_source = config.rand_source
        self.stock = Stock()
        self.table = FdTable(config.limits.open_files, self.deadline, self.met)
        self.table.insert(input_of(config.stdin))
        self.table.insert(output_of(config.stdout, 1))
        self.table.insert(output_of(config.stderr, 2))
        try:
            given = len(config.fs_preopens) + len(config.sockets)
            if given + 3 > self.table.limit:
                raise ConfigError(
                    f"{given} directories and sockets and the standard streams are more than "
                    f"{self.table.limit} open files: give with_limits(open_files=...)"
                )
            mounts, kinds = config.fs_preopens, 0
            for mount in mounts:
                self.table.insert(open_mount(mount))
                kinds |= 1 if mount.read_only else 2
            if kinds == 3:
                check_read_only(list(zip(mounts, map(self.table.directory, range(3, 3 + len(mounts))), strict=True)))
            for one in config.sockets:
                self.table.insert(_given_socket(one))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every descriptor."""
        self.table.close_all()
        self.deadline.close()


def _longest(config: ModuleConfig) -> tuple[int, int]:
    """The longest sleep in ns and the most subscriptions of a poll."""
    sleep, subscriptions = config.limits.sleep, config.limits.subscriptions
    return (
        1 << 64 if sleep is None else int(min(sleep * 1_000_000_000, 1 << 64)),
        sys.maxsize if subscriptions is None else subscriptions,
    )


def input_of(stdin: Stdin | None) -> Descriptor:
    """The descriptor of a standard input. ConfigError for an object that cannot be read."""
    if stdin is None:
        return NullStream(Rights.FD_READ)
    if isinstance(stdin, Inherit):
        return _inherited(stdin, 0, Rights.FD_READ)
    if isinstance(stdin, bytes):
        return BytesInput(stdin)
    _refuse(stdin, "input", "read")
    given: Any = stdin
    if not hasattr(given, "read"):
        return ReaderInput(CallableReader(given))
    return ReaderInput(TextReader(given) if is_text(given) else given)


def output_of(stdout: Stdout | None, fd: int) -> Descriptor:
    """The descriptor of an output, which is `fd` by its number. ConfigError for an object that cannot be written to."""
    if stdout is None:
        return NullStream(Rights.FD_WRITE)
    if isinstance(stdout, Inherit):
        return _inherited(stdout, fd, Rights.FD_WRITE)
    _refuse(stdout, "output", "write")
    plain = plain_fd(stdout)
    if plain is None or not _waits(plain):
        return WriterOutput(stdout)
    return inherit(plain, Rights.FD_WRITE, stdout)


def _refuse(stream: object, name: str, use: Literal["read", "write"]) -> None:
    """ConfigError for an object that cannot be used so, before the guest has done anything."""
    if reason := why_not(stream, use):
        raise ConfigError(f"standard {name} cannot be {stream!r}: {reason}")


def _waits(fd: int) -> bool:
    """Whether writing to it may wait: not for a regular file, or one that was closed behind its object's back."""
    try:
        return not stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def _inherited(stream: Inherit, own: int, direction: Rights) -> Descriptor:
    fd = own if stream.fd is None else stream.fd
    try:
        if stream.budget is None and stat.S_ISSOCK(os.fstat(fd).st_mode):
            return _inherited_socket(fd, direction)
        return inherit(fd, direction, budget=stream.budget, end=cast("PipeEnd", stream) if stream.owned else None)
    except OSError:  # this process was started with it closed
        return NullStream(direction)


def _inherited_socket(fd: int, direction: Rights) -> Descriptor:
    """A server that is started for each connection has the peer as its streams."""
    from wasihost.descriptors.sockets import inherited

    made = inherited(fd)
    made.rights &= ~(Rights.FD_READ | Rights.FD_WRITE) | direction
    return made


def _environ(config: ModuleConfig) -> tuple[bytes, ...]:
    from wasihost.sockconfig import environment

    environ = config.environ
    if any(entry.startswith(b"LISTEN_FDS=") for entry in environ):
        return environ
    return environ + environment(config.sockets, len(config.fs_preopens))


def _given_socket(one: NamedSocket) -> Descriptor:
    from wasihost.descriptors.sockets import given

    try:
        return given(one.socket)
    except OSError as error:
        raise ConfigError(f"the socket {one.name} cannot be given: {error.strerror}; is it closed?") from error
