"""When a guest has to end before it wants to, and how whatever waits on its behalf learns of it.

Rules of this file: a deadline belongs to one guest; `end` may be called from any thread, the rest from the guest's own.
Whoever waits for longer than an instant on behalf of a guest waits through here; what a guest computes is the engine's
to interrupt. Times are in ns of `time.monotonic_ns`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, Protocol, TypeAlias

from wasihost.common.unpatched import select, threading, time
from wasihost.errors import EndRun

SLEEP_MAX = 2**62
"""Hosts cannot express every u64 as a time to sleep: 146 years."""


def milliseconds(duration: int | None) -> int | None:
    """ns as poll(2) takes them: rounded up, None for ever."""
    return None if duration is None else min(-(-duration // 1_000_000), 2**31 - 1)


def after(seconds: float) -> int:
    """The time so many seconds from now, in ns of `time.monotonic_ns`: 146 years at most. ValueError for a NaN."""
    return time.monotonic_ns() + int(min(max(seconds, 0) * 1_000_000_000, SLEEP_MAX))


_PIECE = 50_000_000


def piece() -> int | None:
    """How many ns one wait of the calling thread may take, to be followed by another; None for any.

    A signal that comes after Python has looked for signals, and before the system begins to wait, does not end the
    wait; its handler is to run soon all the same. Not so in a program that has left Ctrl-C to the system.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        return None
    return _PIECE


def ready_now(fd: int, event: int) -> bool:
    """Whether `event` (POLLIN, POLLOUT), an error or the end has come to `fd`."""
    poller = select.poll()
    poller.register(fd, event)
    return bool(poller.poll(0))


class Endable(Protocol):
    """A guest that can be ended from another thread, wherever it is."""

    def end(self, reason: BaseException, *, permanently: bool = False) -> None:
        """What it is doing raises `reason`; with `permanently`, so does what it would do later."""


_Before: TypeAlias = tuple[int | None, BaseException | None, bool, BaseException | None]


