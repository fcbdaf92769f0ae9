"""A sequence that grows at its end only, as an environment does, and that nobody can change.

A longer one shares what it holds with the one that it was made from, so making one of n entries, entry by entry, takes
time in proportion to n.
"""

from __future__ import annotations

from typing import Final


class Entries:
    """Immutable; `plus` makes a longer one. Threads may do so at the same time: `setdefault` is one step."""

    __slots__ = ("_held", "_size")

    def __init__(self, entries: tuple[bytes, ...] = ()) -> None:
        self._held = dict(enumerate(entries))  # by position; also what longer ones have added
        self._size = len(entries)

    def plus(self, entry: bytes) -> Entries:
        """With one entry more at the end."""
        longer = Entries()
        longer._held, longer._size = self._held, self._size + 1
        if self._held.setdefault(self._size, entry) is not entry:  # another one has grown from this
            longer._held = dict(enumerate((*self.as_tuple(), entry)))
        return longer

    def as_tuple(self) -> tuple[bytes, ...]:
        """All entries, in order."""
        held = self._held
        return tuple([held[position] for position in range(self._size)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entries) and self.as_tuple() == other.as_tuple()

    def __hash__(self) -> int:
        return hash(self.as_tuple())

    def __reduce__(self) -> tuple[type[Entries], tuple[tuple[bytes, ...]]]:
        return Entries, (self.as_tuple(),)

    def __repr__(self) -> str:
        return repr(self.as_tuple())


NO_ENTRIES: Final = Entries()
