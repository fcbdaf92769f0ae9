"""`ModuleConfig`: what a guest is given, from arguments and streams to directories, sockets and limits.

Rules of this file: a config is immutable; every `with_*` method returns a changed copy. Nothing is opened here, so a
config can be made before its directories exist, kept, shared between threads and pickled. No ambient authority: a bare
config has no files, no environment and empty input, and discards output.
"""

from __future__ import annotations

import os

from wasihost.config.inherit import Inherit
from wasihost.config.limits import changed
from wasihost.config.mounts import FSConfig
from wasihost.config.values import NO_ENTRIES, Clock, ConfigValues, Sleep
from wasihost.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Final, Self, TypeAlias

    from typing_extensions import Unpack

    from wasihost.config.handling import HandlerClass
    from wasihost.config.keywords import LimitChanges, MountOptions, WritableMountOptions
    from wasihost.config.sockets import NamedSocket
    from wasihost.config.streams import RandomSource, Stdin, Stdout
    from wasihost.hooks import Hook
    from wasihost.trace import Trace
    from wasihost.trace.target import Target
    from wasihost.vfs.mounting import VirtualSource

STDIN_FD: Final = 0
STDOUT_FD: Final = 1
STDERR_FD: Final = 2
"""The descriptors that every guest starts with."""

SYS_CLOCK_RESOLUTION_WALLTIME: Final = 1000
"""Resolution of the system's wall clock in ns, as `clock_res_get` returns it."""
SYS_CLOCK_RESOLUTION_NANOTIME: Final = 1
"""Resolution of the system's monotonic clock in ns."""

Text: TypeAlias = str | bytes


