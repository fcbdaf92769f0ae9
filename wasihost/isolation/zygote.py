"""The zygote's own program: wait for orders, fork, reap, and end with the embedder.

Rules of this file: one thread, no engine is started before a fork, and nothing that a guest has touched comes back
here: a worker's socket goes to the embedder and not through this process.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from contextlib import suppress
from typing import Final, NoReturn

from wasihost.engines.wasmtime.engine import compile_on_this_thread
from wasihost.instance import Instance
from wasihost.isolation import lockdown, worker
from wasihost.module import as_module
from wasihost.options import Prepared
from wasihost.preloading import for_workers
from wasihost.unpatched import select

_LEAST: Final = '(module (memory (export "memory") 1) (func (export "_start")))'
_MOST: Final = 8
"""Bytes of an order."""


def main(control: int) -> NoReturn:
    """What the new interpreter does; `control` is the socket by which it is told what to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C of a terminal is the embedder's to act upon
    for_workers()
    _warm_up()
    gc.collect()
    gc.freeze()
    _Zygote(socket.socket(fileno=control)).serve()


def _warm_up() -> None:
    """Run the least guest there is, so that what is made once in a process is there for all workers."""
    compile_on_this_thread()
    lockdown.prepare()
    options = {"capture_output": True, "cache": False}
    with Instance(as_module(_LEAST, options), Prepared(_LEAST, None, options, None, None), "_start", None) as guest:
        guest.run_through(None)


class _Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lives: dict[int, socket.socket] = {}  # by process
        self._spare: tuple[int, socket.socket] | None = None  # a worker that has no guest yet
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._died, dying = os.pipe()
        os.set_blocking(dying, False)
        os.set_blocking(self._died, False)
        signal.set_wakeup_fd(dying, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll.register(self._died, select.POLLIN)

    def serve(self) -> NoReturn:
        """Until the embedder's end of the socket is closed."""
        while True:
            found = {fd for fd, _ in self._poll.poll()}
            # Lives first: what is closed later may give its number to another.
            self._end_unwanted(found)
            if self._died in found:
                with suppress(BlockingIOError):
                    os.read(self._died, 4096)
                self._reap()
            if self._control.fileno() in found:
                self._order()

    def _order(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._control, _MOST, 2)
        if len(fds) != 2:
            if data:
                return
            for process in self._lives:
                os.kill(process, signal.SIGKILL)
            os._exit(0)
        channel, life = (socket.socket(fileno=fd) for fd in fds)
        with channel:
            process = self._hand_over(channel)
        self._lives[process] = life
        self._poll.register(life, select.POLLIN)
        self._spare = self._fork()  # while the other one works

    def _hand_over(self, channel: socket.socket) -> int:
        """Give the channel to the worker that was made before, or to a new one if that has died."""
        while True:
            process, hand = self._spare or self._fork()
            self._spare = None
            with hand, suppress(OSError):
                socket.send_fds(hand, [b"."], [channel.fileno()])
                return process

    def _fork(self) -> tuple[int, socket.socket]:
        """A worker that waits for its channel, and where that is to be sent."""
        ours, theirs = socket.socketpair()
        process = os.fork()
        if not process:
            ours.close()
            self._become(theirs)
        theirs.close()
        return process, ours

    def _become(self, hand: socket.socket) -> NoReturn:
        """In the new process: a worker, which knows nothing of the others."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in (self._control, *self._lives.values()):
                one.close()
            worker.begin()
            _, fds, _, _ = socket.recv_fds(hand, 1, 1)
            hand.close()
            if fds:
                worker.work(socket.socket(fileno=fds[0]))
        finally:
            os._exit(1)

    def _end_unwanted(self, found: set[int]) -> None:
        """Nobody wants these guests any more."""
        for process, life in self._lives.items():
            if life.fileno() in found:
                self._poll.unregister(life)
                os.kill(process, signal.SIGKILL)  # it was not waited for yet, so the number is its own

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            life = self._lives.pop(process, None)
            if life is None:  # one that had no guest yet
                continue
            with suppress(KeyError, OSError):
                self._poll.unregister(life)
            with suppress(OSError):
                life.send(str(os.waitstatus_to_exitcode(status)).encode())
            life.close()
