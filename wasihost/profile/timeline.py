"""What happened when: the time of a run in slices of one width, with what each of them was used for.

Rules of this file: the number of slices is bounded, however long a run takes: where there are too many, the width
doubles, and two become one. Times are in ns since the profile began.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MOST: Final = 1024
"""Slices."""
FIRST: Final = 1_000_000
"""ns of the first slices."""
CATEGORIES: Final = ("guest", "files", "sockets", "waiting", "other calls", "imports")
"""What time is used for: the guest's own code, groups of functions of WASI, and functions of the embedder."""
GUEST, FILES, SOCKETS, WAITING, OTHER, IMPORTS = range(len(CATEGORIES))

_GROUPS: Final = {"fd": FILES, "path": FILES, "sock": SOCKETS, "poll": WAITING, "sched": WAITING}


def category(function: str) -> int:
    """The category of a function of the host; those of the embedder have the import module before their names."""
    if "." in function:
        return IMPORTS
    return _GROUPS.get(function.partition("_")[0], OTHER)


class Slice(NamedTuple):
    """One slice: ns per category, bytes read and written, and bytes of memory at its end (0: nothing was seen)."""

    used: tuple[int, ...]
    read: int
    written: int
    memory: int


class Timeline:
    """The slices of a run, in their order."""

    def __init__(self) -> None:
        self.width: int = FIRST
        self._slices: list[Slice] = []
        self._used = [0] * len(CATEGORIES)
        self._read = self._written = self._memory = 0
        self.end: int = FIRST
        """Where the slice ends that is being filled."""

    def add(self, category: int, start: int, end: int) -> None:
        """Add the time from `start` to `end`, which is not before that of the last call."""
        if end > self.end:
            while end > self.end:
                if start < self.end:
                    self._used[category] += self.end - start
                    start = self.end
                self._next()
        self._used[category] += end - start

    def moved(self, read: int, written: int) -> None:
        """Add bytes that were moved, and see them in the slice of the last time that was added."""
        self._read += read
        self._written += written

    def memory(self, size: int) -> None:
        """Record the size of the memory."""
        self._memory = size

    def _next(self) -> None:
        self._slices.append(Slice(tuple(self._used), self._read, self._written, self._memory))
        self._used = [0] * len(CATEGORIES)
        self._read = self._written = 0
        self.end += self.width
        if len(self._slices) == MOST:
            pairs = zip(self._slices[::2], self._slices[1::2], strict=True)
            self._slices = [_joined(first, second) for first, second in pairs]
            self.width *= 2
            self.end = (MOST // 2 + 1) * self.width

    def slices(self) -> list[Slice]:
        """Return all, with the one that is being filled."""
        return [*self._slices, Slice(tuple(self._used), self._read, self._written, self._memory)]


def _joined(first: Slice, second: Slice) -> Slice:
    used = tuple(one + other for one, other in zip(first.used, second.used, strict=True))
    return Slice(used, first.read + second.read, first.written + second.written, second.memory)
