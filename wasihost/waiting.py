"""Waiting for host descriptors: `poll(2)` with what the guest wants to know of each."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

from wasihost.deadline import Deadline, milliseconds

_MILLISECOND = 1_000_000
_SELECT_MAX = 1024
"""FD_SETSIZE: select(2) knows no higher descriptor."""


def wait_for(watched: Sequence[tuple[int, bool]], timeout: int | None, deadline: Deadline) -> list[bool | None]:
    """Wait until one of the (fd, for writing) is ready, or for `timeout` ns; None waits as long as it takes.

    Raises the deadline's reason if that comes before.

    For each in order: None if it is not ready, else whether the other end has gone.
    """
    poller = select.poll()
    interest: dict[int, int] = {}
    for fd, writes in watched:
        interest[fd] = interest.get(fd, 0) | (select.POLLOUT if writes else select.POLLIN)
    for fd, mask in interest.items():
        poller.register(fd, mask)
    found = dict(poller.poll(0))
    if not found and timeout != 0:
        if deadline.active:
            left = deadline.left()
            if left is not None:
                timeout = left if timeout is None else min(timeout, left)
            wake = deadline.wake_fd()
            poller.register(wake, select.POLLIN)
            interest[wake] = select.POLLIN
        found = dict(_poll(poller, interest, timeout))
        if deadline.active:
            deadline.check()
    out: list[bool | None] = []
    for fd, writes in watched:
        state = found.get(fd, 0)
        gone = bool(state & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
        out.append(gone if gone or state & (select.POLLOUT if writes else select.POLLIN) else None)
    return out


def _poll(poller: select.poll, interest: dict[int, int], timeout: int | None) -> list[tuple[int, int]]:
    """`poller.poll`, whose timeout has whole milliseconds, to the ns: what is left of one is select(2)'s, which has
    microseconds. A guest's sleep of 1.2 ms would take 2."""
    if timeout is None or max(interest) >= _SELECT_MAX:
        return poller.poll(milliseconds(timeout))
    until = time.monotonic_ns() + timeout
    whole = min(timeout // _MILLISECOND, 2**31 - 1)
    if whole and (found := poller.poll(whole)):
        return found
    while (left := until - time.monotonic_ns()) > 0:
        reads = [fd for fd, mask in interest.items() if mask & select.POLLIN]
        writes = [fd for fd, mask in interest.items() if mask & select.POLLOUT]
        select.select(reads, writes, [], min(left, _MILLISECOND) / 1_000_000_000)
        if found := poller.poll(0):
            return found
    return []
