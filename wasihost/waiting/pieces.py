"""Large amounts of bytes, moved in pieces.

A copy holds the GIL until it is done: half a second for 700 MiB, in which no other thread of the process runs. Between
two pieces others get their turn, and the guest is ended if its time has come. What fits one piece does not come here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from wasi_preview1.errors import WasiError

from wasihost.waiting.cancel_scope import CancelScope

PIECE: Final = 1 << 20
"""Bytes that are moved at once: a tenth of a millisecond for a copy, a few for what the system makes or writes."""


def copy(target: memoryview, source: memoryview, scope: CancelScope | None = None) -> None:
    """`target[:] = source`, of the same size. Raises the scope's reason if it expires before the rest."""
    for at in range(0, len(source), PIECE):
        if at and scope is not None:
            scope.check()
        target[at : at + PIECE] = source[at : at + PIECE]


def are_large(buffers: list[memoryview]) -> bool:
    """Whether these are more than one piece together."""
    if len(buffers) == 2:  # what C libraries give
        return len(buffers[0]) + len(buffers[1]) > PIECE
    return sum(map(len, buffers)) > PIECE


def each(buffers: list[memoryview], scope: CancelScope | None, move: Callable[[memoryview, int], int]) -> int:
    """`move(piece, moved)` for one piece after the other; `moved` are the bytes before it. How many bytes were moved.

    A piece of which less is moved is the last. An error after the first piece is not raised: the guest gets it with its
    next call, as from the system.
    """
    total = 0
    for buffer in buffers:
        for at in range(0, len(buffer), PIECE):
            if total and scope is not None:
                scope.check()
            piece = buffer[at : at + PIECE]
            try:
                size = move(piece, total)
            except (OSError, WasiError):
                if not total:
                    raise
                return total
            total += size
            if size < len(piece):
                return total
    return total


def whole(content: io.BytesIO) -> bytes:
    """A copy of it, which no later write has to make."""
    size = content.seek(0, io.SEEK_END)
    if size <= PIECE:
        return content.getvalue()
    made = io.BytesIO(bytes(size))  # zeros that the system makes when they are touched; nobody else has a reference
    with content.getbuffer() as source:
        for at in range(0, size, PIECE):
            made.write(source[at : at + PIECE])
    return made.getvalue()
