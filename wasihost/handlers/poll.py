"""`poll_oneoff`: wait until a time has come or a descriptor is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from wasi_preview1.errors import WasiError
from wasi_preview1.guest import ConstPointer, Pointer, make
from wasi_preview1.handlers import PollHandlers
from wasi_preview1.types import (
    Clockid,
    Errno,
    Event,
    EventFdReadwrite,
    Eventrwflags,
    Eventtype,
    Fd,
    Rights,
    Size,
    Subclockflags,
    Subscription,
    SubscriptionClock,
    SubscriptionUClockCase,
)

from wasihost.clocks import Clocks
from wasihost.deadline import Deadline
from wasihost.descriptors.base import Descriptor
from wasihost.errors import LimitExceeded
from wasihost.fdtable import FdTable
from wasihost.waiting import wait_for

_QUIET = Eventrwflags(0)
_NOTHING = EventFdReadwrite(0, _QUIET)
_SUCCESS, _CLOCK = Errno.SUCCESS, Eventtype.CLOCK
_ABSOLUTE = Subclockflags.SUBSCRIPTION_CLOCK_ABSTIME
_GO_ON = (Clockid.REALTIME, Clockid.MONOTONIC)
_HANGUP = Eventrwflags.FD_READWRITE_HANGUP


class Poll(PollHandlers):
    """Works on `table` and `clocks`.

    A guest's number sizes nothing of the host's: at most `max_subscriptions` in one call, at most `max_sleep` ns.
    """

    __slots__ = ()

    table: FdTable
    clocks: Clocks
    deadline: Deadline
    max_sleep: int
    max_subscriptions: int

    def poll_oneoff(self, in_: ConstPointer[Subscription], out: Pointer[Event], nsubscriptions: Size) -> Size:
        """Answer at least one event. INVAL for no subscription, or too many; LimitExceeded for too long a wait."""
        if not 0 < nsubscriptions <= self.max_subscriptions:
            raise WasiError(Errno.INVAL)
        if nsubscriptions == 1:
            userdata, wanted = in_.load()
            if isinstance(wanted, SubscriptionUClockCase) and wanted.value.id in _GO_ON:
                if delay := self._delay(wanted.value):
                    self._rest(delay)
                out.store(make(Event, (userdata, _SUCCESS, _CLOCK, _NOTHING)))
                return 1
        events = self._events(in_.read(nsubscriptions))
        out.write(events)
        return len(events)

    def _events(self, subscriptions: Sequence[Subscription]) -> list[Event]:
        events: list[Event] = []
        timers: list[tuple[int, Subscription]] = []
        computing: list[tuple[Callable[[], int], int, Subscription]] = []
        waits: list[tuple[int, bool, Descriptor, Subscription]] = []
        for subscription in subscriptions:
            try:
                wanted = subscription.u
                if isinstance(wanted, SubscriptionUClockCase):
                    delay, clock = self._delay(wanted.value), wanted.value.id
                    if clock in _GO_ON:
                        timers.append((delay, subscription))
                    else:
                        now = self.clocks.now[clock]
                        computing.append((now, now() + delay, subscription))
                else:
                    writes = wanted.tag == Eventtype.FD_WRITE
                    descriptor = self._watched(wanted.value.file_descriptor, writes)
                    fd = descriptor.host_fd()
                    if fd is None:
                        events.append(_ready(subscription, descriptor, False))
                    else:
                        waits.append((fd, writes, descriptor, subscription))
            except WasiError as error:
                events.append(Event(subscription.userdata, error.errno, subscription.u.tag, _NOTHING))
        until = [(now, target) for now, target, _ in computing]
        watched = [(fd, writes) for fd, writes, _, _ in waits]
        waited = 0 if events or _due(until) else min((delay for delay, _ in timers), default=None)
        found: Sequence[bool | None] = ()
        if until and waited != 0:
            found, waited = self._compute(watched, waited, until)
        elif watched:
            found = self._wait(watched, waited)
        elif waited:
            self._rest(waited)
        for (_, _, descriptor, subscription), gone in zip(waits, found, strict=True):
            if gone is not None:
                events.append(_ready(subscription, descriptor, gone))
        due = [subscription for now, target, subscription in computing if now() >= target]
        if not waited or not (events or due):
            due += [subscription for delay, subscription in timers if delay <= (waited or 0)]
        events += [make(Event, (subscription.userdata, _SUCCESS, _CLOCK, _NOTHING)) for subscription in due]
        return events

    def _rest(self, duration: int) -> None:
        """Sleep in the guest's way, which may be the embedder's."""
        self._check_sleep(duration)
        self.clocks.sleep(duration)
        if self.deadline.active:
            self.deadline.check()

    def _check_sleep(self, duration: int) -> None:
        if duration > self.max_sleep:
            raise LimitExceeded("sleep", f"the guest wanted to sleep {duration / 1_000_000_000:g} seconds")

    def _delay(self, clock: SubscriptionClock) -> int:
        """How much the clock has to go on until the time has come, in ns."""
        if clock.flags & _ABSOLUTE:
            return max(0, clock.timeout - self.clocks.now[clock.id]())
        return clock.timeout

    def _wait(self, watched: Sequence[tuple[int, bool]], timeout: int | None) -> Sequence[bool | None]:
        """`wait_for`. An embedder's way of sleeping has its own idea of time, so it is asked instead of the host."""
        if timeout is not None:
            self._check_sleep(timeout)
        if not timeout or self.clocks.sleeps_really:
            return wait_for(watched, timeout, self.deadline)
        found = wait_for(watched, 0, self.deadline)
        if any(gone is not None for gone in found):
            return found
        self._rest(timeout)
        return wait_for(watched, 0, self.deadline)

    def _compute(
        self, watched: Sequence[tuple[int, bool]], timeout: int | None, until: Sequence[tuple[Callable[[], int], int]]
    ) -> tuple[Sequence[bool | None], int]:
        """Wait for a clock of the processor, which goes on only while something is computed: so it is.

        What `wait_for` would answer, and the `timeout` if all of it has passed, else 0.
        """
        found: Sequence[bool | None] = ()
        if timeout is not None and not self.clocks.sleeps_really:
            found = self._wait(watched, timeout)
            return found, 0 if any(gone is not None for gone in found) else timeout
        self._check_sleep(min(target - now() for now, target in until) if timeout is None else timeout)
        end = None if timeout is None else time.monotonic_ns() + timeout
        while True:
            if watched:
                found = wait_for(watched, 0, self.deadline)
            if any(gone is not None for gone in found) or _due(until):
                return found, 0
            if end is not None and timeout is not None and time.monotonic_ns() >= end:
                return found, timeout
            if self.deadline.active:
                self.deadline.check()

    def _watched(self, fd: Fd, writes: bool) -> Descriptor:
        """The descriptor to wait for; NOTCAPABLE if it may not be waited for, or not be used for that either."""
        descriptor = self.table.get(fd)
        if not descriptor.rights & Rights.POLL_FD_READWRITE:
            raise WasiError(Errno.NOTCAPABLE)
        if not descriptor.rights & (Rights.FD_WRITE if writes else Rights.FD_READ):
            raise WasiError(Errno.NOTCAPABLE)
        return descriptor


def _due(until: Sequence[tuple[Callable[[], int], int]]) -> bool:
    return any(now() >= target for now, target in until)


def _ready(subscription: Subscription, descriptor: Descriptor, gone: bool) -> Event:
    if subscription.u.tag == Eventtype.FD_WRITE:
        size = 1
    else:
        size, gone = descriptor.available(), gone or descriptor.ended()
    state = make(EventFdReadwrite, (size, _HANGUP if gone else _QUIET))
    return make(Event, (subscription.userdata, _SUCCESS, subscription.u.tag, state))
