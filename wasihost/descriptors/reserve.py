"""The descriptors of this process that guests do not get: the program around them, and other guests, need some too.

POSIX gives the lowest free number to whatever is opened. So a number near the process' limit (RLIMIT_NOFILE) says that
the process is short of them, whoever has the others.

Rules of this file: nothing here costs anything before the numbers get high, and nothing is refused that the system
would not refuse soon.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

_MOST: Final = 64
_LEAST: Final = 4
_PART: Final = 8
"""A process of few descriptors keeps such a part of them, one of many `_MOST`."""


class Reserve:
    """What is known of this process' descriptors. `high` is the highest number that a guest got; `tight` says that
    there are few left, so that each open has to look."""

    __slots__ = ("high", "tight")

    def __init__(self) -> None:
        self.high = 7
        self.tight = False

    def note(self, fd: int) -> None:
        """A guest got a higher number than any before."""
        self.high = fd
        self.tight = fd + 1 >= _own_share(_limit())

    def leaves_one(self, held: Callable[[], int]) -> bool:
        """Whether a guest may open one more, that has so many. It may not where the rest is the program's, nor where
        few are left and it has more than half of all."""
        limit = _limit()
        try:
            fd = os.open("/", os.O_RDONLY)
        except OSError:
            return False
        os.close(fd)
        if fd < _own_share(limit):
            self.high, self.tight = fd, False
            return True
        return fd < limit - max(_LEAST, min(_MOST, limit // _PART)) and held() < limit // 2


def _own_share(limit: int) -> int:
    """Below, nothing is looked at."""
    return limit // 4 * 3


def _limit() -> int:
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit  # which few runs need
    except ImportError:  # no such limits on this system
        return 1 << 30
    soft = getrlimit(RLIMIT_NOFILE)[0]
    return 1 << 30 if soft == RLIM_INFINITY else soft


reserve: Final = Reserve()
