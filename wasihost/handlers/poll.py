"""`poll_oneoff`: wait until a time has come or a descriptor is ready."""

from __future__ import annotations

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
            if isinstance(wanted, SubscriptionUClockCase):
                out.store(self._sleep(userdata, wanted.value))
                return 1
        subscriptions = in_.read(nsubscriptions)
        events: list[Event] = []
        timers: list[tuple[int, Subscription]] = []
        waits: list[tuple[int, bool, Subscription]] = []
        for subscription in subscriptions:
            try:
                if isinstance(subscription.u, SubscriptionUClockCase):
                    timers.append((self._delay(subscription.u.value), subscription))
                else:
                    writes = subscription.u.tag == Eventtype.FD_WRITE
                    descriptor = self._watched(subscription.u.value.file_descriptor, writes)
                    fd = descriptor.host_fd()
                    if fd is None:
                        events.append(_ready(subscription, descriptor.available() if not writes else 1, False))
                    else:
                        waits.append((fd, writes, subscription))
            except WasiError as error:
                events.append(Event(subscription.userdata, error.errno, subscription.u.tag, _NOTHING))
        shortest = min((delay for delay, _ in timers), default=None)
        waited: int | None = 0 if events else shortest
        if waits:
            found = self._wait([(fd, writes) for fd, writes, _ in waits], waited)
            for (_, _, subscription), answer in zip(waits, found, strict=True):
                if answer is not None:
                    events.append(_ready(subscription, *answer))
        elif waited:
            self._rest(waited)
        if not events or not waited:
            for delay, subscription in timers:
                if delay <= (waited or 0):
                    events.append(make(Event, (subscription.userdata, _SUCCESS, _CLOCK, _NOTHING)))
        out.write(events)
        return len(events)

    def _sleep(self, userdata: int, clock: SubscriptionClock) -> Event:
        """One timer and nothing else: what a guest's `sleep` asks for, and worth a short way."""
        try:
            delay = self._delay(clock)
        except WasiError as error:
            return Event(userdata, error.errno, _CLOCK, _NOTHING)
        if delay:
            self._rest(delay)
        return make(Event, (userdata, _SUCCESS, _CLOCK, _NOTHING))

    def _rest(self, duration: int) -> None:
        """Sleep in the guest's way, which may be the embedder's."""
        if duration > self.max_sleep:
            raise LimitExceeded("sleep", f"the guest wanted to sleep {duration / 1_000_000_000:g} seconds")
        self.clocks.sleep(duration)
        if self.deadline.active:
            self.deadline.check()

    def _delay(self, clock: SubscriptionClock) -> int:
        """How long until the time has come, in ns; INVAL for a clock that does not go on while one waits."""
        if clock.id not in _GO_ON:
            raise WasiError(Errno.INVAL)
        if clock.flags & _ABSOLUTE:
            return max(0, clock.timeout - self.clocks.now[clock.id]())
        return clock.timeout

    def _wait(self, watched: list[tuple[int, bool]], timeout: int | None) -> list[tuple[int, bool] | None]:
        """`wait_for`. An embedder's way of sleeping has its own idea of time, so it is asked instead of the host."""
        if timeout is not None and timeout > self.max_sleep:
            raise LimitExceeded("sleep", f"the guest wanted to wait {timeout / 1_000_000_000:g} seconds")
        if not timeout or self.clocks.sleeps_really:
            return wait_for(watched, timeout, self.deadline)
        found = wait_for(watched, 0, self.deadline)
        if any(found):
            return found
        self._rest(timeout)
        return wait_for(watched, 0, self.deadline)

    def _watched(self, fd: Fd, writes: bool) -> Descriptor:
        """The descriptor to wait for; NOTCAPABLE if it may not be waited for, or not be used for that either."""
        descriptor = self.table.get(fd)
        if not descriptor.rights & Rights.POLL_FD_READWRITE:
            raise WasiError(Errno.NOTCAPABLE)
        if not descriptor.rights & (Rights.FD_WRITE if writes else Rights.FD_READ):
            raise WasiError(Errno.NOTCAPABLE)
        return descriptor


def _ready(subscription: Subscription, available: int, hangup: bool) -> Event:
    state = make(EventFdReadwrite, (available, _HANGUP if hangup else _QUIET))
    return make(Event, (subscription.userdata, _SUCCESS, subscription.u.tag, state))
