"""`poll_oneoff`: wait for clocks and descriptors.

Rules of this file: what a server needs at each poll for descriptors alone is decoded and looked up once, kept, and made
of plain tuples and names bound once, because a server polls before every piece that it moves; clocks may cost more.
What was looked up is kept by the table, which forgets it at every change.
"""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.guest import ConstPointer, Pointer, make
from wasi_preview1.handlers import PollHandlers
from wasi_preview1.light_typing import NamedTuple
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
from wasihost.errors import LimitExceeded, raise_if_from_handler
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.clocks import Clocks
from wasihost.waiting.poller import ALWAYS_REPORTED, CLOSED, HANGUP, READABLE, WRITABLE, Events, Poller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

_QUIET = Eventrwflags(0)
_NOTHING = EventFdReadwrite(0, _QUIET)
_SUCCESS, _CLOCK, _READ, _WRITE = Errno.SUCCESS, Eventtype.CLOCK, Eventtype.FD_READ, Eventtype.FD_WRITE
_ABSOLUTE = Subclockflags.SUBSCRIPTION_CLOCK_ABSTIME
_REALTIME, _RUNNING_CLOCKS = Clockid.REALTIME, (Clockid.REALTIME, Clockid.MONOTONIC)
_AT_EOF = Eventrwflags.FD_READWRITE_HANGUP
_READING = int(Rights.POLL_FD_READWRITE | Rights.FD_READ)
_WRITING = int(Rights.POLL_FD_READWRITE | Rights.FD_WRITE)
_CACHED_POLLS, _CACHED_SIZE = 8, 512
"""The number of decoded polls that are kept, and the most subscriptions that such a poll may have."""
_WALL_CLOCK_CHECK = 10_000_000_000
"""The longest single wait for a wall-clock time, in ns; then the clock is read again, since it may have been set."""


class _Timer(NamedTuple):
    """A subscription to a clock that runs by itself."""

    remaining_ns: int
    userdata: int
    clock: SubscriptionClock


class _CpuTimer(NamedTuple):
    """A subscription to a CPU-time clock, which runs only while something is computed."""

    now: Callable[[], int]
    target_ns: int
    userdata: int


_Polled: TypeAlias = tuple[int, bool, int]
"""A decoded subscription to a descriptor: userdata, True for writing, the guest's number of the descriptor."""
_Wait: TypeAlias = tuple[int, int, Descriptor, int]
"""A descriptor to wait for: its place among the subscriptions, the events of poll(2) that count, the descriptor,
userdata."""
_Waits: TypeAlias = dict[int, list[_Wait]]
"""What to wait for, by host fd."""
_Watched: TypeAlias = tuple[Events, _Waits, list[tuple[int, Descriptor]]]
"""A poll that only waits: the events wanted of each host fd, for what, and the host fds that may change with their
descriptors."""


