"""Waiting for host descriptors: `poll(2)` with what the guest wants to know of each."""

from __future__ import annotations

import select
from collections.abc import Sequence

from wasihost.deadline import Deadline, milliseconds


def wait_for(
    watched: Sequence[tuple[int, bool]], timeout: int | None, deadline: Deadline
) -> list[tuple[int, bool] | None]:
    """Wait until one of the (fd, for writing) is ready, or for `timeout` ns; None waits as long as it takes.

    Raises the deadline's reason if that comes before.

    For each in order: None if it is not ready, else how many bytes are there to read (1 for writing) and whether the
    other end has gone.
    """
    poller = select.poll()
    interest: dict[int, int] = {}
    for fd, writes in watched:
        interest[fd] = interest.get(fd, 0) | (select.POLLOUT if writes else select.POLLIN)
    for fd, mask in interest.items():
        poller.register(fd, mask)
    found = dict(poller.poll(0 if deadline.active else milliseconds(timeout)))
    if not found and timeout != 0 and deadline.active:
        left = deadline.left()
        if left is not None:
            timeout = left if timeout is None else min(timeout, left)
        wake = deadline.wake_fd()
        poller.register(wake, select.POLLIN)
        found = dict(poller.poll(milliseconds(timeout)))
        deadline.check()
    out: list[tuple[int, bool] | None] = []
    for fd, writes in watched:
        state = found.get(fd, 0)
        gone = bool(state & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
        if not gone and not state & (select.POLLOUT if writes else select.POLLIN):
            out.append(None)
        else:
            out.append((1 if writes else _readable(fd), gone))
    return out


def _readable(fd: int) -> int:
    """FIONREAD; 0 at the end or where the host cannot say."""
    import array
    import fcntl
    import termios

    count = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]
