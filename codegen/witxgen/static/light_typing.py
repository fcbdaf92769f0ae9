"""`NamedTuple`, `Generic` and `TypeVar`, without the import of `typing`, which takes longer than all the rest.

A type checker sees those of `typing`. At run time a record has what `typing.NamedTuple` gives it, and its class is made
in a tenth of the time; generics are only for the checker: `Pointer[int]` is an alias, as `tuple[int]` is.

Rules of this file: standard library only, and nothing of any one spec. A module with records has
`from __future__ import annotations`.
"""

from __future__ import annotations

import sys

__all__ = ["Generic", "NamedTuple", "TypeVar"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, NamedTuple, TypeVar
else:
    try:
        from _collections import _tuplegetter as _field
    except ImportError:  # not CPython
        from operator import itemgetter

        def _field(number, doc):
            return property(itemgetter(number), doc=doc)

    _make = tuple.__new__
    _UNKNOWN_FIELD = TypeError if sys.version_info >= (3, 13) else ValueError  # as `collections.namedtuple` has it

    class _Constructor:
        """`__new__` of a record, compiled when the class is first called: most are only made by `tuple.__new__`."""

        __slots__ = ("cls",)

        def __set_name__(self, cls, name):
            self.cls = cls

        def __get__(self, record, _cls):
            cls = self.cls
            names = ", ".join(cls._fields)
            source = f"lambda _cls, {names}: _make(_cls, ({names},))" if names else "lambda _cls: _make(_cls)"
            new = eval(source, {"_make": _make, "__name__": cls.__module__})
            new.__name__, new.__qualname__ = "__new__", f"{cls.__qualname__}.__new__"
            new.__doc__ = f"Create new instance of {cls.__name__}({names})"
            new.__defaults__ = tuple(cls._field_defaults.values())
            new.__annotations__ = dict(cls.__annotations__)
            cls.__new__ = staticmethod(new)
            return new

    def _from_iterable(cls, iterable):
        """Make a new record from a sequence or iterable."""
        record = _make(cls, iterable)
        if len(record) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(record)}")
        return record

    def _replace(self, /, **changes):
        """Return a new record with the fields of `changes` replaced."""
        record = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise _UNKNOWN_FIELD(f"Got unexpected field names: {list(changes)!r}")
        return record

    def _asdict(self):
        """Return a new dict which maps field names to their values."""
        return dict(zip(self._fields, self, strict=True))

    def _repr(self):
        fields = ", ".join([f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)])
        return f"{type(self).__name__}({fields})"

    def _getnewargs(self):
        """Return self as a plain tuple. Used by copy and pickle."""
        return tuple(self)

    _METHODS = {
        "__slots__": (),
        "_make": classmethod(_from_iterable),
        "_replace": _replace,
        "__replace__": _replace,
        "_asdict": _asdict,
        "__repr__": _repr,
        "__getnewargs__": _getnewargs,
    }

    class _RecordMaker(type):
        """Makes a plain subclass of `tuple` of a class body: the base that it was written with is not among its own."""

        def __new__(cls, name, _bases, body):
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body[field] for field in fields if field in body}
            body = {**_METHODS, "__doc__": f"{name}({', '.join(fields)})", **body}
            body["_fields"] = body["__match_args__"] = fields
            body["_field_defaults"] = defaults
            body["__new__"] = _Constructor()
            for number, field in enumerate(fields):
                body[field] = _field(number, f"Alias for field number {number}")
            return type(name, (tuple,), body)

    class _ForChecker:
        """A base that only a type checker sees."""

        def __init__(self, *bases):
            self.bases = bases

        def __mro_entries__(self, _bases):
            return self.bases

        def __getitem__(self, _parameters):
            return self

    class TypeVar:
        """A parameter of a generic class; nothing at run time."""

        def __init__(self, *_arguments, **_options):
            pass

    NamedTuple = _ForChecker(type.__new__(_RecordMaker, "_Record", (), {}))
    Generic = _ForChecker()
