"""The guest's end of a pipe to its caller.

Rules of this file: each end has one owner and is closed once. A forked child inherits copies of both ends, which would
keep the pipe open: in the child they are replaced by /dev/null, so that the reader in the parent sees the end of the
stream when the guest closes its end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from weakref import WeakSet

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.config.inherit import Inherit


class PipeEnd(Inherit):
    """The guest's end. It is closed when the guest has closed all its descriptors for it, or has ended.

    `broken`: the guest wrote to it after the other end was closed.
    """

    __slots__ = ("__weakref__", "_lock", "_users", "broken", "closed")

    owned = True

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.broken: bool = False
        self.closed: bool = False
        self._lock = threading.Lock()
        self._users = 0
        _ends.add(self)

    def take(self) -> None:
        """Count one more descriptor of the guest for this end."""
        self._users += 1

    def release(self) -> None:
        """Count one descriptor less; the last one closes the end."""
        self._users -= 1
        if not self._users:
            self.close()

    def close(self) -> None:
        """Close the end, once."""
        with self._lock:
            closed, self.closed = self.closed, True
        if not closed and self.fd is not None:
            os.close(self.fd)


_ends: WeakSet[PipeEnd] = WeakSet()


def replace_by_null(fds: Sequence[int]) -> None:
    """Replace these fds by /dev/null, in a forked child."""
    if fds:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in fds:
            os.dup2(null, fd, inheritable=False)
        os.close(null)


@in_forked_child
def _forget() -> None:
    replace_by_null([end.fd for end in _ends if end.fd is not None and not end.closed])
