"""A worker: one forked process, which receives a guest, locks itself down and runs the guest.

Rules of this file: everything is opened and made before `lock_down`, the guest begins after it. Nothing is imported at
run time, and calls of the embedder's objects go to the embedder over the channel.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import wasi_preview0
from wasi_preview1.errors import GuestFault, WasiError
from wasi_preview1.types import Errno

from wasihost.common.unpatched import threading, time
from wasihost.config import Inherit, ModuleConfig
from wasihost.config.mounts import FSConfig
from wasihost.config.sockets import NamedSocket
from wasihost.descriptors.pipe_end import PipeEnd
from wasihost.engines import default_engine
from wasihost.errors import (
    ConfigError,
    ExitError,
    LimitExceeded,
    LinkError,
    ModuleError,
    TimeoutExpired,
    TrapError,
    WasihostError,
)
from wasihost.guest.capture import TextMode
from wasihost.guest.instance import Instance
from wasihost.guest.module import Module
from wasihost.guest.options import RunSetup
from wasihost.isolation import lockdown, system, trees, wire
from wasihost.isolation.parcel import Parcel, Stream
from wasihost.vfs import MemoryFS

if TYPE_CHECKING:
    from wasihost.stats import Stats


_LONGEST: Final = 5.0
"""Seconds that the thread started by the rehearsal may take to end."""
FAULTS = GuestFault, wasi_preview0.GuestFault


class Served(BaseException):
    """An object of the embedder's raised an exception, which the embedder's side keeps."""


def begin() -> None:
    """Do what needs no guest."""
    lockdown.begin()
    for fd in (1, 2):
        os.dup2(0, fd)


def rehearse(parcel: bytes, fds: list[int]) -> None:
    """Run a guest of our own without output. The first run in a process takes ten times longer: the engine starts, and
    each memory page shared with the zygote is copied when it is written to."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guest = _Worker(wire.Channel(theirs), pickle.loads(parcel), fds, None).run()
        if guest is not None:
            guest.close()
    engine = default_engine()
    engine.start_engines()
    until = time.monotonic() + _LONGEST
    while not system.one_thread():
        if time.monotonic() > until:
            os._exit(1)
        time.sleep(0.001)  # it may not have begun
        engine.stop_threads()


def work(sock: socket.socket, begun: Callable[[], None]) -> NoReturn:
    """Run the guest that comes over the socket, and end this process. `begun` is called after the lockdown."""
    found = wire.receive_parcel(sock)
    if found is None:
        os._exit(0)
    channel = wire.Channel(sock)
    try:
        worker = _Worker(channel, pickle.loads(found[0]), found[1], begun)
        worker.run()
    except (OSError, wire.BadMessage):  # the embedder has gone
        os._exit(1)
    os._exit(0)


class _Worker:
    def __init__(self, channel: wire.Channel, parcel: Parcel, fds: list[int], begun: Callable[[], None] | None) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._parcel = parcel
        self._fds = fds
        self._begun = begun
        self._pipes: list[tuple[int, PipeEnd]] = []
        self._trees: list[trees.Before] = []
        self._report: lockdown.IsolationReport | None = None

    def run(self) -> Instance | None:
        """Run to the end, and send how it ended."""
        guest: Instance | None = None
        values: dict[str, Any] = {}
        blobs: list[bytes | memoryview] = []
        try:
            try:
                setup = _Given(self._parcel, self._config())
                module = _Received(self._parcel, self._fds)
                guest = Instance(module, setup, "_start", self._parcel.timeout, self._made)
                values["code"] = guest.run_to_end(self._parcel.timeout)
            except MemoryError as error:
                raise LimitExceeded("memory", "the guest's process has no memory left") from error
        except BaseException as error:
            values["error"] = _told(error)
        if guest is None and self._report is None:
            self._channel.send("never", values)
            return None
        if guest is not None:
            values["stats"] = _stats(guest.stats)
        values["broken"] = [number for number, end in self._pipes if end.broken]
        try:
            values["trees"] = [tree.changes(blobs) for tree in self._trees]
        except Exception as error:
            values["lost"] = f"the files of the guest cannot be given back: {error!r}"
            blobs.clear()
        for _, end in self._pipes:  # before the embedder learns that the run is over
            end.close()
        self._channel.send("end", values, blobs)
        return guest

    def _made(self, guest: Instance) -> None:
        guest.call_before_entry(self._lock_down)

    def _lock_down(self) -> None:
        if self._begun is None:
            return
        parcel = self._parcel
        mounts = [(self._fds[mount.fd], mount.read_only) for mount in parcel.mounts if mount.fd is not None]
        files = [tree.limits[0] for tree in parcel.trees]
        self._report = lockdown.lock_down(
            mounts,
            sockets=bool(parcel.sockets),
            limits=parcel.config.limits,
            files=None if None in files else sum(one or 0 for one in files),
            timeout=parcel.timeout,
            writes=parcel.writes,
            given=len(self._fds),
        )
        for fd, _ in mounts:
            os.close(fd)
        self._begun()
        self._channel.send("begins", {"held": self._report.held, "missing": self._report.missing})
        if parcel.strict and self._report.missing:
            raise ConfigError("")  # the embedder's side has the message

    # -- what the guest is given -----------------------------------------------------------------------------------

    def _config(self) -> ModuleConfig:
        parcel = self._parcel
        files = []
        for tree in parcel.trees:
            made = MemoryFS.__new__(MemoryFS)
            made.__setstate__((*tree.limits, _now, tree.snapshot))
            files.append(made)
            self._trees.append(trees.Before(made))
        mounts = []
        for mount, place in zip(parcel.config.fs_preopens, parcel.mounts, strict=True):
            source: Any = mount.source
            if place.fd is not None:
                source = f"/dev/fd/{self._fds[place.fd]}"
            elif place.tree is not None:
                source = files[place.tree]
            mounts.append(mount._replace(source=source))
        sockets = tuple(NamedSocket(name, socket.socket(fileno=self._fds[fd])) for name, fd in parcel.sockets)
        stdin, stdout, stderr = (self._stream(number, stream) for number, stream in enumerate(parcel.streams))
        config = parcel.config.with_fs(FSConfig(mounts)).with_sockets(sockets)
        return config.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)

    def _stream(self, number: int, stream: Stream) -> Any:
        kind, value = stream
        if kind == "value":
            return value
        if kind == "fd":
            return Inherit(self._fds[value.fd], value.budget)
        if kind == "pipe":
            end = PipeEnd(self._fds[value])
            self._pipes.append((number, end))
            return end
        if kind == "reader":
            return _Reader(wire.Channel(socket.socket(fileno=self._fds[value])))
        return _Writer(self, value, kind == "kept")

    def write(self, number: int, data: bytes, kept: bool) -> int:
        """Have the embedder's object write it. Returns how many bytes it took; does not wait for captured output."""
        with self._lock:
            self._channel.send("keep" if kept else "write", {"stream": number}, [data])
            return len(data) if kept else int(_answered(self._channel).values["count"])


