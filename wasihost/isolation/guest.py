"""A guest in a process of its own, seen from the embedder: it stands in for `Instance` in `run`, `run_async` and
`start`.

Rules of this file: the embedder's objects are called here, in the thread that runs the guest. Standard input is the
exception: it has a thread of its own, so that a guest can write while it waits for input.
"""

from __future__ import annotations

import contextvars
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from wasi_preview1.errors import WasiError

from wasihost.common import auditing
from wasihost.common.threads import start_thread
from wasihost.common.unpatched import time
from wasihost.descriptors.oserrno import errno_of
from wasihost.errors import ConfigError, IsolationError, LimitExceeded, TimeoutExpired
from wasihost.guest.results import GuestResults
from wasihost.isolation import received, wire
from wasihost.isolation.lockdown import IsolationReport
from wasihost.isolation.parcel import Packing
from wasihost.isolation.pool import pool
from wasihost.isolation.trees import put_together
from wasihost.stats import Stats

if TYPE_CHECKING:
    from wasihost.guest.module import Module
    from wasihost.guest.options import RunSetup

GRACE: Final = 0.5
"""Seconds after its deadline in which a guest's process may end by itself and return its files; then it is killed."""
_MOST_READ: Final = 1 << 20
_TRIES: Final = 3
"""How many workers are tried for one guest: the system may kill a waiting one when memory is short."""
_FOREVER: Final = 1 << 31
_SLACK: Final = 1 << 20


class IsolatedGuest(GuestResults):
    """The guest of one run. The constructor raises what that of `Instance` raises, and ConfigError for what cannot be
    isolated."""

    def __init__(
        self,
        module: Module,
        setup: RunSetup,
        timeout: float | None,
        made: Callable[[IsolatedGuest], None] | None = None,
    ) -> None:
        config = setup.config
        self.stats: Stats = Stats()
        super().__init__(setup)
        self._args = [os.fsdecode(arg) for arg in config.args]
        self._timeout = timeout
        self._name = module.name
        self._closed = False
        self._end: int | str | None = None
        self._ended: BaseException | None = None
        self._raised: BaseException | None = None
        auditing.begins(module.name, config.args, setup.isolation)
        self._compiled = module.compiled(
            interruptible=timeout is not None,
            fuel=config.limits.fuel is not None,
            stack=config.limits.stack,
            on_compile=setup.on_compile,
            limits=config.limits if module.compiles_later else None,
            features=setup.features,
        )
        packing = Packing(setup, self._compiled, module.name, timeout)
        try:
            self._outputs, self._trees = packing.outputs, packing.trees
            self._most = _most(packing)
            self._worker = pool.spawn()
        except BaseException:
            packing.give_up()
            raise
        try:
            try:
                if packing.reader is not None:
                    _serve_input(*packing.reader, self._keep)
                    packing.reader = None
                first = self._hand_over(packing)
            finally:
                packing.give_up()
            for stream in (config.stdin, config.stdout, config.stderr):
                if getattr(stream, "owned", False):
                    stream.take()  # type: ignore[union-attr]  # only a PipeEnd is owned
                    stream.release()  # type: ignore[union-attr]  # the same
            self._begin(first)
            if made is not None:
                made(self)
        except BaseException:
            self.close()
            raise

    def _hand_over(self, packing: Packing) -> wire.Message:
        """Send the parcel to the worker, or to another one if that is killed before it begins. Returns the first
        message, which comes when the worker has locked itself down."""
        data, tries = pickle.dumps(packing.parcel, -1), _TRIES
        while True:
            self._channel = wire.Channel(self._worker.channel)
            with suppress(ConnectionError):
                wire.send_parcel(self._worker.channel, data, packing.fds)
                if (first := self._channel.receive(self._most)) is not None:
                    return first
            tries -= 1
            if self._ended is not None or not tries:
                raise self._lost()
            lost, self._worker = self._worker, pool.spawn()
            lost.close()

    def _begin(self, message: wire.Message) -> None:
        if message.kind == "never":
            raise received.error(message.values.get("error"), self._compiled, self._args, self._timeout)
        if message.kind != "begins":
            raise IsolationError("the guest's process does not begin as it should")
        report = received.report(message.values)
        self.stats.isolation = report.held
        _say(report)
        if report.missing and self._setup.isolation == "strict":
            reasons = "; ".join(f"{name}: {why}" for name, why in report.missing.items())
            raise ConfigError(f'isolation="strict" cannot be had here ({reasons}): use "process" to do without')

    # -- running ---------------------------------------------------------------------------------------------------

    def run_to_end(self, timeout: float | None) -> int:
        """To its end: the exit status. Raises as `Instance.run_to_end` does."""
        begun = time.monotonic_ns()
        until = None if timeout is None else time.monotonic() + min(timeout, _FOREVER) + GRACE
        try:
            self._end = self._serve(until)
            return self._end
        except BaseException as error:
            self._end = type(error).__name__
            self.attach_outcome(error, begun)
            raise

    def _serve(self, until: float | None) -> int:
        while True:
            message = self._received(until)
            if message.kind in ("keep", "write"):
                self._write(message)
            elif message.kind == "end":
                return self._over(message)
            else:
                raise IsolationError(f"the guest's process says {message.kind!r}, which it may not")

    def _received(self, until: float | None) -> wire.Message:
        try:
            message = self._channel.receive(self._most, until)
        except TimeoutError:
            self._worker.kill()
            self.stats.limits = ("timeout",)
            raise TimeoutExpired(self._args, self._timeout or 0.0) from None
        except wire.BadMessage as error:
            if self._ended is None:
                raise IsolationError(f"the guest's process is not to be trusted any more: {error}") from None
            message = None
        if message is None:
            raise self._lost()
        return message

    def _lost(self) -> BaseException:
        """Why no message can come any more."""
        if self._ended is not None:
            return self._ended
        return received.crash(self._worker.status())

    def _write(self, message: wire.Message) -> None:
        output = self._outputs.get(received.number(message.values.get("stream")))
        if output is None or len(message.blobs) != 1:
            raise IsolationError("the guest's process writes to what it was not given")
        if message.kind == "keep":
            output.write([message.blobs[0]])
            return
        try:
            count = output.write([message.blobs[0]])
        except BaseException as error:
            if not self._worker.ours:  # the object forked, and this is the child
                raise
            self._send(*self._keep(error))
        else:
            self._send("taken", {"count": count})

    def _send(self, kind: str, values: dict[str, Any]) -> None:
        if not self._worker.ours:
            raise RuntimeError("this guest belongs to the process that was forked: only that can go on with it")
        with suppress(OSError):  # the worker has ended: the next message says how
            self._channel.send(kind, values)

    def _keep(self, error: BaseException) -> tuple[str, dict[str, Any]]:
        """The message to the worker for an exception of one of the embedder's objects."""
        if isinstance(error, WasiError):
            return "errno", {"errno": int(error.errno)}
        if isinstance(error, OSError) and error.errno is not None:
            return "errno", {"errno": int(errno_of(error))}
        self._raised = error
        return "raised", {}

    def _over(self, message: wire.Message) -> int:
        values = message.values
        held = self.stats.isolation
        received.stats(self.stats, values.get("stats"))
        self.stats.isolation = held
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if number in values.get("broken", ()):
                end: Any = getattr(self._setup.config, name)
                end.broken = True
        if "trees" in values and len(values["trees"]) == len(self._trees):
            found = [
                put_together(sent, tree, message.blobs)
                for (_, sent), tree in zip(self._trees, values["trees"], strict=True)
            ]
            for (fs, _), snapshot in zip(self._trees, found, strict=True):
                fs.become(snapshot)
        elif self._trees:
            raise IsolationError(str(values.get("lost", "the guest's process gave no files back")))
        told = values.get("error")
        if told is None:
            return received.number(values.get("code"), 0xFFFFFFFF)
        if isinstance(told, dict) and told.get("class") == "Served" and self._raised is not None:
            raise self._raised
        raise received.error(told, self._compiled, self._args, self._timeout)

    def end(self, reason: BaseException, *, permanently: bool = False) -> None:
        """Kill the process; the run raises `reason`. May be called by any thread. Nothing more comes from the guest."""
        if self._ended is None:
            self._ended = reason
        self._worker.kill()

    # -- results ---------------------------------------------------------------------------------------

    def attach_outcome(self, error: BaseException, begun: int = 0) -> None:
        """Attach the outcome of the guest to the exception that ended it; see `RunSetup.attach_outcome`."""
        if isinstance(error, LimitExceeded):
            self.stats.limits = tuple(sorted({*self.stats.limits, error.limit}))
        _ = self.truncated  # which notes the limit
        self._setup.attach_outcome(error, self.stats, self, begun=begun)

    @property
    def truncated(self) -> tuple[str, ...]:
        """As in the base class; the limit is noted in the statistics, too."""
        found = super().truncated
        if found and "output" not in self.stats.limits:
            self.stats.limits = tuple(sorted({*self.stats.limits, "output"}))
        return found

    def close(self) -> None:
        """End the process, if it still runs."""
        self._worker.close()
        for output in self._outputs.values():
            output.close()
        if not self._closed:
            self._closed = True
            _ = self.truncated  # which notes the limit
            auditing.ended(self._name, self._end, self.stats.limits)


