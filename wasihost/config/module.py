"""What a guest is given: arguments, environment, streams, clocks, randomness, directories.

Rules of this file: a config is immutable; every `with_*` answers a changed copy. Nothing is opened here, so a config
can be made before its directories exist, kept, shared between threads and pickled. No ambient authority: a bare config
gives no files, empty input, discarded output, no environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from wasihost.config.entries import NO_ENTRIES
from wasihost.config.limits import DEFAULT_LIMITS, LimitChanges, Limits, changed
from wasihost.config.mounts import FSConfig, Mount
from wasihost.config.streams import Inherit, RandomSource, Stdin, Stdout
from wasihost.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from typing_extensions import Unpack

    from wasihost.config.mounts import MountOptions
    from wasihost.config.sockets import NamedSocket
    from wasihost.vfs.mounting import VirtualSource

STDIN_FD: Final = 0
STDOUT_FD: Final = 1
STDERR_FD: Final = 2
"""The descriptors that every guest starts with."""

SYS_CLOCK_RESOLUTION_WALLTIME: Final = 1000
"""Resolution of the system's wall clock in ns, as `clock_res_get` answers it."""
SYS_CLOCK_RESOLUTION_NANOTIME: Final = 1
"""Resolution of the system's monotonic clock in ns."""


Text: TypeAlias = str | bytes
Clock: TypeAlias = Callable[[], int]
Sleep: TypeAlias = Callable[[int], object]


