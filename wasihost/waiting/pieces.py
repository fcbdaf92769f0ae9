"""Moves large amounts of bytes in pieces.

A copy holds the GIL until it is done: half a second for 700 MiB, in which no other thread of the process runs. Between
two pieces other threads can run, and the guest ends if its time is over. Callers handle what fits one piece themselves.
"""

from __future__ import annotations

import io

from wasi_preview1.errors import WasiError

from wasihost.errors import BY_SIGNAL_HANDLER
from wasihost.waiting.cancel_scope import CancelScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

PIECE: Final = 1 << 20
"""Bytes per piece: 0.1 ms for a copy, a few ms for what the OS has to make or write."""


def copy(target: memoryview, source: memoryview, scope: CancelScope | None = None) -> None:
    """`target[:] = source`, of the same size. Raises the scope's reason if it expires before the rest."""
    for at in range(0, len(source), PIECE):
        if at and scope is not None:
            scope.check()
        target[at : at + PIECE] = source[at : at + PIECE]


def are_large(buffers: list[memoryview]) -> bool:
    """True if the buffers together are larger than one piece."""
    if len(buffers) == 2:  # as C libraries pass them
        return len(buffers[0]) + len(buffers[1]) > PIECE
    return sum(map(len, buffers)) > PIECE


def each(buffers: list[memoryview], scope: CancelScope | None, move: Callable[[memoryview, int], int]) -> int:
    """Call `move(piece, moved)` for each piece in turn; `moved` is the number of bytes before it. Returns the total.

    Stops after a piece of which not all bytes were moved. An error after the first piece is not raised: the guest's
    next call meets it again, as with a system call.
    """
    total = 0
    for buffer in buffers:
        for at in range(0, len(buffer), PIECE):
            if total and scope is not None:
                scope.check()
            piece = buffer[at : at + PIECE]
            try:
                size = move(piece, total)
            except (OSError, WasiError) as error:
                if not total or BY_SIGNAL_HANDLER in error.__dict__:
                    raise
                return total
            total += size
            if size < len(piece):
                return total
    return total


def whole(content: io.BytesIO) -> bytes:
    """Return a copy of the content that no later write has to copy again."""
    size = content.seek(0, io.SEEK_END)
    if size <= PIECE:
        return content.getvalue()
    made = io.BytesIO(bytes(size))  # the OS makes the zeros when they are touched; no other reference exists
    with content.getbuffer() as source:
        for at in range(0, size, PIECE):
            made.write(source[at : at + PIECE])
    return made.getvalue()
