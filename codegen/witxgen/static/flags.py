"""The base of every set of flags: an int whose bits have names, and that no unknown bit can be put into.

Rules of this file: standard library only, and nothing of any one spec.
"""

from __future__ import annotations

from types import MappingProxyType

from .light_typing import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, ClassVar, Self


class Flags(int):
    """Named bits of one spec type. Strict: a value with a bit that the type does not have cannot be made.

    `flags & Oflags.CREAT` is a plain int, 0 where no bit is shared: `&` is int's own, which keeps handlers fast.
    `|`, `^` and `~` return the same type. A type checker refuses operators between two types of flags, and gives an int
    for `|` of flags and a plain int: `Oflags(number)` makes flags of a number.
    """

    __slots__ = ()
    MASK: ClassVar[int] = 0
    """Every bit that the type has."""
    _members: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        bits = {name: value for name, value in vars(cls).items() if isinstance(value, _Bit)}
        cls.MASK = sum(bits.values())
        cls._members = MappingProxyType({name: int.__new__(cls, value) for name, value in bits.items()})
        for name, member in cls._members.items():
            setattr(cls, name, member)

    def __new__(cls, value: int = 0) -> Self:
        """Flags of a number; ValueError where it has a bit that the type does not have."""
        if value & ~cls.MASK:
            raise ValueError(f"{value:#x} has bits that {cls.__name__} does not have ({cls.MASK:#x})")
        return super().__new__(cls, value)

    @classmethod
    def members(cls) -> Mapping[str, Self]:
        """Every flag of the type by its name, in the order of the bits."""
        return cls._members

    @classmethod
    def from_names(cls, *names: str) -> Self:
        """The flags of these names: `from_names(*flags.names) == flags`. ValueError for a name that does not exist."""
        value = 0
        for name in names:
            if name not in cls._members:
                raise ValueError(f"{cls.__name__} has no flag {name!r}; it has {', '.join(cls._members) or 'none'}")
            value |= cls._members[name]
        return int.__new__(cls, value)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the bits that are set, in the order of the bits."""
        return tuple(name for name, member in self._members.items() if member & self)

    # `other` is narrower than int's on purpose, or type checkers would accept a mix of two types of flags.
    if TYPE_CHECKING:

        def __and__(self, other: Self) -> int: ...  # type: ignore[override]  # narrower on purpose

        def __rand__(self, other: Self) -> int: ...  # type: ignore[override]  # narrower on purpose

    def __or__(self, other: Self) -> Self:  # type: ignore[override]  # narrower on purpose
        return type(self)(int(self) | int(other))

    def __xor__(self, other: Self) -> Self:  # type: ignore[override]  # narrower on purpose
        return type(self)(int(self) ^ int(other))

    def __invert__(self) -> Self:
        return type(self)(self.MASK & ~int(self))

    __ror__ = __or__  # type: ignore[assignment]  # narrower on purpose
    __rxor__ = __xor__  # type: ignore[assignment]  # narrower on purpose

    def __contains__(self, other: Self) -> bool:
        return int(self) & other == other

    def __iter__(self) -> Iterator[Self]:
        """The flags that are set, one by one."""
        return iter([member for member in self._members.values() if member & self])

    def __repr__(self) -> str:
        name = type(self).__name__
        return "|".join(f"{name}.{flag}" for flag in self.names) or f"{name}(0)"

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