class ModuleConfig:
    """Everything one guest is given. Start from `ModuleConfig()` and chain `with_*`."""

    __slots__ = ("_args", "_environ", "_fs", "_limits", "_name", "_nanosleep", "_nanotime", "_osyield", "_rand",
                 "_sockets", "_stderr", "_stdin", "_stdout", "_walltime")  # fmt: skip

    def __init__(self) -> None:
        self._args: tuple[bytes, ...] = ()
        self._environ = NO_ENTRIES
        self._fs = FSConfig()
        self._limits = DEFAULT_LIMITS
        self._name = ""
        self._nanosleep: Sleep | None = None
        self._nanotime: tuple[Clock, int] | None = None
        self._osyield: Callable[[], object] | None = None
        self._rand: RandomSource | None = None
        self._sockets: tuple[NamedSocket, ...] = ()
        self._stdin: Stdin | None = None
        self._stdout: Stdout | None = None
        self._stderr: Stdout | None = None
        self._walltime: tuple[Clock, int] | None = None

    def _with(self, name: str, value: Any) -> Self:
        copy = object.__new__(type(self))
        for slot in ModuleConfig.__slots__:
            object.__setattr__(copy, slot, getattr(self, slot))
        object.__setattr__(copy, name, value)
        return copy

    # -- arguments and environment ---------------------------------------------------------------------------------

    def with_args(self, *args: Text) -> Self:
        """The whole argument vector, `argv[0]` included. ConfigError for a NUL."""
        return self._with("_args", tuple(_bytes(arg, "an argument") for arg in args))

    def with_env(self, key: Text, value: Text) -> Self:
        """Append one variable. ConfigError for a NUL, or a key that is empty or holds `=`."""
        name = _bytes(key, "an environment variable")
        if not name or b"=" in name:
            raise ConfigError(f"an environment variable cannot be called {key!r}: a name is not empty and holds no '='")
        return self._with("_environ", self._environ.plus(name + b"=" + _value(name, value)))

    def with_env_raw(self, entry: Text) -> Self:
        """Append one entry as it stands, usually `KEY=VALUE`."""
        return self._with("_environ", self._environ.plus(_bytes(entry, "an environment entry", secret=True)))

    def without_env(self) -> Self:
        """No variable at all."""
        return self._with("_environ", NO_ENTRIES)

    def with_name(self, name: str) -> Self:
        """The module's name, for messages, and `argv[0]` where no arguments are given."""
        if "\0" in name:
            raise ConfigError(f"a name cannot hold a NUL: {name!r}")
        return self._with("_name", name)

    # -- streams ---------------------------------------------------------------------------------------------------

    def with_stdin(self, stdin: Stdin | None) -> Self:
        """Any bytes-like object, one with `read` (of bytes or text), a callable that takes a size, or `INHERIT`; None
        is empty.

        An object may have `readable(timeout)` too, by which a guest that polls learns whether it has something.
        """
        if not (stdin is None or isinstance(stdin, (bytes, Inherit)) or hasattr(stdin, "read") or callable(stdin)):
            try:
                stdin = memoryview(stdin).tobytes()  # a copy: a config does not change
            except TypeError:
                raise ConfigError(
                    f"standard input cannot be {stdin!r}: give bytes, an object with read(), a callable, or INHERIT"
                ) from None
        return self._with("_stdin", stdin)

    def with_stdout(self, stdout: Stdout | None) -> Self:
        """An object with `write` (of bytes or text), a callable that takes bytes, or `INHERIT`; None discards."""
        return self._with("_stdout", _output(stdout, "standard output"))

    def with_stderr(self, stderr: Stdout | None) -> Self:
        """As `with_stdout`."""
        return self._with("_stderr", _output(stderr, "standard error"))

    # -- clocks, sleeping, randomness ------------------------------------------------------------------------------

    def with_walltime(self, walltime: Clock, resolution: int) -> Self:
        """The real-time clock: a function that answers ns since 1970, and its resolution in ns."""
        return self._with("_walltime", (walltime, _resolution(resolution)))

    def with_sys_walltime(self) -> Self:
        """The system's wall clock, which is also the default."""
        return self._with("_walltime", None)

    def with_nanotime(self, nanotime: Clock, resolution: int) -> Self:
        """The monotonic clock: a function that answers ns since any start, and its resolution in ns."""
        return self._with("_nanotime", (nanotime, _resolution(resolution)))

    def with_sys_nanotime(self) -> Self:
        """The system's monotonic clock, which is also the default."""
        return self._with("_nanotime", None)

    def with_nanosleep(self, nanosleep: Sleep) -> Self:
        """How a guest sleeps: a function that takes ns."""
        return self._with("_nanosleep", nanosleep)

    def with_sys_nanosleep(self) -> Self:
        """Really sleep, which is also the default."""
        return self._with("_nanosleep", None)

    def with_osyield(self, osyield: Callable[[], object]) -> Self:
        """What `sched_yield` does; nothing by default, as every call lets other threads of the process run."""
        return self._with("_osyield", osyield)

    def with_rand_source(self, source: RandomSource | None) -> Self:
        """Where `random_get` takes its bytes from; None is the system's generator."""
        if source is not None and not hasattr(source, "read"):
            raise ConfigError(f"a source of randomness cannot be {source!r}: give an object with read()")
        return self._with("_rand", source)

    # -- files -----------------------------------------------------------------------------------------------------

    def with_fs(self, fs_config: FSConfig) -> Self:
        """Replace all preopened directories."""
        return self._with("_fs", fs_config)

    def with_host_directory_preopen(
        self, guest_path: str, host_path: str | os.PathLike[str], **options: Unpack[MountOptions]
    ) -> Self:
        """Add a writable host directory, as `FSConfig.with_dir_mount` does."""
        return self._with("_fs", self._fs.with_dir_mount(guest_path, host_path, **options))

    def with_mount(self, guest_path: str, source: VirtualSource) -> Self:
        """Add a file system of Python's, as `FSConfig.with_fs_mount` describes them."""
        return self._with("_fs", self._fs.with_fs_mount(guest_path, source))

    def with_read_only_fs(
        self, guest_path: str, root: str | os.PathLike[str] | VirtualSource, **options: Unpack[MountOptions]
    ) -> Self:
        """Add a host directory, with the options of `FSConfig.with_dir_mount`, or a file system of Python's, that the
        guest cannot change: ROFS."""
        if isinstance(root, (str, os.PathLike)):
            return self._with("_fs", self._fs.with_read_only_dir_mount(guest_path, root, **options))
        if options:
            raise ConfigError(f"{' and '.join(options)} can be given for host directories only")
        return self._with("_fs", self._fs.with_fs_mount(guest_path, root, read_only=True))

    # -- sockets ---------------------------------------------------------------------------------------------------

    def with_listener(self, guest_fd_name: str, socket: socket.socket) -> Self:
        """Add a listening socket: TCP or Unix. It stays yours, but does not wait in `accept` while a guest has it.

        Sockets have the descriptors after the directories, which LISTEN_FDS and LISTEN_FDNAMES tell the guest of.
        ConfigError for a socket that does not listen, and for a name that is empty or holds `:`.
        """
        return self._with_socket(guest_fd_name, socket, True)

    def with_socket(self, guest_fd_name: str, socket: socket.socket) -> Self:
        """Add a connected socket of any family, of a stream or of datagrams. ConfigError as for `with_listener`."""
        return self._with_socket(guest_fd_name, socket, False)

    def with_sockets(self, sockets: tuple[NamedSocket, ...]) -> Self:
        """Replace all sockets by some that another config had."""
        return self._with("_sockets", sockets)

    def _with_socket(self, name: str, socket: socket.socket, listens: bool) -> Self:
        from wasihost.config.sockets import checked

        return self._with("_sockets", (*self._sockets, checked(name, socket, listens)))

    # -- limits ----------------------------------------------------------------------------------------------------

    def with_limits(self, **limits: Unpack[LimitChanges]) -> Self:
        """Change what the guest may use, as `Limits` names it: `with_limits(memory=64 << 20, output=None)`.

        None lifts a limit, what is not named stays. ConfigError for a limit that nothing could run in.
        """
        return self._with("_limits", changed(self._limits, limits))

    # -- what was given --------------------------------------------------------------------------------------------

    @property
    def args(self) -> tuple[bytes, ...]:
        """The argument vector."""
        return self._args

    @property
    def environ(self) -> tuple[bytes, ...]:
        """The environment as `KEY=VALUE` entries."""
        return self._environ.as_tuple()

    @property
    def limits(self) -> Limits:
        """What the guest may use."""
        return self._limits

    @property
    def name(self) -> str:
        """The module's name, or an empty string."""
        return self._name

    @property
    def stdin(self) -> Stdin | None:
        """Standard input as it was given."""
        return self._stdin

    @property
    def stdout(self) -> Stdout | None:
        """Standard output as it was given."""
        return self._stdout

    @property
    def stderr(self) -> Stdout | None:
        """Standard error as it was given."""
        return self._stderr

    @property
    def clock_walltime(self) -> tuple[Clock, int] | None:
        """The wall clock and its resolution in ns; None is the system's."""
        return self._walltime

    @property
    def clock_nanotime(self) -> tuple[Clock, int] | None:
        """The monotonic clock and its resolution in ns; None is the system's."""
        return self._nanotime

    @property
    def clock_nanosleep(self) -> Sleep | None:
        """How a guest sleeps; None is really."""
        return self._nanosleep

    @property
    def clock_osyield(self) -> Callable[[], object] | None:
        """What `sched_yield` does; None is nothing."""
        return self._osyield

    @property
    def rand_source(self) -> RandomSource | None:
        """The source of randomness; None is the system's."""
        return self._rand

    @property
    def fs_config(self) -> FSConfig:
        """The preopened directories."""
        return self._fs

    @property
    def fs_preopens(self) -> tuple[Mount, ...]:
        """The preopened directories, in the order of their descriptors from 3 on."""
        return self._fs.mounts

    @property
    def sockets(self) -> tuple[NamedSocket, ...]:
        """The sockets and their names, in the order of their descriptors, which follow the directories'."""
        return self._sockets

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, slot) for slot in ModuleConfig.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModuleConfig) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self._args, self._environ, self._name, self._fs))

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a {type(self).__name__} does not change: its with_ methods answer changed copies")
        object.__setattr__(self, name, value)

    def __getstate__(self) -> tuple[object, ...]:
        return self._key()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for slot, value in zip(ModuleConfig.__slots__, state, strict=True):
            object.__setattr__(self, slot, value)

    def __repr__(self) -> str:
        """What differs from a bare config. Of the environment only the names: values are often secrets."""
        fresh = ModuleConfig()
        shown = {slot[1:]: repr(value) for slot in ModuleConfig.__slots__
                 if (value := getattr(self, slot)) != getattr(fresh, slot)}  # fmt: skip
        if self.environ:
            names = (os.fsdecode(entry.partition(b"=")[0]) for entry in self.environ)
            shown["environ"] = f"<{len(self.environ)} variables: {', '.join(names)}>"
        return f"ModuleConfig({', '.join(f'{name}={value}' for name, value in shown.items())})"


