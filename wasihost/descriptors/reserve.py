"""Keeps some fds of this process free for the program around the guests, and for other guests.

POSIX returns the lowest free fd. So an fd near the process limit (RLIMIT_NOFILE) shows that the process is running out
of fds, whatever part of the program holds the others.

Rules of this file: nothing here costs time until fds get high, and nothing is refused that the OS would not refuse
soon.
"""

from __future__ import annotations

import os

from wasihost.errors import raise_if_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_MOST: Final = 64
_LEAST: Final = 4
_PART: Final = 8
"""One part in `_PART` of the limit is kept free, but at least `_LEAST` and at most `_MOST` fds."""


class Reserve:
    """What is known of this process' fds. `high` is the highest fd that a guest got; `tight`: few are left, so each
    open has to check."""

    __slots__ = ("high", "tight")

    def __init__(self) -> None:
        self.high: int = 7
        self.tight: bool = False

    def note(self, fd: int) -> None:
        """Record that a guest got a higher fd than any before."""
        self.high = fd
        self.tight = fd + 1 >= _own_share(_limit())

    def leaves_one(self, held: Callable[[], int]) -> bool:
        """True if a guest that holds `held()` fds may open one more.

        Not if only the reserved fds are left, nor if few are left and this guest holds half of the limit or more.
        """
        limit = _limit()
        try:
            fd = os.open("/", os.O_RDONLY)
        except OSError as error:
            raise_if_from_handler(error)
            return False
        os.close(fd)
        if fd < _own_share(limit):
            self.high, self.tight = fd, False
            return True
        return fd < limit - max(_LEAST, min(_MOST, limit // _PART)) and held() < limit // 2


def _own_share(limit: int) -> int:
    """Below this fd nothing is checked."""
    return limit // 4 * 3


def _limit() -> int:
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit  # few runs need it
    except ImportError:  # no such limits on this system
        return 1 << 30
    soft = getrlimit(RLIMIT_NOFILE)[0]
    return 1 << 30 if soft == RLIM_INFINITY else soft


reserve: Final = Reserve()
