"""Generated records and enums, whose classes are made without `typing` and quickly, are what the slow ones are."""

from __future__ import annotations

import copy
import enum
import inspect
import pickle
import subprocess
import sys
import typing
from typing import Any, NamedTuple

import pytest
import wasi_preview1
from wasi_preview1 import light_enum, light_typing, types


class Slow(NamedTuple):
    """A record."""

    one: int
    two: str = "2"
    three: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        """The first field."""
        return self[0]


class Quick(light_typing.NamedTuple):
    """A record."""

    one: int
    two: str = "2"
    three: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        """The first field."""
        return self[0]


class SlowEnum(enum.IntEnum):
    """An enum."""

    ZERO = 0
    ONE = 1


class QuickEnum(light_enum.IntEnum):
    """An enum."""

    ZERO = 0
    ONE = 1


CALLS: dict[str, typing.Callable[[Any], object]] = {
    "positions": lambda cls: cls(1, "x", (3,)),
    "keywords": lambda cls: cls(three=(3,), one=1),
    "too few": lambda cls: cls(),
    "too many": lambda cls: cls(1, 2, 3, 4),
    "unknown": lambda cls: cls(1, four=4),
    "_make": lambda cls: cls._make([1, 2, 3]),
    "_make of too few": lambda cls: cls._make([1]),
    "_replace": lambda cls: cls(1)._replace(two="y"),
    "_replace of an unknown field": lambda cls: cls(1)._replace(four=4),
    "_asdict": lambda cls: cls(1)._asdict(),
    "_fields": lambda cls: (cls._fields, cls._field_defaults, cls.__match_args__),
    "docs": lambda cls: (cls.__doc__, cls.one.__doc__, cls.__new__.__doc__),
    "property": lambda cls: cls(7).first,
    "no dict": lambda cls: hasattr(cls(1), "__dict__"),
    "read only": lambda cls: setattr(cls(1), "one", 2),
    "a tuple": lambda cls: (cls(1) == (1, "2", ()), hash(cls(1)), len(cls(1)), isinstance(cls(1), tuple)),
    "bases": lambda cls: (cls.__bases__, type(cls), len(cls.__mro__)),
    "signature": lambda cls: [(p.name, p.default) for p in inspect.signature(cls).parameters.values()],
    "pickled": lambda cls: tuple(pickle.loads(pickle.dumps(cls(1)))),
    "copied": lambda cls: (tuple(copy.copy(cls(1))), tuple(copy.deepcopy(cls(1)))),
    "hints": lambda cls: typing.get_type_hints(cls),
    "subclass": lambda cls: type("Sub", (cls,), {})(1),
}


def outcome(call: typing.Callable[[Any], object], cls: type) -> str:
    try:
        return repr(call(cls)).replace("Slow", "X").replace("Quick", "X")
    except Exception as error:
        return repr(error).replace("Slow", "X").replace("Quick", "X")


@pytest.mark.parametrize("name", CALLS)
def test_a_record_is_what_typing_makes(name: str) -> None:
    assert outcome(CALLS[name], Quick) == outcome(CALLS[name], Slow)


def test_a_record_without_fields() -> None:
    class Empty(light_typing.NamedTuple):
        """Nothing."""

    assert (Empty(), Empty._fields, repr(Empty())) == ((), (), "Empty()")


def test_a_record_matches_by_position() -> None:
    match types.Dirent(1, 2, 3, types.Filetype.DIRECTORY):
        case types.Dirent(1, ino, _, types.Filetype.DIRECTORY):
            assert ino == 2
        case _:
            pytest.fail("no match")


@pytest.mark.parametrize(
    "look",
    [
        lambda cls: (list(cls), cls(1), cls["ONE"], len(cls), cls.ZERO in cls, dict(cls.__members__)),
        lambda cls: (cls.__mro__[1:], type(cls), cls.__doc__, str(cls.ONE), f"{cls.ONE}", cls.ONE.name, cls.ONE.value),
        lambda cls: cls(2),
        lambda cls: cls["TWO"],
        lambda cls: setattr(cls, "ONE", 1),
        lambda cls: type("Sub", (cls,), {}),
        lambda cls: (pickle.loads(pickle.dumps(cls.ONE)) is cls.ONE, copy.deepcopy(cls.ONE) is cls.ONE),
        lambda cls: (cls.ONE + 1, cls.ONE == 1, hash(cls.ONE), cls.ZERO < cls.ONE, {1: 2}[cls.ONE]),
    ],
)
def test_an_enum_is_what_enum_makes(look: typing.Callable[[Any], object]) -> None:
    assert outcome(look, QuickEnum) == outcome(look, SlowEnum)


def test_every_public_name_is_found_when_it_is_first_used() -> None:
    for name in wasi_preview1.__all__:
        assert getattr(wasi_preview1, name) is not None
    assert set(wasi_preview1.__all__) <= set(dir(wasi_preview1))
    assert not hasattr(wasi_preview1, "Nothing")
    code = (
        "import sys, wasi_preview1\n"
        "assert wasi_preview1.codecs.ERRNO.size == 2, 'a module of it'\n"
        "from wasi_preview1 import *\n"
        "assert Errno.BADF == 8 and callable(bind)\n"
        "assert 'typing' not in sys.modules"
    )
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
