"""The base of every set of flags: an int whose bits have names, and that no unknown bit can be put into.

Rules of this file: standard library only, and nothing of any one spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self, TypeVar


class Flags(int):
    """Named bits of one spec type. Strict: a value with a bit that the type does not have cannot be made.

    Test with `flags & Oflags.CREAT`: `&` is int's own and answers a plain int, which is what keeps a handler fast.
    `|`, `^` and `~` answer the same type; `in` and iteration are there for reading.
    """

    __slots__ = ()
    MASK: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        cls.MASK = 0
        bits = [(name, value) for name, value in vars(cls).items() if isinstance(value, _Bit)]
        for _, value in bits:
            cls.MASK |= value
        for name, value in bits:
            setattr(cls, name, int.__new__(cls, value))

    def __new__(cls, value: int = 0) -> Self:
        if value & ~cls.MASK:
            raise ValueError(f"{value:#x} has bits that {cls.__name__} does not have ({cls.MASK:#x})")
        return super().__new__(cls, value)

    def __or__(self, other: int) -> Self:
        return type(self)(int(self) | int(other))

    def __xor__(self, other: int) -> Self:
        return type(self)(int(self) ^ int(other))

    def __invert__(self) -> Self:
        return type(self)(self.MASK & ~int(self))

    __ror__ = __or__
    __rxor__ = __xor__

    def __contains__(self, other: int) -> bool:
        return int(self) & other == other

    def __iter__(self) -> Iterator[Self]:
        for _, member in self._named():
            yield member

    def _named(self) -> list[tuple[str, Self]]:
        cls = type(self)
        return [(n, m) for n, m in vars(cls).items() if n.isupper() and isinstance(m, cls) and m & self]

    def __repr__(self) -> str:
        name = type(self).__name__
        return "|".join(f"{name}.{n}" for n, _ in self._named()) or f"{name}(0)"

    __str__ = __repr__


class _Bit(int):
    """A flag in a class body, before the class exists."""


def bit(number: int) -> Any:
    """Flag `number` in the body of a `Flags` class; the class turns it into one of its own values."""
    return _Bit(1 << number)


F = TypeVar("F", bound=Flags)


class FlagTable(dict[int, F]):
    """Value -> flags for sets too wide for a tuple; LookupError for an unknown bit. Keeps at most 256 values."""

    def __init__(self, cls: type[F]) -> None:
        self.cls = cls

    def __missing__(self, value: int) -> F:
        if value & ~self.cls.MASK:
            raise LookupError(value)
        flags = int.__new__(self.cls, value)
        if len(self) < 256:
            self[value] = flags
        return flags
