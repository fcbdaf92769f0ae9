"""Waiting for host descriptors: `poll(2)` with what the guest wants to know of each.

Rules of this file: what is wanted, and what comes back, is a mapping from descriptors to bits of poll(2): `READABLE`
and `WRITABLE` are wanted; these, `HANGUP` and `CLOSED` come back. Names of `select` are bound once: a server polls
before every piece that it moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from wasihost.common.unpatched import select, time
from wasihost.waiting.cancel_scope import CancelScope, longest_wait, milliseconds, raise_wait_error

READABLE: Final = select.POLLIN
WRITABLE: Final = select.POLLOUT
CLOSED: Final = select.POLLNVAL
"""The descriptor is not open."""
HANGUP: Final = select.POLLHUP | select.POLLERR
"""The other end has gone, or there is an error."""
ALWAYS_REPORTED: Final = HANGUP | CLOSED
"""What comes back whether it was wanted or not."""

Events: TypeAlias = dict[int, int]

_new_poll = select.poll
_MILLISECOND = 1_000_000
_SELECT_MAX = 1024
"""FD_SETSIZE: select(2) knows no higher descriptor."""


class Poller:
    """Waits for one guest, which often waits for the same again: what was registered for the last wait is kept."""

    __slots__ = ("_poller", "_scope", "_wake", "_wanted")

    def __init__(self, scope: CancelScope) -> None:
        self._scope = scope
        self._wanted: Events = {}
        self._poller = _new_poll()
        self._wake = -1  # the scope's `wake_fd`, once it is registered too

    def wait(self, wanted: Events, timeout: int | None) -> Events:
        """Wait until one is ready, or for `timeout` ns; None waits as long as it takes. What is ready.

        Raises the scope's reason if it expires or is cancelled before.
        """
        if wanted != self._wanted:
            self._wanted, self._poller, self._wake = wanted, _new_poll(), -1
            for fd, mask in wanted.items():
                self._poller.register(fd, mask)
        try:
            found = dict(self._poller.poll(0))  # who is busy finds something, and needs no more than this
            found.pop(self._wake, 0)
            if found or timeout == 0:
                return found
            if self._scope.active:
                return self._wait(timeout)
            return dict(_poll(self._poller, wanted, timeout))
        except OSError as error:
            raise_wait_error(error)

    def _wait(self, timeout: int | None) -> Events:
        """Wait for the scope's `wake_fd` as well, so that cancelling the guest ends the wait."""
        scope = self._scope
        if self._wake < 0:
            self._wake = scope.wake_fd()
            self._poller.register(self._wake, READABLE)
        watched = {**self._wanted, self._wake: READABLE}
        until = None if timeout is None else time.monotonic_ns() + timeout
        while True:
            left = None if until is None else max(0, until - time.monotonic_ns())
            if scope.expires is not None:
                end = scope.remaining()
                left = end if left is None or (end is not None and end < left) else left
            found = dict(_poll(self._poller, watched, left))
            if found.pop(self._wake, 0):
                scope.drain_wakeup()
            elif not found:
                scope.check()
            if found or (until is not None and time.monotonic_ns() >= until):
                return found


def _poll(poller: select.poll, wanted: Events, timeout: int | None) -> list[tuple[int, int]]:
    """`poller.poll`, whose timeout has whole milliseconds, to the ns: what is left of one is select(2)'s, which has
    microseconds. A guest's sleep of 1.2 ms would take 2."""
    most = longest_wait()
    if timeout is None:
        while not (found := poller.poll(milliseconds(most))):
            pass
        return found
    until = time.monotonic_ns() + timeout
    if most is not None:
        while timeout > most:
            if found := poller.poll(milliseconds(most)):
                return found
            timeout = max(0, until - time.monotonic_ns())
    if found := poller.poll(min(timeout // _MILLISECOND, milliseconds(timeout) or 0)):
        return found
    low = max(wanted) < _SELECT_MAX
    reads = [fd for fd, mask in wanted.items() if mask & READABLE]
    writes = [fd for fd, mask in wanted.items() if mask & WRITABLE]
    while (left := until - time.monotonic_ns()) > 0:
        rest = min(left, _MILLISECOND) / 1_000_000_000
        if low:
            select.select(reads, writes, [], rest)
        else:
            time.sleep(rest)  # so what comes now is seen up to a millisecond late
        if found := poller.poll(0):
            return found
    return []


def bytes_to_read(fd: int) -> int:
    """ioctl(FIONREAD): how much a pipe, a terminal or a socket has; 0 for what cannot say."""
    global _fionread
    if _fionread is None:
        _fionread = _load_fionread()
    return _fionread(fd)


_fionread: Callable[[int], int] | None = None


def _load_fionread() -> Callable[[int], int]:
    """Only when something is polled, which most guests never do."""
    import array
    from fcntl import ioctl
    from termios import FIONREAD

    new, zero = array.array, (0,)

    def fionread(fd: int) -> int:
        size = new("i", zero)  # one of its own: other threads ask too. Half of what ioctl costs with bytes
        try:
            ioctl(fd, FIONREAD, size)
        except OSError:
            return 0
        return size[0]

    return fionread