def _most(packing: Packing) -> int | None:
    """The most bytes that a message may have: the trees, or one write. None for no bound."""
    limits = packing.parcel.config.limits
    total = (4 << 30 if limits.memory is None else limits.memory) + _SLACK
    for fs, _ in packing.trees:
        if fs.quota.max_bytes is None:
            return None
        total += fs.quota.max_bytes
    return total


def _serve_input(sock: Any, descriptor: Any, keep: Callable[[BaseException], tuple[str, dict[str, Any]]]) -> None:
    """Read for the worker in a thread, until the worker has closed its end."""
    channel = wire.Channel(sock)

    def serve() -> None:
        try:
            while (message := channel.receive(0)) is not None:
                room = bytearray(min(received.number(message.values.get("size")), _MOST_READ))
                try:
                    count = descriptor.read([memoryview(room)])
                except BaseException as error:
                    channel.send(*keep(error))
                else:
                    channel.send("data", {}, [bytes(room[:count])])
        except (OSError, wire.BadMessage, IsolationError):
            pass
        finally:
            channel.close()
            descriptor.close()

    run = partial(contextvars.copy_context().run, serve)
    start_thread("wasihost stdin", run)


_said: set[str] = set()


def _say(report: IsolationReport) -> None:
    """Warn of missing protections, once for each in a process."""
    new = [f"{name} ({why})" for name, why in report.missing.items() if name not in _said]
    if new:
        _said.update(report.missing)
        from wasihost.common.logs import warn

        warn("isolation", "guests in processes of their own are held without %s", ", ".join(new))
