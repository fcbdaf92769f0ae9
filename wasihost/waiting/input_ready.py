"""How one waits for a Python object that a guest reads, where the object itself or its file says.

Rules of this file: each way has `fd`, which is readable when the object has something (None: it has),
`wait_before_read`, which is called before a read, and `available`. Nothing is read from an object ahead of the guest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from wasihost.common.unpatched import select
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.poller import bytes_to_read

Read: TypeAlias = Callable[[int], Any]


class Ready:
    """Always ready: what never waits. `size` says how much there is."""

    __slots__ = ("_size",)

    def __init__(self, size: Callable[[], int] = lambda: 1) -> None:
        self._size = size

    def fd(self) -> int | None:
        """None."""
        return None

    def wait_before_read(self, scope: CancelScope | None) -> None:
        """Nothing."""

    def available(self) -> int:
        """As far as it is known."""
        return self._size()

    def at_eof(self) -> bool:
        """Whether the end was seen already."""
        return False

    def wrap_read(self, read: Read) -> Read:
        """What the guest's reads call: the object's `read`, or what stands before it."""
        return read

    def close(self) -> None:
        """Nothing."""


class ReadyByFd(Ready):
    """By the file behind the object, and what the object has read of it and not given yet."""

    __slots__ = ("_fd", "_held", "_stream")

    def __init__(self, fd: int, stream: Any) -> None:
        super().__init__()
        self._fd = fd
        self._stream = stream
        self._held = True  # perhaps; a guest's reads leave nothing behind

    def _holds(self) -> int:
        if self._held:
            size = held(self._stream)
            self._held = size > 0
            return size
        return 0

    def fd(self) -> int | None:
        """The file's, unless the object has something itself."""
        return None if self._holds() else self._fd

    def wait_before_read(self, scope: CancelScope | None) -> None:
        """Wait here, where it can be ended, and not in the object."""
        if scope is not None and scope.active and not self._holds():
            scope.wait(self._fd, select.POLLIN)

    def available(self) -> int:
        """FIONREAD and what the object holds."""
        return self._holds() + bytes_to_read(self._fd)


def held(stream: Any) -> int:
    """How many bytes a buffered stream has read from its raw one and not given yet. It is not made to read more."""
    raw, peek = getattr(stream, "raw", None), getattr(stream, "peek", None)
    if raw is None or peek is None:
        return 0
    try:
        raw.readinto = _nothing_now  # in front of the class's own: `peek` reads if the buffer is empty
    except (AttributeError, TypeError):
        return 0
    try:
        return len(peek(1))
    finally:
        del raw.readinto


def _nothing_now(_buffer: object) -> None:
    return None