class ModuleConfig(ConfigValues):
    """Everything one guest is given. Start from `ModuleConfig()` and chain `with_*` methods.

    A config does not change: each `with_*` method returns a copy with one thing changed or added. Text is encoded with
    the file system's encoding, which is UTF-8 nearly everywhere; `bytes` are passed on as they are.
    """

    __slots__ = ()

    # -- arguments and environment ---------------------------------------------------------------------------------

    def with_args(self, *args: Text) -> Self:
        """Set the whole argument vector, `argv[0]` included. Default: the name alone, if there is one (`with_name`).

        Raises:
            ConfigError: An argument is neither str nor bytes, or has a NUL.
        """
        return self._with("_args", tuple(_bytes(arg, "an argument") for arg in args))

    def with_env(self, key: Text, value: Text) -> Self:
        """Append one environment variable. Default: no variables.

        Raises:
            ConfigError: The key is empty or has a `=`; key or value is neither str nor bytes, or has a NUL.
        """
        name = _bytes(key, "an environment variable")
        if not name or b"=" in name:
            raise ConfigError(f"an environment variable cannot be called {key!r}: a name is not empty and holds no '='")
        return self._with("_environ", self._environ.plus(name + b"=" + _value(name, value)))

    def with_env_raw(self, entry: Text) -> Self:
        """Append one environment entry as it is, usually `KEY=VALUE`.

        Raises:
            ConfigError: It is neither str nor bytes, or has a NUL.
        """
        return self._with("_environ", self._environ.plus(_bytes(entry, "an environment entry", secret=True)))

    def without_env(self) -> Self:
        """Remove all environment variables."""
        return self._with("_environ", NO_ENTRIES)

    def with_name(self, name: str) -> Self:
        """Set the module's name, used in messages, and as `argv[0]` if there are no arguments. Default: empty.

        Raises:
            ConfigError: The name has a NUL.
        """
        if "\0" in name:
            raise ConfigError(f"a name cannot hold a NUL: {name!r}")
        return self._with("_name", name)

    # -- streams ---------------------------------------------------------------------------------------------------

    def with_stdin(self, stdin: Stdin | None) -> Self:
        """Set standard input. Default: None, which is empty.

        Args:
            stdin: A bytes-like object, which is copied; an object with `read(size)` that returns bytes or str; a
                callable that takes a size and returns bytes; or `INHERIT`. An object may also have
                `readable(timeout)`: see `Reader`.

        Raises:
            ConfigError: It is none of these.
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
        """Set standard output. Default: None, which discards it.

        Args:
            stdout: An object with `write` that takes bytes or str; a callable that takes bytes; or `INHERIT`.

        Raises:
            ConfigError: It is none of these.
        """
        return self._with("_stdout", _output(stdout, "standard output"))

    def with_stderr(self, stderr: Stdout | None) -> Self:
        """Set standard error, with the same types as `with_stdout`. Default: None, which discards it.

        Raises:
            ConfigError: It is nothing that can be written to.
        """
        return self._with("_stderr", _output(stderr, "standard error"))

    # -- clocks, sleeping, randomness ------------------------------------------------------------------------------

    def with_walltime(self, walltime: Clock, resolution: int) -> Self:
        """Set the real-time clock. Default: the system's, with `SYS_CLOCK_RESOLUTION_WALLTIME`.

        Args:
            walltime: Called without arguments; returns nanoseconds since 1970.
            resolution: Nanoseconds, which `clock_res_get` returns: 1 to 2**64 - 1.

        Raises:
            ConfigError: `resolution` is out of range.
        """
        return self._with("_walltime", (walltime, _resolution(resolution)))

    def with_sys_walltime(self) -> Self:
        """Set the real-time clock to the system's, which is the default."""
        return self._with("_walltime", None)

    def with_nanotime(self, nanotime: Clock, resolution: int) -> Self:
        """Set the monotonic clock. Default: the system's, with `SYS_CLOCK_RESOLUTION_NANOTIME`.

        Args:
            nanotime: Called without arguments; returns nanoseconds since any fixed moment.
            resolution: Nanoseconds, which `clock_res_get` returns: 1 to 2**64 - 1.

        Raises:
            ConfigError: `resolution` is out of range.
        """
        return self._with("_nanotime", (nanotime, _resolution(resolution)))

    def with_sys_nanotime(self) -> Self:
        """Set the monotonic clock to the system's, which is the default."""
        return self._with("_nanotime", None)

    def with_nanosleep(self, nanosleep: Sleep) -> Self:
        """Set how a guest sleeps: `nanosleep` is called with the nanoseconds. Default: the thread really sleeps."""
        return self._with("_nanosleep", nanosleep)

    def with_sys_nanosleep(self) -> Self:
        """Let the thread really sleep, which is the default."""
        return self._with("_nanosleep", None)

    def with_osyield(self, osyield: Callable[[], object]) -> Self:
        """Set what `sched_yield` calls. Default: nothing, because every call lets other threads of the process run."""
        return self._with("_osyield", osyield)

    def with_rand_source(self, source: RandomSource | None) -> Self:
        """Set where `random_get` takes its bytes from. Default: None, which is the system's generator.

        Raises:
            ConfigError: The source has no `read`.
        """
        if source is not None and not hasattr(source, "read"):
            raise ConfigError(f"a source of randomness cannot be {source!r}: give an object with read()")
        return self._with("_rand", source)

    # -- files -----------------------------------------------------------------------------------------------------

    def with_fs(self, fs_config: FSConfig) -> Self:
        """Replace all preopened directories. Default: there are none."""
        return self._with("_fs", fs_config)

    def with_host_directory_preopen(
        self, guest_path: str, host_path: str | os.PathLike[str], **options: Unpack[WritableMountOptions]
    ) -> Self:
        """Add a writable host directory, as `FSConfig.with_dir_mount` does.

        Raises:
            ConfigError: As `FSConfig.with_dir_mount`.
        """
        return self._with("_fs", self._fs.with_dir_mount(guest_path, host_path, **options))

    def with_mount(self, guest_path: str, source: VirtualSource) -> Self:
        """Add a file system that is a Python object, as `FSConfig.with_fs_mount` does.

        Raises:
            ConfigError: As `FSConfig.with_fs_mount`.
        """
        return self._with("_fs", self._fs.with_fs_mount(guest_path, source))

    def with_read_only_fs(
        self, guest_path: str, root: str | os.PathLike[str] | VirtualSource, **options: Unpack[MountOptions]
    ) -> Self:
        """Add a directory that the guest cannot change: its attempts fail with `Errno.ROFS`.

        Args:
            guest_path: The guest's path of the directory.
            root: A host directory, or a file system as for `FSConfig.with_fs_mount`.
            **options: For host directories only: see `FSConfig.with_dir_mount`.

        Raises:
            ConfigError: As `FSConfig.with_dir_mount` and `with_fs_mount`; options for what is not a host directory.
        """
        if isinstance(root, (str, os.PathLike)):
            return self._with("_fs", self._fs.with_read_only_dir_mount(guest_path, root, **options))
        if options:
            raise ConfigError(f"{' and '.join(options)} can be given for host directories only")
        return self._with("_fs", self._fs.with_fs_mount(guest_path, root, read_only=True))

    # -- sockets ---------------------------------------------------------------------------------------------------

    def with_listener(self, guest_fd_name: str, socket: socket.socket) -> Self:
        """Add a listening TCP or Unix socket. Default: there are no sockets.

        The socket stays yours, but is non-blocking as long as a guest has it. The descriptors of sockets follow those
        of the directories; the guest finds them by LISTEN_FDS and LISTEN_FDNAMES in its environment.

        Raises:
            ConfigError: The socket does not listen, is closed or uses TLS, or the name is empty or has a `:` or a NUL.
        """
        return self._with_socket(guest_fd_name, socket, True)

    def with_socket(self, guest_fd_name: str, socket: socket.socket) -> Self:
        """Add a connected stream or datagram socket of any family, with a descriptor as for `with_listener`.

        Raises:
            ConfigError: The socket is not connected, is closed or uses TLS, or the name is empty or has a `:` or a NUL.
        """
        return self._with_socket(guest_fd_name, socket, False)

    def with_sockets(self, sockets: tuple[NamedSocket, ...]) -> Self:
        """Replace all sockets by those of another config, `config.sockets`."""
        return self._with("_sockets", sockets)

    def _with_socket(self, name: str, socket: socket.socket, listens: bool) -> Self:
        from wasihost.config.sockets import checked

        return self._with("_sockets", (*self._sockets, checked(name, socket, listens)))

    # -- calls of the guest ----------------------------------------------------------------------------------------

    def with_handlers(self, *classes: HandlerClass) -> Self:
        """Add classes whose functions are used in place of the host's. Default: there are none.

        Args:
            *classes: Subclasses of a class in `wasihost.handlers`, which can call `super()`, or in
                `wasi_preview1.handlers`. Each guest gets an object of its own: `__init__` is called without arguments,
                after the host was made. The first class that has a function comes first; all come before the host's.

        Raises:
            ConfigError: A class is not such a class, or has a method that can only be a mistake.
        """
        if not classes:
            return self
        from wasihost.config.handling import checked_classes

        return self._with("_handlers", self._handlers + checked_classes(classes))

    def without_handlers(self) -> Self:
        """Remove all classes of `with_handlers`."""
        return self._with("_handlers", ())

    def with_hooks(self, *hooks: Hook) -> Self:
        """Add functions that see every call of the guest, decoded, and decide what becomes of it. Default: none.

        Args:
            *hooks: Called as `hook(call, proceed)`, see `wasihost.hooks`. The first is the outermost.

        Raises:
            ConfigError: One of them is not a function with these two parameters.
        """
        if not hooks:
            return self
        from wasihost.config.handling import checked_hooks

        return self._with("_hooks", self._hooks + checked_hooks(hooks))

    def with_trace(self, trace: Trace | Target = True) -> Self:
        """Show every call of the guest: a hook outside all others. Default: none.

        Args:
            trace: A `wasihost.trace.Trace`, or what it takes as its first argument.

        Raises:
            ConfigError: As `Trace`.
        """
        from wasihost.trace import Trace

        return self._with("_hooks", (trace if isinstance(trace, Trace) else Trace(trace), *self._hooks))

    # -- limits ----------------------------------------------------------------------------------------------------

    def with_limits(self, **limits: Unpack[LimitChanges]) -> Self:
        """Change what the guest may use: `with_limits(memory=64 << 20, output=None)`.

        Args:
            **limits: Fields of `Limits`, which lists units and defaults. None lifts a limit; a limit that is not named
                keeps its value.

        Raises:
            ConfigError: There is no such limit, or no guest could run within it.
        """
        return self._with("_limits", changed(self._limits, limits))


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
