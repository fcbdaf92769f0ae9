"""The zygote of this process: a small process that has everything imported and forks one worker for each guest.

It is made when the first guest needs it, by starting a new interpreter: a fork of the embedder's own process, with its
threads and secrets, would be neither safe nor clean. It ends with this process, however that ends, and takes with it
every guest that still runs: each hangs on a socket of which this process has the other end.

Workers that are ready wait, as two sockets each, in the socket through which the zygote is asked for more. So there is
no list of them that threads would share, nor one to be put right after a signal handler has raised, and what nobody has
taken ends with that socket. Who asks for a worker waits for any: another may have taken the one that came for that.

Rules of this file: no thread, and no lock held while somebody waits but for the start itself.
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
"""The variables that the zygote gets: others are the embedder's secrets."""
_TRIES: Final = 2


class Worker(NamedTuple):
    """One forked process: the channel to it, and the socket that its life hangs on, which tells its status at last."""

    channel: _socket.socket
    life: _socket.socket
    owner: int
    """The process that may end it: one that was forked from that has these sockets too."""

    @property
    def ours(self) -> bool:
        """Whether this is not a process that was forked since."""
        return os.getpid() == self.owner

    def kill(self) -> None:
        """From any thread: end the process, if it has not ended."""
        if self.ours:
            with suppress(OSError):
                self.life.shutdown(socket.SHUT_WR)

    def status(self) -> int | None:
        """How it ended, as `os.waitstatus_to_exitcode` says it, waited for a little; None if that is not known."""
        try:
            self.life.settimeout(2)
            return int(self.life.recv(16))
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Which ends the process, if it has not ended; closing alone would not, while a forked process has them too."""
        self.kill()
        self.channel.close()
        self.life.close()


class Pool:
    """The zygote, made again where it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: _socket.socket | None = None
        self._identity = 0, 0
        self._said = -1
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> Worker:
        """A worker, which waits for its parcel. ConfigError or IsolationError where there cannot be any."""
        why = ""
        for _ in range(_TRIES):
            control = self._control or self._start()
            if _identity(control) != self._identity:
                self._abandon(control)
                continue
            if not _closed(control) and (worker := _worker(control)):
                return worker
            why = self._forget(control)  # it was killed, or could not begin
        raise IsolationError(f"no process can be made for guests: {why or 'the one that makes them ends'}")

    @property
    def process(self) -> int | None:
        """The zygote's number, while there is one."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Have the zygote begin, so that the first guest does not wait for that."""
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
        """It has ended: the last line that it said, or nothing."""
        with self._lock:
            if self._control is not control:
                return ""
            self._control = None
            control.close()
            return self._end()

    def _abandon(self, control: _socket.socket) -> None:
        """The program has closed all descriptors, which daemons do. Ours may be files of others by now."""
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
        """End the zygote and every guest that runs in a process."""
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
            process.returncode = 0  # it is no child of this process, and nothing to warn of


def _identity(control: _socket.socket) -> tuple[int, int]:
    """What is behind the number of a descriptor."""
    try:
        found = os.fstat(control.fileno())
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _closed(sock: _socket.socket) -> bool:
    """Whether nobody has the other end."""
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return bool(poll.poll(0))


def _worker(control: _socket.socket) -> Worker | None:
    """One that waits in the socket, or one that is made now; None if the zygote has ended."""
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
    """The next one in the socket; None for its end. BlockingIOError if there is none and it is not waited for."""
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


pool = Pool()
atexit.register(pool.close)
in_forked_child(pool.lost)
