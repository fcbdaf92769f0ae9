"""`poll_oneoff`: wait until a time has come or a descriptor is ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

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

from wasihost.common.unpatched import time
from wasihost.descriptors.base import Descriptor
from wasihost.descriptors.oserrno import errno_of
from wasihost.descriptors.table import FdTable
from wasihost.errors import LimitExceeded
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.clocks import Clocks
from wasihost.waiting.poller import ALWAYS_REPORTED, CLOSED, HANGUP, READABLE, WRITABLE, Events, Poller

_QUIET = Eventrwflags(0)
_NOTHING = EventFdReadwrite(0, _QUIET)
_SUCCESS, _CLOCK, _READ, _WRITE = Errno.SUCCESS, Eventtype.CLOCK, Eventtype.FD_READ, Eventtype.FD_WRITE
_ABSOLUTE = Subclockflags.SUBSCRIPTION_CLOCK_ABSTIME
_REALTIME, _RUNNING_CLOCKS = Clockid.REALTIME, (Clockid.REALTIME, Clockid.MONOTONIC)
_AT_EOF = Eventrwflags.FD_READWRITE_HANGUP
_READING = int(Rights.POLL_FD_READWRITE | Rights.FD_READ)
_WRITING = int(Rights.POLL_FD_READWRITE | Rights.FD_WRITE)
_READ_EVENTS, _WRITE_EVENTS = READABLE | ALWAYS_REPORTED, WRITABLE | ALWAYS_REPORTED
_CACHED_POLLS, _CACHED_SIZE = 8, 512
"""Polls that are kept decoded, and how many subscriptions such a one has at most."""
_SLICE = 10_000_000_000
"""ns after which the system's wall clock is looked at again by who waits for a time of it: it may have been set."""

# How much the clock has to go on; whose it is; the clock.
_Timer: TypeAlias = tuple[int, int, SubscriptionClock]
# A clock of the processor, the time of it that is waited for, and whose it is.
_Computing: TypeAlias = tuple[Callable[[], int], int, int]
# Whose it is, whether for writing, and the guest's number of the descriptor.
_Polled: TypeAlias = tuple[int, bool, int]
# What is watched, whether for writing, what it is, and whose it is.
_Wait: TypeAlias = tuple[int, bool, Descriptor, int]

# Members of enums are bound to names above because a server polls before every piece that it moves.


