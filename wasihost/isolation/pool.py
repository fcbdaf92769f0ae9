"""The zygote of this process: a small process that has everything imported and forks one worker for each guest.

It is made when the first guest needs it, by starting a new interpreter: a fork of the embedder's own process, with its
threads and secrets, would be neither safe nor clean. It ends with this process, however that ends, and takes with it
every guest that still runs: each hangs on a socket of which this process has the other end.

Rules of this file: no thread, and no lock held while somebody waits but for the start itself.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Final, NamedTuple

from wasihost.errors import ConfigError
from wasihost.unpatched import threading

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

    channel: socket.socket
    life: socket.socket

    def kill(self) -> None:
        """From any thread: end the process, if it has not ended."""
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
        """Which ends the process, if it has not ended."""
        self.channel.close()
        self.life.close()


class Pool:
    """The zygote, made again where it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> Worker:
        """A new worker, which waits for its parcel. ConfigError where there cannot be any."""
        for attempt in range(_TRIES):
            control = self._control or self._start()
            ours, theirs = socket.socketpair()
            life, hold = socket.socketpair()
            try:
                socket.send_fds(control, [b"fork"], [theirs.fileno(), hold.fileno()])
            except OSError:  # it was killed
                ours.close()
                life.close()
                self._forget(control)
                if attempt == _TRIES - 1:
                    raise
                continue
            except BaseException:
                ours.close()
                life.close()
                raise
            finally:
                theirs.close()
                hold.close()
            return Worker(ours, life)
        raise AssertionError

    @property
    def process(self) -> int | None:
        """The zygote's number, while there is one."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Have the zygote begin, so that the first guest does not wait for that."""
        if self._control is None:
            self._start()

    def _start(self) -> socket.socket:
        with self._lock:
            if self._control is not None:
                return self._control
            if not hasattr(os, "fork"):
                raise ConfigError('isolation="process" needs a system that has fork')
            if not sys.executable:
                raise ConfigError('isolation="process" needs to know where Python is: set sys.executable')
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-s", "-S", "-P", "-c", _SOURCE, str(theirs.fileno()), json.dumps(sys.path)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                    pass_fds=(theirs.fileno(),), env=_environment(),
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
            self._control = ours
            return ours

    def why(self) -> str:
        """The last line that a zygote said which has ended, or nothing."""
        process = self._process
        if process is None or process.stderr is None:
            return ""
        with suppress(OSError, subprocess.TimeoutExpired):
            process.wait(2)
            lines = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def _forget(self, control: socket.socket) -> None:
        with self._lock:
            if self._control is control:
                self._control = None
                self._end()
                control.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                process.wait(2)
            if process.stderr is not None:
                process.stderr.close()

    def close(self) -> None:
        """End the zygote and every guest that runs in a process."""
        with self._lock:
            control, self._control = self._control, None
            if control is not None:
                control.close()
                self._end()

    def lost(self) -> None:
        """In a forked child: the zygote is the parent's."""
        self._lock = threading.Lock()
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            process.returncode = 0  # it is no child of this process, and nothing to warn of
            if process.stderr is not None:
                process.stderr.close()


def _environment() -> dict[str, str]:
    kept = {name: value for name in _KEPT if (value := os.environ.get(name)) is not None}
    return {**kept, "PYTHON_JIT": "0", "PYTHONDONTWRITEBYTECODE": "1"}


pool = Pool()
atexit.register(pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.lost)
