"""`IntEnum`, as `enum` has it, whose classes are made in a quarter of the time.

The standard library makes its own enumerations by a decorator that leaves out all checks of what a class body may
contain. Here it makes the class without members, and then each member costs one `int` and three entries of dicts.

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
        """Makes a subclass of `enum.IntEnum` of a class body that has nothing but members and names of Python's own."""

        def __new__(cls, name, _bases, body):
            members = {one: body.pop(one) for one in [*body] if not one.startswith("__")}
            made = _convert(type(name, (), body))
            names, by_name, by_value = made._member_names_, made._member_map_, made._value2member_map_
            for number, (name, value) in enumerate(members.items()):
                member = _new(made, value)
                fields = member.__dict__
                fields["_value_"] = value
                fields["_name_"] = name
                fields["__objclass__"] = made
                fields["_sort_order_"] = number
                by_name[name] = by_value[value] = member
                names.append(name)
                _put(made, name, member)
            if hasattr(made, "_hashable_values_"):
                made._hashable_values_.extend(members.values())
            return made

    class _Base:
        """The base in a class statement; `enum.IntEnum` is the real one."""

        def __mro_entries__(self, _bases):
            return (_body,)

    if hasattr(enum, "_simple_enum"):
        _new, _put = int.__new__, type.__setattr__
        _convert = enum._simple_enum(enum.IntEnum)
        _body = type.__new__(_EnumMaker, "_Body", (), {})
        IntEnum = _Base()
    else:
        IntEnum = enum.IntEnum
