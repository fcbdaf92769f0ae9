"""The zygote's program: keep some workers ready, reap those that ended, and end with the embedder.

A worker is forked before there is a guest for it, and is sent to the embedder as two sockets: its channel, and the one
that keeps it alive. The embedder takes workers that wait in its socket, and asks for one only if there is none. A
worker reports when its guest begins; only then another is forked, so that the two do not compete.

Rules of this file: one thread, no engine is ever started here, and nothing that a guest has touched comes back: a
worker that has had a guest is never used again.
"""

from __future__ import annotations

import errno
import gc
import os
import pickle
import signal
import socket
import struct
import traceback
from contextlib import suppress
from typing import Final, NoReturn

from wasi_preview1.signatures import SIGNATURES

from wasihost.common.unpatched import select
from wasihost.engines import default_engine
from wasihost.guest.module import as_module
from wasihost.guest.options import RunSetup
from wasihost.guest.preloading import for_workers
from wasihost.isolation import lockdown, wire, worker
from wasihost.isolation.parcel import Packing
from wasihost.waiting.cancel_scope import ready_now

READY: Final = 2
"""How many workers wait for a guest at most, besides those that were asked for."""
_FAILURES: Final = 4
"""After this many workers in a row have ended without a guest, none is forked until the embedder asks for one."""
_BEGUN: Final = struct.Struct("=I")


def main(control: int) -> NoReturn:
    """What the new interpreter does. `control` is the fd of the socket to the embedder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the embedder handles Ctrl-C of a terminal
    for_workers()
    default_engine().load_library()
    lockdown.prepare()
    rehearsal = _packed()
    gc.collect()
    gc.freeze()
    _Zygote(socket.socket(fileno=control), *rehearsal).serve()


def _guest() -> str:
    """A module that imports every function, and writes one byte."""
    module = "wasi_snapshot_preview1"
    imports = "".join(
        f'(import "{module}" "{name}" (func ${name} (param {" ".join(one.params)}) (result {" ".join(one.results)})))'
        for name, one in SIGNATURES[module].items()
    )
    return f"""(module {imports} (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\01")
        (func (export "_start")
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"""


def _packed() -> tuple[bytes, list[int]]:
    """The parcel of a tiny guest, with which workers rehearse. Another process compiles it."""
    ours, theirs = socket.socketpair()
    process = os.fork()
    if not process:
        try:
            options = {"capture_output": True, "cache": False}
            module = as_module(_guest(), options)
            packing = Packing(RunSetup(module, None, options), module.compiled(interruptible=True), module.name, None)
            wire.send_parcel(theirs, pickle.dumps(packing.parcel, -1), packing.fds)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    with ours:
        theirs.close()
        found = wire.receive_parcel(ours)
    os.waitpid(process, 0)
    if found is None:
        raise RuntimeError("no module can be compiled in the process that makes those of guests")
    return found


class _Zygote:
    def __init__(self, control: socket.socket, rehearsal: bytes, files: list[int]) -> None:
        self._control = control
        self._rehearsal, self._files = rehearsal, files
        self._number = os.getpid()
        self._lives: dict[int, socket.socket] = {}  # by process
        self._ready: set[int] = set()  # those without a guest
        self._failures = 0  # how many of these have ended by themselves, one after the other
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._died, dying = os.pipe()
        self._begun, self._beginning = os.pipe()
        self._pipes = self._died, dying, self._begun
        for fd in self._pipes:
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(dying, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll.register(self._died, select.POLLIN)
        self._poll.register(self._begun, select.POLLIN)

    def serve(self) -> NoReturn:
        """Work until the embedder's end of the socket is closed."""
        while True:
            self._fill()
            found = {fd for fd, _ in self._poll.poll()}
            # The life sockets first: numbers of what is closed below may be reused.
            self._end_unwanted(found)
            if self._begun in found:
                for (process,) in _BEGUN.iter_unpack(os.read(self._begun, 256 * _BEGUN.size)):
                    self._ready.discard(process)
                    self._failures = 0
            if self._died in found:
                with suppress(BlockingIOError):
                    os.read(self._died, 4096)
                self._reap()
            if self._control.fileno() in found:
                self._order()

    def _order(self) -> None:
        try:
            if not self._control.recv(1):
                self._end()
        except OSError:  # it was closed before all was read
            self._end()
        self._failures = 0
        self._make()

    def _end(self) -> NoReturn:
        """End with all guests: the embedder has gone."""
        for process in self._lives:
            os.kill(process, signal.SIGKILL)
        os._exit(0)

    def _fill(self) -> None:
        while len(self._ready) < READY and self._failures < _FAILURES and self._make():
            pass

    def _send(self, data: bytes, *sockets: socket.socket) -> None:
        try:
            socket.send_fds(self._control, [data], [one.fileno() for one in sockets])
        except OSError:
            self._end()

    def _make(self) -> bool:
        """Fork a worker that waits for its guest, and send the embedder its ends of the sockets; or the errno, if there
        can be no worker."""
        made: list[socket.socket] = []
        try:
            made += socket.socketpair()
            made += socket.socketpair()
            channel, theirs, life, hold = made
            process = os.fork()
        except OSError as error:
            for one in made:
                one.close()
            self._failures = _FAILURES
            self._send(str(error.errno).encode())
            return False
        if not process:
            for one in (channel, life, hold):
                one.close()
            self._become(theirs)
        self._lives[process] = hold
        self._poll.register(hold, select.POLLIN)
        self._ready.add(process)
        theirs.close()
        with channel, life:
            self._send(wire.MADE, channel, life)
        return True

    def _become(self, channel: socket.socket) -> NoReturn:
        """In the new process: close what belongs to other workers, and be a worker."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in (self._control, *self._lives.values()):
                one.close()
            for fd in self._pipes:
                os.close(fd)
            worker.begin()
            if os.getppid() != self._number:  # the zygote ended before this process could ask to end with it
                os._exit(1)
            if not ready_now(channel.fileno(), select.POLLIN):  # else a guest waits
                worker.rehearse(self._rehearsal, self._files)
            for fd in self._files:
                os.close(fd)
            worker.work(channel, self._say_begun)
        finally:
            os._exit(1)

    def _say_begun(self) -> None:
        os.write(self._beginning, _BEGUN.pack(os.getpid()))
        os.close(self._beginning)

    def _end_unwanted(self, found: set[int]) -> None:
        """Kill workers whose life socket the embedder has closed."""
        for process, life in self._lives.items():
            if life.fileno() in found:
                self._poll.unregister(life)
                os.kill(process, signal.SIGKILL)  # not reaped yet, so the pid is still its own

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            life = self._lives.pop(process)
            if process in self._ready:
                self._ready.discard(process)
                unwanted = ready_now(life.fileno(), select.POLLIN)  # the embedder has closed it, and the worker with it
                self._failures += status != 0 and not unwanted
                if self._failures == _FAILURES:
                    self._send(str(errno.ECHILD).encode())  # for the threads that wait for a worker
            with suppress(KeyError, OSError):
                self._poll.unregister(life)
            with suppress(OSError):
                life.send(str(os.waitstatus_to_exitcode(status)).encode())
            life.close()
