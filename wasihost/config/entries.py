"""An immutable sequence that is cheap to append to, as the environment of a config is.

A longer sequence shares its storage with the one that it was made from. So appending n entries one by one takes time
proportional to n.
"""

from __future__ import annotations

from typing import Final


class Entries:
    """Immutable; `plus` returns a longer one. Safe to call from several threads, because `setdefault` is atomic."""

    __slots__ = ("_held", "_size")

    def __init__(self, entries: tuple[bytes, ...] = ()) -> None:
        self._held = dict(enumerate(entries))  # by position; longer sequences add theirs
        self._size = len(entries)

    def plus(self, entry: bytes) -> Entries:
        """Return a sequence with `entry` added at the end."""
        longer = Entries()
        longer._held, longer._size = self._held, self._size + 1
        if self._held.setdefault(self._size, entry) is not entry:  # another sequence was made from this one before
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
