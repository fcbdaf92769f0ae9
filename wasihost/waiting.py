"""Waiting for host descriptors: `poll(2)` with what the guest wants to know of each."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from typing import Final

from wasihost.deadline import Deadline, milliseconds, raise_of_signals

CLOSED: Final = select.POLLNVAL
"""The descriptor is not open."""
GONE: Final = select.POLLHUP | select.POLLERR
"""The other end has gone, or there is an error."""

_IN, _OUT, _ANYWAY = select.POLLIN, select.POLLOUT, GONE | CLOSED
_MILLISECOND = 1_000_000
_SELECT_MAX = 1024
"""FD_SETSIZE: select(2) knows no higher descriptor."""


def wait_for(watched: Sequence[tuple[int, bool]], timeout: int | None, deadline: Deadline) -> list[int]:
    """Wait until one of the (fd, for writing) is ready, or for `timeout` ns; None waits as long as it takes.

    Raises the deadline's reason if that comes before.

    For each in order: 0 if it is not ready, else what poll(2) says of it, such as `GONE` and `CLOSED`.
    """
    poller = select.poll()
    interest: dict[int, int] = {}
    for fd, writes in watched:
        interest[fd] = interest.get(fd, 0) | (_OUT if writes else _IN)
    for fd, mask in interest.items():
        poller.register(fd, mask)
    try:
        found = dict(poller.poll(0))
        if not found and timeout != 0:
            found = _wait(poller, interest, timeout, deadline)
    except OSError as error:
        raise_of_signals(error)
    return [found.get(fd, 0) & ((_OUT if writes else _IN) | _ANYWAY) for fd, writes in watched]


def _wait(poller: select.poll, interest: dict[int, int], timeout: int | None, deadline: Deadline) -> dict[int, int]:
    wake = -1
    if deadline.active:
        wake = deadline.wake_fd()
        poller.register(wake, _IN)
        interest[wake] = _IN
    until = None if timeout is None else time.monotonic_ns() + timeout
    while True:
        left = None if until is None else max(0, until - time.monotonic_ns())
        end = deadline.left() if deadline.active else None
        if end is not None:
            left = end if left is None else min(left, end)
        found = dict(_poll(poller, interest, left))
        if found.pop(wake, 0):
            deadline.woken()
        elif deadline.active:
            deadline.check()
        if found or (until is not None and time.monotonic_ns() >= until):
            return found


def _poll(poller: select.poll, interest: Mapping[int, int], timeout: int | None) -> list[tuple[int, int]]:
    """`poller.poll`, whose timeout has whole milliseconds, to the ns: what is left of one is select(2)'s, which has
    microseconds. A guest's sleep of 1.2 ms would take 2."""
    if timeout is None:
        return poller.poll()
    until = time.monotonic_ns() + timeout
    whole = min(timeout // _MILLISECOND, milliseconds(timeout) or 0)
    if whole and (found := poller.poll(whole)):
        return found
    low = max(interest) < _SELECT_MAX
    reads = [fd for fd, mask in interest.items() if mask & _IN]
    writes = [fd for fd, mask in interest.items() if mask & _OUT]
    while (left := until - time.monotonic_ns()) > 0:
        rest = min(left, _MILLISECOND) / 1_000_000_000
        if low:
            select.select(reads, writes, [], rest)
        else:
            time.sleep(rest)  # so what comes now is seen up to a millisecond late
        if found := poller.poll(0):
            return found
    return []
