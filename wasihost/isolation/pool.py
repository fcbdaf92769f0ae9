"""The zygote of this process: a small process that has everything imported and forks one worker for each guest.

It is started as a new interpreter when the first guest needs it: a fork of the embedder's own process would copy its
secrets, and is not safe beside threads. It ends when this process ends, in whatever way, and so does every guest that
still runs: each depends on a socket whose other end this process holds.

Ready workers wait, as two sockets each, in the control socket, through which this process asks the zygote for more. So
there is no list of them for threads to share or for a signal handler to leave half changed, and workers that are never
used end with that socket. A thread that asked for a worker takes any: another thread may have taken the one it asked
for.

Rules of this file: no threads, and no lock is held while waiting, except during the start.
"""

from __future__ import annotations

import _socket
import atexit
import errno
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Final, NamedTuple

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import select, threading
from wasihost.errors import ConfigError, IsolationError
from wasihost.isolation import wire

_SOURCE: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from wasihost.isolation import zygote
zygote.main(int(sys.argv[1]))
"""
_KEPT: Final = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "WASIHOST_CACHE_DIR",
    "XDG_CACHE_HOME",
)
"""The environment variables that the zygote gets: others may be secrets of the embedder's."""
_TRIES: Final = 2


class Worker(NamedTuple):
    """One forked process: the channel to it, and the `life` socket. The process is killed when that is closed; when it
    ends, its status comes on it."""

    channel: _socket.socket
    life: _socket.socket
    owner: int
    """The pid of the process that may end it: children forked from that one have these sockets, too."""

    @property
    def ours(self) -> bool:
        """Whether this process is the owner, not a child forked since."""
        return os.getpid() == self.owner

    def kill(self) -> None:
        """End the process, if it still runs. May be called by any thread."""
        if self.ours:
            with suppress(OSError):
                self.life.shutdown(socket.SHUT_WR)

    def status(self) -> int | None:
        """How it ended, as `os.waitstatus_to_exitcode` returns it. Waits up to 2 seconds; None if it is not known
        then."""
        try:
            self.life.settimeout(2)
            return int(self.life.recv(16))
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """End the process and close the sockets. Closing alone would not end it while a forked child holds them,
        too."""
        self.kill()
        self.channel.close()
        self.life.close()


class Pool:
    """The zygote; started again if it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: _socket.socket | None = None
        self._identity = 0, 0
        self._said = -1
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> Worker:
        """A worker that waits for its parcel. ConfigError or IsolationError if none can be started."""
        why = ""
        for _ in range(_TRIES):
            control = self._control or self._start()
            if _identity(control) != self._identity:
                self._abandon(control)
                continue
            if not _closed(control) and (worker := _worker(control)):
                return worker
            why = self._forget(control)  # the zygote was killed, or could not start
        raise IsolationError(f"no process can be made for guests: {why or 'the one that makes them ends'}")

    @property
    def process(self) -> int | None:
        """The zygote's pid; None if it does not run."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Start the zygote, so that the first guest does not wait for it."""
        if self._control is None:
            self._start()

    def _start(self) -> _socket.socket:
        with self._lock:
            if self._control is not None:
                return self._control
            if not hasattr(os, "fork"):
                raise ConfigError('isolation="process" needs a system that has fork')
            if not sys.executable:
                raise ConfigError('isolation="process" needs to know where Python is: set sys.executable')
            ours, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            said, saying = os.pipe()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-s", "-S", "-P", "-c", _SOURCE, str(theirs.fileno()), json.dumps(sys.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=saying,
                    cwd="/",
                    pass_fds=(theirs.fileno(),),
                    env=_environment(),
                )
            except BaseException:
                ours.close()
                os.close(said)
                raise
            finally:
                theirs.close()
                os.close(saying)
            ours.setblocking(True)  # whatever the default of the program's sockets is
            self._said = said
            self._identity = _identity(ours)
            self._control = ours
            return ours

    def _forget(self, control: _socket.socket) -> str:
        """Forget a zygote that has ended. Returns the last line of its standard error, or an empty text."""
        with self._lock:
            if self._control is not control:
                return ""
            self._control = None
            control.close()
            return self._end()

    def _abandon(self, control: _socket.socket) -> None:
        """The program has closed all descriptors, as daemons do; our numbers may belong to other files now."""
        with self._lock:
            if self._control is control:
                self._control = None
                control.detach()
                self._said = -1
                self._end()

    def _end(self) -> str:
        process, self._process = self._process, None
        said, self._said = self._said, -1
        text = b""
        with suppress(OSError, subprocess.TimeoutExpired):
            if process is not None:
                process.wait(2)
                text = os.read(said, 1 << 16) if said >= 0 else b""
        if said >= 0:
            os.close(said)
        return (text.decode("utf-8", "replace").strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """End the zygote and every guest in a process."""
        control = self._control
        if control is not None and _identity(control) != self._identity:
            self._abandon(control)
        elif control is not None:
            self._forget(control)

    def lost(self) -> None:
        """In a forked child: the zygote is the parent's."""
        self._lock = threading.Lock()
        control, self._control = self._control, None
        process, self._process = self._process, None
        said, self._said = self._said, -1
        if control is not None and _identity(control) == self._identity:
            control.close()
            os.close(said)
        elif control is not None:
            control.detach()
        if process is not None:
            process.returncode = 0  # not a child of this process, so nothing to warn about


def _identity(control: _socket.socket) -> tuple[int, int]:
    """Device and inode of an open descriptor."""
    try:
        found = os.fstat(control.fileno())
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _closed(sock: _socket.socket) -> bool:
    """Whether the other end is closed."""
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return bool(poll.poll(0))


def _worker(control: _socket.socket) -> Worker | None:
    """A worker that waits in the socket, or else one that is forked now; None if the zygote has ended."""
    with suppress(ConnectionError):
        try:
            while (worker := _taken(control, socket.MSG_DONTWAIT)) is not None:
                if not _closed(worker.channel):
                    return worker
                worker.close()  # it was killed
            return None
        except BlockingIOError:
            pass
        control.send(b"1")
        return _taken(control, 0)
    return None


def _taken(control: _socket.socket, flags: int) -> Worker | None:
    """The next worker in the socket; None at its end. BlockingIOError if there is none and `flags` say not to wait."""
    while True:
        data, sockets = wire.take_sockets(control, 16, 2, flags)
        if len(sockets) == 2:
            return Worker(sockets[0], sockets[1], os.getpid())
        for one in sockets:
            one.close()
        if not data:
            return None
        if data == wire.MADE:  # whose descriptors had no room here
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if not flags:
            raise IsolationError(f"no process can be made for the guest: {os.strerror(int(data))}")


def _environment() -> dict[str, str]:
    kept = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}
    return {**kept, "PYTHON_JIT": "0", "PYTHONDONTWRITEBYTECODE": "1"}


pool: Pool = Pool()
atexit.register(pool.close)
in_forked_child(pool.lost)