class PollFunctions(PollHandlers):
    """Works on `table` and `clocks`. `polls` are recent polls, decoded, by the bytes of their subscriptions.

    A guest can use at most `max_subscriptions` in one call, and wait for at most `max_sleep` ns.
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
        if nsubscriptions == 1 and not self.polls:  # so far the guest has only slept
            userdata, wanted = in_.load()
            if isinstance(wanted, SubscriptionUClockCase) and wanted.value.id in _RUNNING_CLOCKS:
                self._sleep(wanted.value)
                out.store(make(Event, (userdata, _SUCCESS, _CLOCK, _NOTHING)))
                return 1
        events = self._events(in_, nsubscriptions)
        out.write(events)
        return len(events)

    def _events(self, in_: ConstPointer[Subscription], count: Size) -> list[Event]:
        """Decode and poll. A server polls for the same again and again, and decoding is most of the cost: it is done
        once."""
        if count > _CACHED_SIZE:
            return self._decoded(in_.read(count))
        key = in_.raw_bytes(count)
        watched: _Watched | None = self.table.watched.get(key)
        if watched is not None and _still_valid(watched[2]):
            events: list[Event] = []
            _collect(events, watched[1], self.poller.wait(watched[0], None))
            return events
        polls = self.polls.get(key)
        if polls is not None:
            return self._without_clocks(polls, key)
        subscriptions = in_.read(count)
        if any(isinstance(one.u, SubscriptionUClockCase) for one in subscriptions):
            return self._decoded(subscriptions)
        if len(self.polls) >= _CACHED_POLLS:
            self.polls.clear()
            self.table.watched.clear()
        polls = self.polls[key] = [_polled(one) for one in subscriptions]
        return self._without_clocks(polls, key)

    def _decoded(self, subscriptions: Sequence[Subscription]) -> list[Event]:
        polls: list[_Polled] = []
        timers: list[_Timer] = []
        cpu_timers: list[_CpuTimer] = []
        for one in subscriptions:
            userdata, wanted = one
            if not isinstance(wanted, SubscriptionUClockCase):
                polls.append(_polled(one))
                continue
            clock = wanted.value
            delay = self._delay(clock)
            if clock.id in _RUNNING_CLOCKS:
                timers.append(make(_Timer, (delay, userdata, clock)))
            else:
                now = self.clocks.now[clock.id]
                cpu_timers.append(make(_CpuTimer, (now, now() + delay, userdata)))
        if timers or cpu_timers:
            return self._with_clocks(timers, cpu_timers, polls)
        return self._without_clocks(polls, None)

    def _without_clocks(self, polls: Sequence[_Polled], key: bytes | None) -> list[Event]:
        events, waits, wanted = self._watch(polls)
        if waits:
            if key is not None and not events:
                changing = [(fd, one[2]) for fd, some in waits.items() for one in some if not one[2].FIXED_FD]
                self.table.watched[key] = (wanted, waits, changing)
            _collect(events, waits, self.poller.wait(wanted, 0 if events else None))
        return events

    def _watch(self, polls: Sequence[_Polled]) -> tuple[list[Event], _Waits, Events]:
        """Return the events that are ready or failed at once, the descriptors to wait for, and their poll(2) events."""
        events: list[Event] = []
        waits: _Waits = {}
        wanted: Events = {}
        table = self.table.open
        for place, (userdata, writes, number) in enumerate(polls):
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
                continue
            mask = WRITABLE if writes else READABLE
            wait = place, mask | ALWAYS_REPORTED, descriptor, userdata
            if fd in wanted:
                wanted[fd] |= mask
                waits[fd].append(wait)
            else:
                wanted[fd] = mask
                waits[fd] = [wait]
        return events, waits, wanted

    def _with_clocks(self, timers: list[_Timer], cpu_timers: list[_CpuTimer], polls: Sequence[_Polled]) -> list[Event]:
        """Return the events that are ready or failed at once; if there are none, those with which the wait ends."""
        events, waits, wanted = self._watch(polls)
        until = [(now, target) for now, target, _ in cpu_timers]
        settable = self.clocks.wall_is_set and any(_is_wall_time(clock) for _, _, clock in timers)
        while True:
            waited = min([delay for delay, _, _ in timers]) if timers else None
            if events or (until and _due(until)):
                waited = 0
            elif settable and waited is not None and waited <= self.max_sleep:
                waited = min(waited, _WALL_CLOCK_CHECK)
            if until and waited != 0:
                found, waited = self._compute(wanted, waited, until)
                _collect(events, waits, found)
            elif wanted:
                _collect(events, waits, self._wait(wanted, waited))
            elif waited:
                self._rest_for(waited)
            due = [userdata for now, target, userdata in cpu_timers if now() >= target]
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
                _Timer(self._delay(clock) if _is_wall_time(clock) else delay - passed, userdata, clock)
                for delay, userdata, clock in timers
            ]

    def _sleep(self, clock: SubscriptionClock) -> None:
        """Sleep until a time of a clock that runs by itself."""
        delay = self._delay(clock)
        if not (self.clocks.wall_is_set and _is_wall_time(clock)):
            if delay:
                self._rest_for(delay)
            return
        while delay:
            self._check_sleep(delay)
            self._rest_for(min(delay, _WALL_CLOCK_CHECK))
            delay = self._delay(clock)

    def _rest_for(self, duration: int) -> None:
        """Sleep as the config says: with the embedder's function, or in the scope."""
        self._check_sleep(duration)
        self.clocks.sleep(duration)
        if self.scope.active:
            self.scope.check()

    def _check_sleep(self, duration: int) -> None:
        if duration > self.max_sleep:
            self.met.add("sleep")
            raise LimitExceeded("sleep", f"the guest wanted to sleep {duration / 1_000_000_000:g} seconds")

    def _delay(self, clock: SubscriptionClock) -> int:
        """The time in ns until the subscription is due."""
        if clock.flags & _ABSOLUTE:
            return max(0, clock.timeout - self.clocks.now[clock.id]())
        return clock.timeout

    def _wait(self, wanted: Events, timeout: int | None) -> Events:
        """`Poller.wait`, or the embedder's function for sleeping, if there is one: its clock is not the host's."""
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
        """Wait for a CPU-time clock. It runs only while something is computed, so this loop computes.

        Returns what `Poller.wait` would return, and `timeout` if all of it has passed, otherwise 0.
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
            time.sleep(0)  # lets other threads run


def _polled(subscription: Subscription) -> _Polled:
    userdata, wanted = subscription
    assert not isinstance(wanted, SubscriptionUClockCase)
    return userdata, isinstance(wanted, SubscriptionUFdWriteCase), wanted.value.file_descriptor


def _is_wall_time(clock: SubscriptionClock) -> bool:
    return bool(clock.flags & _ABSOLUTE) and clock.id == _REALTIME


def _due(until: Sequence[tuple[Callable[[], int], int]]) -> bool:
    return any(now() >= target for now, target in until)


def _still_valid(changing: list[tuple[int, Descriptor]]) -> bool:
    """Whether these descriptors still wait for these host fds."""
    try:
        for fd, descriptor in changing:
            if descriptor.host_fd() != fd:
                return False
    except (WasiError, OSError) as error:
        raise_if_from_handler(error)
        return False
    return True


def _collect(events: list[Event], waits: _Waits, found: Events) -> None:
    """Add an event for each descriptor that was waited for and is ready, in the order of the subscriptions."""
    ready = [(wait, state & wait[1]) for fd, state in found.items() for wait in waits[fd] if state & wait[1]]
    if len(ready) > 1:
        ready.sort(key=_first)
    for (_, mask, descriptor, userdata), state in ready:
        events.append(_ready(userdata, bool(mask & WRITABLE), descriptor, state))


def _first(ready: tuple[_Wait, int]) -> int:
    return ready[0][0]


def _ready(userdata: int, writes: bool, descriptor: Descriptor, state: int) -> Event:
    """Make the event of a ready descriptor. `state` are the events of poll(2), or 0 if it was ready without waiting."""
    if state & CLOSED:
        return _failed(userdata, writes, WasiError(Errno.BADF))
    hangup = state & HANGUP
    if writes:
        return make(Event, (userdata, _SUCCESS, _WRITE, make(EventFdReadwrite, (1, _AT_EOF if hangup else _QUIET))))
    try:
        size, flags = descriptor.available(), _AT_EOF if hangup or descriptor.at_eof() else _QUIET
    except (WasiError, OSError) as error:
        return _failed(userdata, writes, error)
    return make(Event, (userdata, _SUCCESS, _READ, make(EventFdReadwrite, (size, flags))))


def _failed(userdata: int, writes: bool, error: WasiError | OSError) -> Event:
    errno = error.errno if isinstance(error, WasiError) else Errno(errno_of(error))
    return Event(userdata, errno, _WRITE if writes else _READ, _NOTHING)