class PollFunctions(PollHandlers):
    """Works on `table` and `clocks`. `polls` are those of late, by what lay in the guest's memory.

    A guest's number sizes nothing of the host's: at most `max_subscriptions` in one call, at most `max_sleep` ns.
    """

    __slots__ = ()

    table: FdTable
    clocks: Clocks
    scope: CancelScope
    max_sleep: int
    max_subscriptions: int
    met: set[str]
    polls: dict[bytes, list[_Polled]]
    poller: Poller

    def poll_oneoff(self, in_: ConstPointer[Subscription], out: Pointer[Event], nsubscriptions: Size) -> Size:
        # INVAL for no subscription, or too many; LimitExceeded for a wait longer than the limit.
        if not 0 < nsubscriptions <= self.max_subscriptions:
            if nsubscriptions:
                self.met.add("subscriptions")
            raise WasiError(Errno.INVAL)
        if nsubscriptions == 1 and not self.polls:  # so far it has only slept
            userdata, wanted = in_.load()
            if isinstance(wanted, SubscriptionUClockCase) and wanted.value.id in _RUNNING_CLOCKS:
                self._sleep(wanted.value)
                out.store(make(Event, (userdata, _SUCCESS, _CLOCK, _NOTHING)))
                return 1
        events = self._events(in_, nsubscriptions)
        out.write(events)
        return len(events)

    def _events(self, in_: ConstPointer[Subscription], count: Size) -> list[Event]:
        """A server asks for the same again and again, and decoding is most of what that costs: it is done once."""
        if count > _CACHED_SIZE:
            return self._decoded(in_.read(count))
        image = in_.raw_bytes(count)
        polls = self.polls.get(image)
        if polls is not None:
            return self._without_clocks(polls)
        subscriptions = in_.read(count)
        if any(isinstance(one.u, SubscriptionUClockCase) for one in subscriptions):
            return self._decoded(subscriptions)
        if len(self.polls) >= _CACHED_POLLS:
            self.polls.clear()
        polls = self.polls[image] = [_polled(one) for one in subscriptions]
        return self._without_clocks(polls)

    def _decoded(self, subscriptions: Sequence[Subscription]) -> list[Event]:
        polls: list[_Polled] = []
        timers: list[_Timer] = []
        computing: list[_Computing] = []
        for one in subscriptions:
            userdata, wanted = one
            if not isinstance(wanted, SubscriptionUClockCase):
                polls.append(_polled(one))
                continue
            clock = wanted.value
            delay = self._delay(clock)
            if clock.id in _RUNNING_CLOCKS:
                timers.append((delay, userdata, clock))
            else:
                now = self.clocks.now[clock.id]
                computing.append((now, now() + delay, userdata))
        if timers or computing:
            return self._with_clocks(timers, computing, polls)
        return self._without_clocks(polls)

    def _without_clocks(self, polls: Sequence[_Polled]) -> list[Event]:
        events, waits, wanted = self._watch(polls)
        if waits:
            _collect(events, waits, self.poller.wait(wanted, 0 if events else None))
        return events

    def _watch(self, polls: Sequence[_Polled]) -> tuple[list[Event], list[_Wait], Events]:
        """What is ready or wrong at once, and what is to be waited for."""
        events: list[Event] = []
        waits: list[_Wait] = []
        wanted: Events = {}
        table = self.table.open
        for userdata, writes, number in polls:
            try:
                descriptor = table[number]
                needed = _WRITING if writes else _READING
                if descriptor.rights & needed != needed:
                    raise WasiError(Errno.NOTCAPABLE)
                fd = descriptor.host_fd()
            except (WasiError, OSError) as error:
                events.append(_failed(userdata, writes, error))
                continue
            if fd is None:
                events.append(_ready(userdata, writes, descriptor, 0))
            else:
                mask = WRITABLE if writes else READABLE
                wanted[fd] = wanted[fd] | mask if fd in wanted else mask
                waits.append((fd, writes, descriptor, userdata))
        return events, waits, wanted

    def _with_clocks(self, timers: list[_Timer], computing: list[_Computing], polls: Sequence[_Polled]) -> list[Event]:
        """What is ready or wrong at once; else what the wait ended with."""
        events, waits, wanted = self._watch(polls)
        until = [(now, target) for now, target, _ in computing]
        settable = self.clocks.wall_is_set and any(_is_wall_time(clock) for _, _, clock in timers)
        while True:
            waited = min([delay for delay, _, _ in timers]) if timers else None
            if events or (until and _due(until)):
                waited = 0
            elif settable and waited is not None and waited <= self.max_sleep:
                waited = min(waited, _SLICE)
            if until and waited != 0:
                found, waited = self._compute(wanted, waited, until)
                _collect(events, waits, found)
            elif wanted:
                _collect(events, waits, self._wait(wanted, waited))
            elif waited:
                self._rest_for(waited)
            due = [userdata for now, target, userdata in computing if now() >= target]
            passed = waited or 0
            if not (events or due) or not passed:
                due += [
                    userdata
                    for delay, userdata, clock in timers
                    if delay <= passed and not (settable and _is_wall_time(clock) and self._delay(clock))
                ]
            events += [make(Event, (userdata, _SUCCESS, _CLOCK, _NOTHING)) for userdata in due]
            if events:
                return events
            timers = [
                (self._delay(clock) if _is_wall_time(clock) else delay - passed, userdata, clock)
                for delay, userdata, clock in timers
            ]

    def _sleep(self, clock: SubscriptionClock) -> None:
        """Until a time of a clock that goes on by itself."""
        delay = self._delay(clock)
        if not (self.clocks.wall_is_set and _is_wall_time(clock)):
            if delay:
                self._rest_for(delay)
            return
        while delay:
            self._check_sleep(delay)
            self._rest_for(min(delay, _SLICE))
            delay = self._delay(clock)

    def _rest_for(self, duration: int) -> None:
        """Sleep in the guest's way, which may be the embedder's."""
        self._check_sleep(duration)
        self.clocks.sleep(duration)
        if self.scope.active:
            self.scope.check()

    def _check_sleep(self, duration: int) -> None:
        if duration > self.max_sleep:
            self.met.add("sleep")
            raise LimitExceeded("sleep", f"the guest wanted to sleep {duration / 1_000_000_000:g} seconds")

    def _delay(self, clock: SubscriptionClock) -> int:
        """How much the clock has to go on until the time has come, in ns."""
        if clock.flags & _ABSOLUTE:
            return max(0, clock.timeout - self.clocks.now[clock.id]())
        return clock.timeout

    def _wait(self, wanted: Events, timeout: int | None) -> Events:
        """`Poller.wait`. An embedder's way of sleeping has its own idea of time, so it is asked instead of the host."""
        if timeout is None or (self.clocks.sleeps_really and timeout <= self.max_sleep):
            return self.poller.wait(wanted, timeout)
        found = self.poller.wait(wanted, 0)
        if found or not timeout:
            return found
        self._rest_for(timeout)
        return self.poller.wait(wanted, 0)

    def _compute(
        self, wanted: Events, timeout: int | None, until: Sequence[tuple[Callable[[], int], int]]
    ) -> tuple[Events, int]:
        """Wait for a clock of the processor, which goes on only while something is computed: so it is.

        What `Poller.wait` would answer, and the `timeout` if all of it has passed, else 0.
        """
        if timeout is not None and not self.clocks.sleeps_really:
            found = self._wait(wanted, timeout)
            return found, 0 if found else timeout
        self._check_sleep(min(target - now() for now, target in until) if timeout is None else timeout)
        end = None if timeout is None else time.monotonic_ns() + timeout
        while True:
            found = self.poller.wait(wanted, 0) if wanted else {}
            if found or _due(until):
                return found, 0
            if end is not None and timeout is not None and time.monotonic_ns() >= end:
                return found, timeout
            if self.scope.active:
                self.scope.check()
            time.sleep(0)  # gives other threads their turn


