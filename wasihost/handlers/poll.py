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
    Rights,
    Size,
    Subclockflags,
    Subscription,
    SubscriptionClock,
    SubscriptionUClockCase,
    SubscriptionUFdWriteCase,
)

from wasihost.clocks import Clocks
from wasihost.deadline import Deadline
from wasihost.descriptors.base import Descriptor
from wasihost.errors import LimitExceeded
from wasihost.fdtable import FdTable
from wasihost.oserrno import errno_of
from wasihost.waiting import CLOSED, GONE, wait_for

_QUIET = Eventrwflags(0)
_NOTHING = EventFdReadwrite(0, _QUIET)
_SUCCESS, _CLOCK, _READ, _WRITE = Errno.SUCCESS, Eventtype.CLOCK, Eventtype.FD_READ, Eventtype.FD_WRITE
_ABSOLUTE = Subclockflags.SUBSCRIPTION_CLOCK_ABSTIME
_REALTIME, _GO_ON = Clockid.REALTIME, (Clockid.REALTIME, Clockid.MONOTONIC)
_HANGUP = Eventrwflags.FD_READWRITE_HANGUP
_TO_READ = int(Rights.POLL_FD_READWRITE | Rights.FD_READ)
_TO_WRITE = int(Rights.POLL_FD_READWRITE | Rights.FD_WRITE)
_SLICE = 10_000_000_000
"""ns after which the system's wall clock is looked at again by who waits for a time of it: it may have been set."""

