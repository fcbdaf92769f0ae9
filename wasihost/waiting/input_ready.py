"""Waits for a Python object that a guest reads, if the object or the file behind it shows when it has input.

Rules of this file: each class has `fd`, which becomes readable when the object has input (None: it has some now),
`wait_before_read`, which is called before each read, and `available`. Nothing is read before the guest reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from wasihost.common.unpatched import select
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.poller import bytes_to_read

Read: TypeAlias = Callable[[int], Any]


class Ready:
    """An object that never blocks. `size` returns the number of bytes that it has."""

    __slots__ = ("_size",)

    def __init__(self, size: Callable[[], int] = lambda: 1) -> None:
        self._size = size

    def fd(self) -> int | None:
        """The fd to wait for, or None if the object is ready now."""
        return None

    def wait_before_read(self, scope: CancelScope | None) -> None:
        """Called before each read: wait here, where the scope can end the wait, and not in the object's `read`."""

    def available(self) -> int:
        """The number of bytes that can be read, as far as it is known."""
        return self._size()

    def at_eof(self) -> bool:
        """True if the end of input is known."""
        return False

    def wrap_read(self, read: Read) -> Read:
        """Return the function that guest reads must call: `read` itself, or one that returns buffered input first."""
        return read

    def close(self) -> None:
        """The run is over: stop waiting."""


class ReadyByFd(Ready):
    """Waits for the file behind a buffered object, unless the object still holds bytes that it has read from it."""

    __slots__ = ("_fd", "_held", "_stream")

    def __init__(self, fd: int, stream: Any) -> None:
        super().__init__()
        self._fd = fd
        self._stream = stream
        self._held = True  # not known yet; once empty it stays so, since guest reads leave nothing in the buffer

    def _holds(self) -> int:
        if self._held:
            size = held(self._stream)
            self._held = size > 0
            return size
        return 0

    def fd(self) -> int | None:
        return None if self._holds() else self._fd

    def wait_before_read(self, scope: CancelScope | None) -> None:
        if scope is not None and scope.active and not self._holds():
            scope.wait(self._fd, select.POLLIN)

    def available(self) -> int:
        """The bytes that the object holds, and FIONREAD of the file."""
        return self._holds() + bytes_to_read(self._fd)


def held(stream: Any) -> int:
    """Return the number of bytes in the buffer of a buffered stream. Does not make it read more."""
    raw, peek = getattr(stream, "raw", None), getattr(stream, "peek", None)
    if raw is None or peek is None:
        return 0
    try:
        raw.readinto = _nothing_now  # hides the method of the class, because `peek` reads if the buffer is empty
    except (AttributeError, TypeError):
        return 0
    try:
        return len(peek(1))
    finally:
        del raw.readinto


def _nothing_now(_buffer: object) -> None:
    return None