def _polled(subscription: Subscription) -> _Polled:
    userdata, wanted = subscription
    assert not isinstance(wanted, SubscriptionUClockCase)
    return userdata, isinstance(wanted, SubscriptionUFdWriteCase), wanted.value.file_descriptor


def _is_wall_time(clock: SubscriptionClock) -> bool:
    return bool(clock.flags & _ABSOLUTE) and clock.id == _REALTIME


def _due(until: Sequence[tuple[Callable[[], int], int]]) -> bool:
    return any(now() >= target for now, target in until)


def _collect(events: list[Event], waits: list[_Wait], found: Events) -> None:
    """What was found, of each that waited for it."""
    for fd, writes, descriptor, userdata in waits:
        state = found.get(fd)
        if state and (state := state & (_WRITE_EVENTS if writes else _READ_EVENTS)):
            events.append(_ready(userdata, writes, descriptor, state))


def _ready(userdata: int, writes: bool, descriptor: Descriptor, state: int) -> Event:
    """`state` is what `poller` reported, or 0 for what was ready without waiting."""
    if state & CLOSED:
        return _failed(userdata, writes, WasiError(Errno.BADF))
    gone = state & HANGUP
    if writes:
        return make(Event, (userdata, _SUCCESS, _WRITE, make(EventFdReadwrite, (1, _AT_EOF if gone else _QUIET))))
    try:
        size, flags = descriptor.available(), _AT_EOF if gone or descriptor.at_eof() else _QUIET
    except (WasiError, OSError) as error:
        return _failed(userdata, writes, error)
    return make(Event, (userdata, _SUCCESS, _READ, make(EventFdReadwrite, (size, flags))))


def _failed(userdata: int, writes: bool, error: WasiError | OSError) -> Event:
    errno = error.errno if isinstance(error, WasiError) else Errno(errno_of(error))
    return Event(userdata, errno, _WRITE if writes else _READ, _NOTHING)
