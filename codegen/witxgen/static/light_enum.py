"""`IntEnum`, as `enum` has it, whose classes are made in half the time: as the standard library makes its own.

Rules of this file: standard library only, and nothing of any one spec.
"""

from __future__ import annotations

__all__ = ["IntEnum"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import IntEnum
else:
    import enum

    class _EnumMaker(type):
        """Makes a subclass of `enum.IntEnum` of a class body. It leaves out the checks of what a body may contain."""

        def __new__(cls, name, _bases, body):
            return _convert(type(name, (), body))

    class _Base:
        """The base in a class statement; `enum.IntEnum` is the real one."""

        def __mro_entries__(self, _bases):
            return (_body,)

    if hasattr(enum, "_simple_enum"):
        _convert = enum._simple_enum(enum.IntEnum)
        _body = type.__new__(_EnumMaker, "_Body", (), {})
        IntEnum = _Base()
    else:
        IntEnum = enum.IntEnum