class Deadline:
    """When, if ever, a guest has to end. `reason` is raised then by whatever waits, and out of the run.

    `active` says that it can come at all; where it cannot, waits are the system's own. A reason that is an OSError is
    raised in an `EndRun`, because what handlers raise of that class becomes an errno.
    """

    __slots__ = ("_asleep", "_below", "_lock", "_over", "_wake", "_why", "active", "expires", "reason")

    def __init__(self) -> None:
        self.active = False
        self.expires: int | None = None
        self.reason: BaseException | None = None  # once it has expired
        self._why: BaseException | None = None  # somebody has ended it
        self._over: BaseException | None = None  # for good: it is not to begin again
        self._below: tuple[Deadline, ...] = ()  # of other guests that this one is calling, which end with it
        self._lock = threading.RLock()  # a signal handler that raises may leave it held: its own thread can go on
        self._asleep: threading.Lock | None = None  # held; released by `end`
        self._wake: tuple[int, int] | None = None  # a pipe; `end` writes to it

    def start(self, expires: int | None, reason: BaseException | None) -> None:
        """The guest begins: it has until `expires`, and nobody has ended it yet, unless for good."""
        with self._lock:
            self.expires, self.reason, self.active = expires, reason, True
            self._why = self._over  # a wake-up meant for an earlier call is forgotten by who waits, see `woken`

    def end(self, reason: BaseException, *, permanently: bool = False) -> None:
        """From any thread: end the guest now; whatever waits for it raises `reason`.

        What begins later is ended too if that is meant `permanently`.
        """
        with self._lock:
            if permanently and self._over is None:
                self._over = reason
            if self._asleep is not None:
                self._asleep.release()
                self._asleep = None
            if self._why is None:
                self._why = reason
                self._write_wake()
            below = self._below
        for one in below:
            one.end(reason)

    def narrow(self, expires: int | None, reason: BaseException | None) -> tuple[int | None, BaseException | None]:
        """For a call within a call: until `expires` if that comes sooner. What `widen` is to be given after it."""
        before = self.expires, self.reason
        if expires is not None and (self.expires is None or expires < self.expires):
            self.expires, self.reason = expires, reason
        return before

    def widen(self, before: tuple[int | None, BaseException | None]) -> None:
        """As it was before the call."""
        self.expires, self.reason = before

    def lend(self, below: Deadline) -> _Before:
        """This guest calls another one, whose deadline `below` is: that ends when this one does.

        What has to be given back with `take_back` after the call.
        """
        before = below.expires, below.reason, below.active, below._why
        below.start(self.expires, self.reason)
        with self._lock:
            self._below += (below,)
            why = self._why
        if why is not None:
            below.end(why)  # by another thread, which could not know
        return before

    def take_back(self, below: Deadline, before: _Before) -> None:
        """The call is over."""
        with self._lock:
            self._below = self._below[:-1]
        below.start(None, None)
        below.expires, below.reason, below.active, below._why = before

    def check(self) -> None:
        """Raises `reason` if the time has come."""
        reason = self._why
        if reason is None:
            if self.expires is None or time.monotonic_ns() < self.expires:
                return
            reason = self.reason
        assert reason is not None
        try:
            raise EndRun(reason) if isinstance(reason, OSError) else reason
        finally:
            del reason  # its traceback holds this frame

    def left(self) -> int | None:
        """How much time there is, in ns; None for any. Raises `reason` if there is none."""
        self.check()
        return None if self.expires is None else max(1, self.expires - time.monotonic_ns())

    def sleep(self, duration: int) -> None:
        """Sleep at least `duration` ns, or until the time has come: `reason` is raised then."""
        try:
            if self.active:
                self._sleep(duration)
            else:
                until, most = time.monotonic_ns() + min(duration, SLEEP_MAX), piece() or SLEEP_MAX
                while (rest := until - time.monotonic_ns()) > 0:
                    time.sleep(min(rest, most) / 1_000_000_000)
        except OSError as error:
            raise_of_signals(error)

    def _sleep(self, duration: int) -> None:
        left = self.left()
        wanted = min(duration, SLEEP_MAX if left is None else left)
        gate = threading.Lock()
        gate.acquire()
        with self._lock:
            if self._why is None:
                self._asleep = gate
        try:
            until, most = time.monotonic_ns() + wanted, piece() or SLEEP_MAX
            while self._why is None and (rest := until - time.monotonic_ns()) > 0:
                if gate.acquire(timeout=min(min(rest, most) / 1_000_000_000, threading.TIMEOUT_MAX)):
                    break
        finally:
            self._asleep = None
        if self._why is not None or wanted == left:
            self.check()

    def wait(self, fd: int, event: int) -> None:
        """poll(2) until `event` (POLLIN, POLLOUT) has come to `fd`; `reason` is raised if the time comes before."""
        poller = select.poll()
        poller.register(fd, event)
        try:
            if poller.poll(0):
                return
            wake = self.wake_fd() if self.active else -1
            if self.active:
                poller.register(wake, select.POLLIN)
            most = piece()
            while True:
                left = self.left() if self.active else None
                found = poller.poll(milliseconds(left if most is None or (left is not None and left < most) else most))
                if any(one == fd for one, _ in found):
                    return
                if found:
                    self.woken()
        except OSError as error:
            raise_of_signals(error)

    def wake_fd(self) -> int:
        """A descriptor that becomes readable when `end` is called, for waits on other descriptors; see `woken`."""
        if self._wake is not None:  # which only `close` undoes
            return self._wake[0]
        with self._lock:
            if self._wake is None:
                try:
                    self._wake = os.pipe()
                except OSError as error:  # of this process, which may open no more: no errno for the guest
                    raise EndRun(error) from None
                os.set_blocking(self._wake[1], False)
                if self._why is not None:
                    self._write_wake()
            return self._wake[0]

    def woken(self) -> None:
        """`wake_fd` was readable: raises the reason, or forgets what was meant for a call before this one."""
        with self._lock:
            while self._why is None and self._wake is not None and ready_now(self._wake[0], select.POLLIN):
                os.read(self._wake[0], 4096)
        self.check()

    def _write_wake(self) -> None:
        if self._wake is not None:
            with suppress(BlockingIOError):  # full of what nobody waited for: it is readable
                os.write(self._wake[1], b"!")

    def close(self) -> None:
        """The guest is gone."""
        with self._lock:
            wake, self._wake = self._wake, None
        for fd in wake or ():
            os.close(fd)

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        for fd in getattr(self, "_wake", None) or ():
            _close(fd)


def raise_of_signals(error: OSError) -> NoReturn:
    """From where only waiting was done: an OSError without a number is not the system's, but a signal handler's, such
    as the TimeoutError that handlers of SIGALRM like to raise. It is to end the run, not to become an errno."""
    if error.errno is None:
        raise EndRun(error) from None
    raise error
