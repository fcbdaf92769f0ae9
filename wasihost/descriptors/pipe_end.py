"""The guest's end of a pipe, whose other end its caller has.

Rules of this file: each end has one owner and is closed once. A forked child has copies of both ends, which would
keep them open: there they are replaced by /dev/null, so that the guest's end is the end of what is read in the
parent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from weakref import WeakSet

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.config.streams import Inherit


class PipeEnd(Inherit):
    """The guest's end: closed when the guest has closed all its descriptors of it, or has ended.

    `broken`: the guest wrote to it when nobody read any more.
    """

    __slots__ = ("__weakref__", "_lock", "_users", "broken", "closed")

    owned = True

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.broken = False
        self.closed = False
        self._lock = threading.Lock()
        self._users = 0
        _ends.add(self)

    def take(self) -> None:
        """One more descriptor of the guest's stands for it."""
        self._users += 1

    def release(self) -> None:
        """One less."""
        self._users -= 1
        if not self._users:
            self.close()

    def close(self) -> None:
        """The guest does not read or write any more."""
        with self._lock:
            closed, self.closed = self.closed, True
        if not closed and self.fd is not None:
            os.close(self.fd)


_ends: WeakSet[PipeEnd] = WeakSet()


def replace_by_null(fds: Sequence[int]) -> None:
    """In a forked child: these descriptors are /dev/null there."""
    if fds:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in fds:
            os.dup2(null, fd, inheritable=False)
        os.close(null)


@in_forked_child
def _forget() -> None:
    replace_by_null([end.fd for end in _ends if end.fd is not None and not end.closed])
