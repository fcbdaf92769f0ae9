"""What a guest in a process is given: values that are pickled, and descriptors that go with them.

Rules of this file: what cannot be passed to another process is a ConfigError that names it, before anything is started.
Only the embedder's side makes a parcel, so the worker may unpickle it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from wasihost.config import Inherit, ModuleConfig
from wasihost.config.mounts import FSConfig, Mount
from wasihost.descriptors.host_directory import HostDirectory
from wasihost.descriptors.opening import check_read_only, open_mount
from wasihost.engines import default_engine
from wasihost.errors import ConfigError
from wasihost.guest.capture import CapturedOutput
from wasihost.vfs import MemoryFS

if TYPE_CHECKING:
    from wasihost.config.limits import OutputLimit
    from wasihost.descriptors.base import Descriptor, Directory
    from wasihost.engines.base import CompiledModule
    from wasihost.guest.options import RunSetup
    from wasihost.vfs.snapshot import Snapshot

Stream: TypeAlias = tuple[str, Any]
"""How a standard stream is passed, and its value: "value" (bytes or None), "fd" (`GivenFd`), "pipe" (which
descriptor), "reader" (which descriptor is a channel), "kept" and "writer" (the number of the stream that it is)."""


class GivenFd(NamedTuple):
    """A descriptor of the parcel, and how much may be written to it."""

    fd: int
    budget: OutputLimit | None


class MountSource(NamedTuple):
    """The descriptor or the tree behind a mount, in the order of the config."""

    fd: int | None
    tree: int | None
    read_only: bool


class Tree(NamedTuple):
    """A file system in memory: its limits (bytes, names, bytes in one file), and its content."""

    limits: tuple[int | None, int | None, int | None]
    snapshot: Snapshot


class Parcel(NamedTuple):
    """Everything that a worker gets. Descriptors are given as indices into the list that is sent with the parcel."""

    config: ModuleConfig
    mounts: list[MountSource]
    trees: list[Tree]
    sockets: list[tuple[str, int]]
    streams: list[Stream]
    artifact: Any
    module: int
    name: str
    timeout: float | None
    stats: bool
    strict: bool
    writes: bool


class Packing:
    """A parcel, and what belongs to it on this side. Call `close` once it is sent, `give_up` if it is not."""

    def __init__(self, setup: RunSetup, compiled: CompiledModule, name: str, timeout: float | None) -> None:
        self.fds: list[int] = []
        self.trees: list[tuple[MemoryFS, Snapshot]] = []
        self._sent: list[Snapshot] = []
        self._directories: list[Directory] = []
        self.outputs: dict[int, Descriptor] = {}
        self.reader: tuple[Any, Descriptor] | None = None
        """The socket on which the worker asks for standard input, and the descriptor to read."""
        self._owned: list[int] = []
        self._writes = False
        config = setup.config
        _refuse(setup, config)
        try:
            for mount in config.fs_preopens:
                self._directories.append(open_mount(mount))
            if any(mount.read_only for mount in config.fs_preopens):
                check_read_only(list(zip(config.fs_preopens, self._directories, strict=True)))
            mounts = [self._place(*pair) for pair in zip(config.fs_preopens, self._directories, strict=True)]
            streams = [
                self._input(config.stdin),
                *(self._output(stream, number) for number, stream in ((1, config.stdout), (2, config.stderr))),
            ]
            sockets = [(one.name, self._fd(one.socket.fileno())) for one in config.sockets]
            sent, file = default_engine().to_artifact(compiled)
            bare = config.with_fs(FSConfig(mount._replace(source="/") for mount in config.fs_preopens)).with_sockets(())
            self.parcel: Parcel = Parcel(
                bare.with_stdin(None).with_stdout(None).with_stderr(None),
                mounts,
                [
                    Tree((fs.quota.max_bytes, fs.quota.max_entries, fs.quota.max_file_size), snapshot)
                    for (fs, _), snapshot in zip(self.trees, self._sent, strict=True)
                ],
                sockets,
                streams,
                sent,
                self._fd(file),
                name,
                timeout,
                setup.stats,
                setup.isolation == "strict",
                self._writes,
            )
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Release everything: the parcel is not sent."""
        self.close()
        if self.reader is not None:
            self.reader[0].close()

    def close(self) -> None:
        """Close what the worker has now."""
        owned, self._owned = self._owned, []
        for fd in owned:
            os.close(fd)
        directories, self._directories = self._directories, []
        for directory in directories:
            directory.close()

    def _fd(self, fd: int) -> int:
        self.fds.append(fd)
        return len(self.fds) - 1

    def _own(self, fd: int) -> int:
        self._owned.append(fd)
        return self._fd(fd)

    def _place(self, mount: Mount, directory: Directory) -> MountSource:
        source, guest_path, read_only = mount.source, mount.guest_path, mount.read_only
        if isinstance(directory, HostDirectory):
            self._writes |= not read_only
            return MountSource(self._fd(directory.fd), None, read_only)
        from wasihost.isolation.trees import taken

        if isinstance(source, Mapping) and not isinstance(source, MemoryFS):
            source = MemoryFS(source, max_bytes=None, max_entries=None)
        if not isinstance(source, MemoryFS):
            raise ConfigError(
                f'with isolation="process" {guest_path!r} cannot be {source!r}: a tree of Python objects '
                "stays in its process; give a MemoryFS, a dict, or a directory of the host"
            )
        if source.quota.clock is not time.time_ns:
            raise ConfigError(f'with isolation="process" the MemoryFS at {guest_path!r} cannot have a clock of its own')
        for number, (fs, _) in enumerate(self.trees):
            if fs is source:
                return MountSource(None, number, read_only)
        kept, sent = taken(source)
        self.trees.append((source, kept))
        self._sent.append(sent)
        return MountSource(None, len(self.trees) - 1, read_only)

    def _input(self, stdin: Any) -> Stream:
        if stdin is None or isinstance(stdin, bytes):
            return "value", stdin
        if isinstance(stdin, Inherit):
            return self._inherited(stdin, 0)
        import socket

        from wasihost.descriptors.opening import input_of

        descriptor = input_of(stdin)
        ours, theirs = socket.socketpair()
        self.reader = ours, descriptor
        return "reader", self._own(theirs.detach())

    def _output(self, stream: Any, number: int) -> Stream:
        if stream is None:
            return "value", None
        if isinstance(stream, Inherit):
            return self._inherited(stream, number)
        from wasihost.descriptors.inherited_stream import InheritedStream
        from wasihost.descriptors.opening import output_of

        made = output_of(stream, number)
        if isinstance(made, InheritedStream):  # a file object of Python's that writes to a descriptor
            stream.flush()
            return "fd", GivenFd(self._fd(made.fd), None)
        self.outputs[number] = made
        return ("kept" if isinstance(stream, CapturedOutput) else "writer"), number

    def _inherited(self, stream: Inherit, number: int) -> Stream:
        fd = number if stream.fd is None else stream.fd
        try:
            mode = os.fstat(fd).st_mode
        except OSError:  # this process was started with it closed
            return "value", None
        self._writes |= number > 0 and stat.S_ISREG(mode)
        if stream.owned:
            return "pipe", self._fd(fd)
        return "fd", GivenFd(self._fd(fd), stream.budget)


def _refuse(setup: RunSetup, config: ModuleConfig) -> None:
    """ConfigError for Python objects of this process that the other one would have to call."""
    given = {
        "imports": setup.imports,
        "with_walltime": config.clock_walltime,
        "with_nanotime": config.clock_nanotime,
        "with_nanosleep": config.clock_nanosleep,
        "with_osyield": config.clock_osyield,
        "with_rand_source": config.rand_source,
    }
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f'isolation="process" and {name} cannot go together: a guest in a process of its own '
                "cannot call functions of this one"
            )
