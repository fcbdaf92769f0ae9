"""Waits for host fds with poll(2).

Rules of this file: both the request and the result are a mapping from fds to event bits of poll(2). `READABLE` and
`WRITABLE` can be requested; these, `HANGUP` and `CLOSED` are reported. Names of `select` are bound once, because a
server polls before every piece that it moves.
"""

from __future__ import annotations

from wasihost.common.unpatched import select, time
from wasihost.errors import raise_if_from_handler
from wasihost.waiting.cancel_scope import CancelScope, longest_wait, milliseconds, raise_wait_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

READABLE: Final = select.POLLIN
WRITABLE: Final = select.POLLOUT
CLOSED: Final = select.POLLNVAL
"""The fd is not open."""
HANGUP: Final = select.POLLHUP | select.POLLERR
"""The other end was closed, or there is an error."""
ALWAYS_REPORTED: Final = HANGUP | CLOSED
"""Events that are reported whether they were requested or not."""

Events: TypeAlias = dict[int, int]

_new_poll = select.poll
_MILLISECOND = 1_000_000
_SELECT_MAX = 1024
"""FD_SETSIZE: select(2) takes no higher fd."""


class Poller:
    """Waits for one guest. A guest often waits for the same fds again, so the registration of the last wait is kept."""

    __slots__ = ("_poller", "_scope", "_wake", "_wanted")

    def __init__(self, scope: CancelScope) -> None:
        self._scope = scope
        self._wanted: Events = {}
        self._poller = _new_poll()
        self._wake = -1  # the scope's `wake_fd`, once it is registered too

    def wait(self, wanted: Events, timeout: int | None) -> Events:
        """Wait until an fd is ready, or for `timeout` ns; None for no limit. Returns the events of the ready fds.

        Raises the scope's reason if it expires or is cancelled before.
        """
        if wanted is not self._wanted and wanted != self._wanted:
            self._wanted, self._poller, self._wake = wanted, _new_poll(), -1
            for fd, mask in wanted.items():
                self._poller.register(fd, mask)
        try:
            found = dict(self._poller.poll(0))  # a busy server finds something here, and needs nothing more
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
    """poll(2) with a timeout in ns. poll rounds up to whole ms, so a guest's sleep of 1.2 ms would take 2: the last
    fraction is waited for with select(2), which counts in µs."""
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
            time.sleep(rest)  # so an event may be seen up to 1 ms late
        if found := poller.poll(0):
            return found
    return []


def bytes_to_read(fd: int) -> int:
    """ioctl(FIONREAD): the number of bytes that can be read from a pipe, a terminal or a socket; 0 if it is unknown."""
    global _fionread
    if _fionread is None:
        _fionread = _load_fionread()
    return _fionread(fd)


_fionread: Callable[[int], int] | None = None


def _load_fionread() -> Callable[[int], int]:
    """Make the function when it is first needed: most guests never poll."""
    import array
    from fcntl import ioctl
    from termios import FIONREAD

    new, zero = array.array, (0,)

    def fionread(fd: int) -> int:
        size = new("i", zero)  # one per call, because threads call this; half the cost of ioctl with bytes
        try:
            ioctl(fd, FIONREAD, size)
        except OSError as error:
            raise_if_from_handler(error)
            return 0
        return size[0]

    return fionread