def _answered(channel: wire.Channel) -> wire.Message:
    message = channel.receive()
    if message is None:
        os._exit(1)
    if message.kind == "errno":
        raise WasiError(Errno(message.values["errno"]))
    if message.kind == "raised":
        raise Served
    return message


class _Writer(io.RawIOBase):
    """An output that is an object of the embedder's. It may take only a part, as such objects may."""

    def __init__(self, worker: _Worker, number: int, kept: bool) -> None:
        self._worker, self._number, self._kept = worker, number, kept

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any, /) -> int:
        """How much of it was taken."""
        return self._worker.write(self._number, bytes(data), self._kept)


class _Reader:
    """Standard input that is an object of the embedder's."""

    def __init__(self, channel: wire.Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def read(self, size: int) -> bytes:
        """What it gives."""
        with self._lock:
            self._channel.send("read", {"size": size})
            message = _answered(self._channel)
        return bytes(message.blobs[0])


class _Given(RunSetup):
    """A setup made of a complete config."""

    def __init__(self, parcel: Parcel, config: ModuleConfig) -> None:
        self.config = config
        self.text_mode = TextMode(None, None, None)
        self.imports = self.on_compile = None
        self.allocator = None, None
        self.cache = False
        self.stats = parcel.stats
        self.timeout = parcel.timeout
        self.captured_stdout = self.captured_stderr = self.fs = self._before = None
        self.session = self.policy_run = None
        self.isolation = self.features = None


class _Received(Module):
    """A module that the embedder compiled."""

    def __init__(self, parcel: Parcel, fds: list[int]) -> None:
        self.name = parcel.name
        self.engine = default_engine()
        self._made = self.engine.from_artifact(parcel.artifact, fds[parcel.module])

    @property
    def compiles_later(self) -> bool:
        """Not here."""
        return False

    def compiled(self, **_: Any) -> Any:
        """As it came."""
        return self._made

    def _any(self) -> Any:
        return self._made


def _now() -> int:
    import time

    return time.time_ns()


def _stats(stats: Stats) -> dict[str, Any]:
    return {
        name: sorted(value) if isinstance(value := getattr(stats, name), set) else value for name in stats.__slots__
    }


def _told(error: BaseException) -> dict[str, Any]:
    """The class and arguments of an exception. The other side has a list of the classes that it makes."""
    if isinstance(error, TrapError):
        fault = error.__cause__.args if isinstance(error.__cause__, FAULTS) else None
        return {
            "class": "TrapError",
            "args": [error.message, error.kind],
            "frames": error.raw_frames(),
            "omitted": error.omitted,
            "fault": fault,
        }
    if isinstance(error, LimitExceeded):
        return {"class": "LimitExceeded", "args": [error.limit, error.message]}
    if isinstance(error, (TimeoutExpired, Served)):
        return {"class": type(error).__name__, "args": []}
    if isinstance(error, ExitError):
        return {"class": "ExitError", "args": [error.code]}
    for kind in (ConfigError, ModuleError, LinkError, RecursionError, RuntimeError, TypeError, ValueError):
        if isinstance(error, kind):
            return {"class": kind.__name__, "args": [str(error)]}
    if isinstance(error, OSError) and error.errno is not None:
        return {"class": "OSError", "args": [error.errno, error.strerror]}
    known = isinstance(error, WasihostError)
    return {"class": "WasihostError", "args": [str(error) if known else f"the host failed: {error!r}"]}
