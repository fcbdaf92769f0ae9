"""When a guest has to end before it wants to, and how everything that waits on its behalf is woken then.

Rules of this file: a scope belongs to one guest; `cancel` may be called from any thread, the other methods only from
the guest's own. All code that blocks on behalf of a guest for longer than an instant blocks through a scope; a guest
that computes is interrupted by the engine. Times are in ns of `time.monotonic_ns`.
"""

from __future__ import annotations

import os

from wasihost.common.unpatched import select, threading, time
from wasihost.errors import EndRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol, TypeAlias

    class Endable(Protocol):
        """A guest that another thread can end, wherever it is."""

        def end(self, reason: BaseException, *, permanently: bool = False) -> None:
            """Make the call in progress raise `reason`; with `permanently` later calls raise it too."""


SLEEP_MAX = 2**62
"""The longest sleep in ns, 146 years: the OS does not accept every u64."""


def milliseconds(duration: int | None) -> int | None:
    """A duration in ns as a timeout for poll(2), rounded up; None waits without limit."""
    return None if duration is None else min(-(-duration // 1_000_000), 2**31 - 1)


def after(seconds: float) -> int:
    """The time `seconds` from now, in ns of `time.monotonic_ns`, at most 146 years. Raises ValueError for a NaN."""
    return time.monotonic_ns() + int(min(max(seconds, 0) * 1_000_000_000, SLEEP_MAX))


_SIGNAL_CHECK = 50_000_000
"""ns after which a wait is interrupted so that Python can run signal handlers."""


def longest_wait() -> int | None:
    """The longest single wait of the calling thread in ns, after which it waits again; None for no limit.

    A signal that arrives after Python last checked for signals, and before the system call blocks, does not interrupt
    the wait. With a limit its handler runs soon all the same. A program that leaves Ctrl-C to the OS needs none.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    import signal  # not needed by a guest that never waits

    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        return None
    return _SIGNAL_CHECK


def ready_now(fd: int, event: int) -> bool:
    """True if `fd` has `event` (POLLIN, POLLOUT), an error or a hangup; does not wait."""
    poller = select.poll()
    poller.register(fd, event)
    return bool(poller.poll(0))


_Saved: TypeAlias = tuple[int | None, BaseException | None, bool, BaseException | None]
"""`expires`, `reason`, `active` and `_cancelled_by` of a callee. A plain tuple: guests may call each other often."""


class CancelScope:
    """When, if ever, a guest has to end. What waits then raises the reason, and so does the run.

    `active`: the guest can be cancelled at all. While false, waits simply block in the OS. `expires` is the time at
    which `reason` is raised; None for never. A reason that is an OSError is raised inside an `EndRun`, because stubs
    turn an OSError from a handler into an errno.
    """

    __slots__ = (
        "_callees",
        "_cancelled_by",
        "_lock",
        "_permanently_cancelled_by",
        "_sleep_gate",
        "_wake",
        "active",
        "expires",
        "reason",
    )

    def __init__(self) -> None:
        self.active: bool = False
        self.expires: int | None = None
        self.reason: BaseException | None = None  # raised once the scope has expired
        self._cancelled_by: BaseException | None = None
        self._permanently_cancelled_by: BaseException | None = None
        self._callees: tuple[CancelScope, ...] = ()  # scopes of guests that this one is calling: cancelled with it
        self._lock = threading.RLock()  # a signal handler that raises may leave it held: its own thread can go on
        self._sleep_gate: threading.Lock | None = None  # held while the guest sleeps; `cancel` releases it
        self._wake: tuple[int, int] | None = None  # a pipe; `cancel` writes to it

    def start(self, expires: int | None, reason: BaseException | None) -> None:
        """Begin a call of the guest: it may run until `expires`. Forgets a cancellation that was not permanent."""
        with self._lock:
            self.expires, self.reason, self.active = expires, reason, True
            # A wake-up that was meant for an earlier call may still be in the pipe: see `drain_wakeup`.
            self._cancelled_by = self._permanently_cancelled_by

    def cancel(self, reason: BaseException, *, permanently: bool = False) -> None:
        """From any thread: make the guest raise `reason` now, also out of whatever waits for it.

        With `permanently`, calls that start later raise it too.
        """
        with self._lock:
            if permanently and self._permanently_cancelled_by is None:
                self._permanently_cancelled_by = reason
            if self._sleep_gate is not None:
                self._sleep_gate.release()
                self._sleep_gate = None
            if self._cancelled_by is None:
                self._cancelled_by = reason
                self._write_wake()
            callees = self._callees
        for callee in callees:
            callee.cancel(reason)

    def shorten(self, expires: int | None, reason: BaseException | None) -> tuple[int | None, BaseException | None]:
        """For a call within a call: expire at `expires` if that is sooner. Returns what `restore` takes afterwards."""
        before = self.expires, self.reason
        if expires is not None and (self.expires is None or expires < self.expires):
            self.expires, self.reason = expires, reason
        return before

    def restore(self, before: tuple[int | None, BaseException | None]) -> None:
        """Undo `shorten` after the call."""
        self.expires, self.reason = before

    def cover(self, callee: CancelScope) -> _Saved:
        """Apply this scope to another guest for one call of it: the callee is cancelled when this guest is.

        Returns the callee's state, which `uncover` takes afterwards.
        """
        before = callee.expires, callee.reason, callee.active, callee._cancelled_by
        callee.start(self.expires, self.reason)
        with self._lock:
            self._callees += (callee,)
            reason = self._cancelled_by
        if reason is not None:  # another thread cancelled this guest before the callee was on the list
            callee.cancel(reason)
        return before

    def uncover(self, callee: CancelScope, before: _Saved) -> None:
        """Undo `cover` after the call."""
        with self._lock:
            self._callees = self._callees[:-1]
        callee.start(None, None)
        callee.expires, callee.reason, callee.active, callee._cancelled_by = before

    def check(self) -> None:
        """Raise the reason if the scope has expired or was cancelled."""
        reason = self._cancelled_by
        if reason is None:
            if self.expires is None or time.monotonic_ns() < self.expires:
                return
            reason = self.reason
        assert reason is not None
        try:
            raise EndRun(reason) if isinstance(reason, OSError) else reason
        finally:
            del reason  # its traceback holds this frame

    def remaining(self) -> int | None:
        """The time until the scope expires, in ns; None for no limit. Raises the reason if there is none left."""
        self.check()
        return None if self.expires is None else max(1, self.expires - time.monotonic_ns())

    def sleep(self, duration: int) -> None:
        """Sleep at least `duration` ns. Raises the reason if the scope expires or is cancelled before."""
        try:
            if self.active:
                self._sleep(duration)
            else:
                until, most = time.monotonic_ns() + min(duration, SLEEP_MAX), longest_wait() or SLEEP_MAX
                while (rest := until - time.monotonic_ns()) > 0:
                    time.sleep(min(rest, most) / 1_000_000_000)
        except OSError as error:
            raise_wait_error(error)

    def _sleep(self, duration: int) -> None:
        remaining = self.remaining()
        wanted = min(duration, SLEEP_MAX if remaining is None else remaining)
        gate = threading.Lock()
        gate.acquire()
        with self._lock:
            if self._cancelled_by is None:
                self._sleep_gate = gate
        try:
            until, most = time.monotonic_ns() + wanted, longest_wait() or SLEEP_MAX
            while self._cancelled_by is None and (rest := until - time.monotonic_ns()) > 0:
                if gate.acquire(timeout=min(min(rest, most) / 1_000_000_000, threading.TIMEOUT_MAX)):
                    break
        finally:
            self._sleep_gate = None
        if self._cancelled_by is not None or wanted == remaining:
            self.check()

    def wait(self, fd: int, event: int) -> None:
        """poll(2) until `fd` has `event` (POLLIN, POLLOUT). Raises the reason if the scope expires before."""
        poller = select.poll()
        poller.register(fd, event)
        try:
            if poller.poll(0):
                return
            wake = self.wake_fd() if self.active else -1
            if self.active:
                poller.register(wake, select.POLLIN)
            most = longest_wait()
            while True:
                left = self.remaining() if self.active else None
                found = poller.poll(milliseconds(left if most is None or (left is not None and left < most) else most))
                if any(ready == fd for ready, _ in found):
                    return
                if found:
                    self.drain_wakeup()
        except OSError as error:
            raise_wait_error(error)

    def wake_fd(self) -> int:
        """A descriptor that `cancel` makes readable, to be added to waits for other descriptors; see `drain_wakeup`."""
        if self._wake is not None:  # which only `close` undoes
            return self._wake[0]
        with self._lock:
            if self._wake is None:
                try:
                    self._wake = os.pipe()
                except OSError as error:  # this process may open no more files: not an errno for the guest
                    raise EndRun(error) from None
                os.set_blocking(self._wake[1], False)
                if self._cancelled_by is not None:
                    self._write_wake()
            return self._wake[0]

    def drain_wakeup(self) -> None:
        """After `wake_fd` was readable: raise the reason, or discard a wake-up that was meant for an earlier call."""
        with self._lock:
            while self._cancelled_by is None and self._wake is not None and ready_now(self._wake[0], select.POLLIN):
                os.read(self._wake[0], 4096)
        self.check()

    def _write_wake(self) -> None:
        if self._wake is not None:
            try:
                os.write(self._wake[1], b"!")
            except BlockingIOError:  # the pipe is full, so it is readable already
                pass

    def close(self) -> None:
        """Close the wake-up pipe: the guest is gone."""
        with self._lock:
            wake, self._wake = self._wake, None
        for fd in wake or ():
            os.close(fd)

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        for fd in getattr(self, "_wake", None) or ():
            _close(fd)


def raise_wait_error(error: OSError) -> NoReturn:
    """Re-raise an OSError out of code that only waits. One without an errno does not come from the OS but from a signal
    handler, such as the TimeoutError that handlers of SIGALRM like to raise: it ends the run as an `EndRun`."""
    if error.errno is None:
        raise EndRun(error) from None
    raise error