# Enum members and attributes of modules are bound above because a server polls before every piece that it moves.


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
            one = in_.load()
            userdata, wanted = one
            if isinstance(wanted, SubscriptionUClockCase) and wanted.value.id in _GO_ON:
                self._sleep(wanted.value)
                out.store(make(Event, (userdata, _SUCCESS, _CLOCK, _NOTHING)))
                return 1
            events = self._events((one,))
        else:
            events = self._events(in_.read(nsubscriptions))
        out.write(events)
        return len(events)

    def _events(self, subscriptions: Sequence[Subscription]) -> list[Event]:
        events: list[Event] = []
        timers: list[tuple[int, Subscription, SubscriptionClock]] = []
        computing: list[tuple[Callable[[], int], int, Subscription]] = []
        waits: list[tuple[int, bool, Descriptor, Subscription]] = []
        for subscription in subscriptions:
            wanted = subscription.u
            if isinstance(wanted, SubscriptionUClockCase):
                clock = wanted.value
                delay = self._delay(clock)
                if clock.id in _GO_ON:
                    timers.append((delay, subscription, clock))
                else:
                    now = self.clocks.now[clock.id]
                    computing.append((now, now() + delay, subscription))
                continue
            writes = isinstance(wanted, SubscriptionUFdWriteCase)
            try:
                descriptor = self.table.open[wanted.value.file_descriptor]
                needed = _TO_WRITE if writes else _TO_READ
                if descriptor.rights & needed != needed:
                    raise WasiError(Errno.NOTCAPABLE)
                fd = descriptor.host_fd()
            except (WasiError, OSError) as error:
                events.append(_failed(subscription, writes, error))
                continue
            if fd is None:
                events.append(_ready(subscription, writes, descriptor, 0))
            else:
                waits.append((fd, writes, descriptor, subscription))
        return self._wait_for(events, timers, computing, waits)

    def _wait_for(
        self,
        events: list[Event],
        timers: list[tuple[int, Subscription, SubscriptionClock]],
        computing: list[tuple[Callable[[], int], int, Subscription]],
        waits: list[tuple[int, bool, Descriptor, Subscription]],
    ) -> list[Event]:
        """`events`, if there are some already, and what is ready besides; else what the wait ended with."""
        watched = [(fd, writes) for fd, writes, _, _ in waits]
        until = [(now, target) for now, target, _ in computing]
        settable = self.clocks.wall_is_set and any(_is_wall_time(clock) for _, _, clock in timers)
        while True:
            waited = min([delay for delay, _, _ in timers]) if timers else None
            if events or (until and _due(until)):
                waited = 0
            elif settable and waited is not None and waited <= self.max_sleep:
                waited = min(waited, _SLICE)
            found: Sequence[int] = ()
            if until and waited != 0:
                found, waited = self._compute(watched, waited, until)
            elif watched:
                found = self._wait(watched, waited)
            elif waited:
                self._rest(waited)
            for (_, writes, descriptor, subscription), state in zip(waits, found, strict=False):  # none if none waited
                if state:
                    events.append(_ready(subscription, writes, descriptor, state))
            if not (timers or computing):
                return events
            due = [subscription for now, target, subscription in computing if now() >= target]
            passed = waited or 0
            if not (events or due) or not passed:
                due += [
                    subscription
                    for delay, subscription, clock in timers
                    if delay <= passed and not (settable and _is_wall_time(clock) and self._delay(clock))
                ]
            events += [make(Event, (subscription.userdata, _SUCCESS, _CLOCK, _NOTHING)) for subscription in due]
            if events:
                return events
            timers = [
                (self._delay(clock) if _is_wall_time(clock) else delay - passed, subscription, clock)
                for delay, subscription, clock in timers
            ]

    def _sleep(self, clock: SubscriptionClock) -> None:
        """Until a time of a clock that goes on by itself."""
        delay = self._delay(clock)
        if not (self.clocks.wall_is_set and _is_wall_time(clock)):
            if delay:
                self._rest(delay)
            return
        while delay:
            self._check_sleep(delay)
            self._rest(min(delay, _SLICE))
            delay = self._delay(clock)

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

    def _wait(self, watched: Sequence[tuple[int, bool]], timeout: int | None) -> Sequence[int]:
        """`wait_for`. An embedder's way of sleeping has its own idea of time, so it is asked instead of the host."""
        really = self.clocks.sleeps_really
        if timeout is None or (really and timeout <= self.max_sleep):
            return wait_for(watched, timeout, self.deadline)
        found = wait_for(watched, 0, self.deadline)
        if not timeout or any(found):
            return found
        self._rest(timeout)
        return wait_for(watched, 0, self.deadline)

    def _compute(
        self, watched: Sequence[tuple[int, bool]], timeout: int | None, until: Sequence[tuple[Callable[[], int], int]]
    ) -> tuple[Sequence[int], int]:
        """Wait for a clock of the processor, which goes on only while something is computed: so it is.

        What `wait_for` would answer, and the `timeout` if all of it has passed, else 0.
        """
        found: Sequence[int] = ()
        if timeout is not None and not self.clocks.sleeps_really:
            found = self._wait(watched, timeout)
            return found, 0 if any(found) else timeout
        self._check_sleep(min(target - now() for now, target in until) if timeout is None else timeout)
        end = None if timeout is None else time.monotonic_ns() + timeout
        while True:
            if watched:
                found = wait_for(watched, 0, self.deadline)
            if any(found) or _due(until):
                return found, 0
            if end is not None and timeout is not None and time.monotonic_ns() >= end:
                return found, timeout
            if self.deadline.active:
                self.deadline.check()
            time.sleep(0)  # gives other threads their turn


def _is_wall_time(clock: SubscriptionClock) -> bool:
    return bool(clock.flags & _ABSOLUTE) and clock.id == _REALTIME


def _due(until: Sequence[tuple[Callable[[], int], int]]) -> bool:
    return any(now() >= target for now, target in until)


def _ready(subscription: Subscription, writes: bool, descriptor: Descriptor, state: int) -> Event:
    """`state` is what `wait_for` said, or 0 for what was ready without waiting."""
    if state & CLOSED:
        return _failed(subscription, writes, WasiError(Errno.BADF))
    gone = state & GONE
    if writes:
        kind, size = _WRITE, 1
    else:
        try:
            kind, size, gone = _READ, descriptor.available(), gone or descriptor.ended()
        except (WasiError, OSError) as error:
            return _failed(subscription, writes, error)
    return make(
        Event, (subscription.userdata, _SUCCESS, kind, make(EventFdReadwrite, (size, _HANGUP if gone else _QUIET)))
    )


def _failed(subscription: Subscription, writes: bool, error: WasiError | OSError) -> Event:
    errno = error.errno if isinstance(error, WasiError) else Errno(errno_of(error))
    return Event(subscription.userdata, errno, _WRITE if writes else _READ, _NOTHING)