def _bytes(text: Text, what: str, *, secret: bool = False) -> bytes:
    try:
        data = text if isinstance(text, bytes) else os.fsencode(text)
    except TypeError:
        from wasihost.config.mistakes import not_text

        raise not_text(what, text, secret=secret) from None
    except UnicodeEncodeError:
        shown = "" if secret else f" {text!a}"
        raise ConfigError(f"{what} cannot be text{shown} that UTF-8 does not have: give bytes") from None
    if b"\0" in data:
        raise ConfigError(f"{what} cannot hold a NUL byte" + ("" if secret else f": {text!r}"))
    return data


def _value(name: bytes, value: Text) -> bytes:
    """The value of a variable, which no message shows."""
    if isinstance(value, bytes) and b"\0" not in value:
        return value
    return _bytes(value, f"the value of the environment variable {os.fsdecode(name)!r}", secret=True)


def _output(stream: Stdout | None, what: str) -> Stdout | None:
    if not (stream is None or isinstance(stream, Inherit) or hasattr(stream, "write") or callable(stream)):
        raise ConfigError(f"{what} cannot be {stream!r}: give an object with write(), a callable, or INHERIT")
    return stream


def _resolution(resolution: int) -> int:
    if not isinstance(resolution, int) or not 1 <= resolution < 1 << 64:
        raise ConfigError(f"a clock's resolution is a number of ns, 1 at least and below 2**64, not {resolution!r:.60}")
    return resolution
