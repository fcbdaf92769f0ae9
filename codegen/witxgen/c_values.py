"""The layouts in C of records and variants: which numbers lie where, what they are looked up in, and of which classes.

Rules of this file: as in `c_stubs`. A type that holds what is neither a number nor a record or variant of numbers (a
pointer, a list, text, a character), or has no bytes, or more than `LARGEST`, is left to its codec in Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from witxgen import names
from witxgen.layout import record_offsets, size_align, variant_layout
from witxgen.model import Builtin, Enum, Flags, Record, Ref, Type, TypeDef, Variant, strip
from witxgen.python_types import STRUCT_CHARS, is_buffer, number_char, owner, table

LARGEST = 256
"""Bytes of the largest type that C reads and writes: `WITX_LARGEST` in witx.h."""


@dataclass(frozen=True)
class Member:
    """A member of a record, or what a case carries: a number, or a value of another shape."""

    offset: int
    character: str = ""  # of a number, `?` of a bool
    table: str = ""  # what the number is looked up in
    shape: str = ""


@dataclass(frozen=True)
class CaseShape:
    """A case of a variant."""

    cls: str
    member: Member | None


@dataclass(frozen=True)
class Shape:
    """A record (`members`) or a variant (`tag`, `cases`)."""

    name: str
    size: int
    align: int
    cls: str  # of a record that is no plain tuple
    members: tuple[Member, ...] = ()
    tag: str = ""
    cases: tuple[CaseShape, ...] = ()


class _NotInC(Exception):
    """The type is left to its codec in Python."""


class Shapes:
    """The shapes that codecs need, in an order in which each comes after those that it uses; and their classes."""

    def __init__(self, types: Iterable[TypeDef]) -> None:
        self._types = {names.constant_name(one.name): one for one in types if isinstance(one.type, Record | Variant)}
        self.all: dict[str, Shape] = {}
        self.classes: dict[str, None] = {}
        self.tables: dict[str, None] = {}

    def of(self, codec: str) -> str:
        """The shape of what this codec reads and writes; nothing where it is left to Python."""
        definition = self._types.get(codec)
        if definition is None:
            return ""
        before = dict(self.all), dict(self.classes), dict(self.tables)
        try:
            return self._shape(definition)
        except _NotInC:
            self.all, self.classes, self.tables = before
            return ""

    def _shape(self, definition: TypeDef) -> str:
        name = f"{names.constant_name(definition.name)}_SHAPE"
        if name in self.all:
            return name
        place, type_ = size_align(Ref(definition)), definition.type
        if not 0 < place.size <= LARGEST:
            raise _NotInC
        if isinstance(type_, Record):
            offsets = record_offsets(type_)
            members = tuple(self._member(field.type, offsets[field.name]) for field in type_.fields)
            cls = "" if type_.is_tuple else f"types.{names.class_name(definition.name)}"
            shape = Shape(name, place.size, place.align, cls, members)
        else:
            assert isinstance(type_, Variant)
            at = variant_layout(type_).payload_offset
            cases = tuple(
                CaseShape(
                    f"types.{names.case_class_name(definition.name, case.name)}",
                    None if case.type is None else self._member(case.type, at),
                )
                for case in type_.cases
            )
            tag = STRUCT_CHARS[type_.tag_repr]
            shape = Shape(name, place.size, place.align, "", tag=tag, cases=cases)
        self.classes |= dict.fromkeys(filter(None, (shape.cls, *(case.cls for case in shape.cases))))
        self.all[name] = shape
        return name

    def _member(self, type_: Type, offset: int) -> Member:
        bare = strip(type_)
        if isinstance(bare, Record | Variant) and isinstance(type_, Ref) and not is_buffer(type_):
            return Member(offset, shape=self._shape(owner(type_)))
        char = number_char(type_)
        if char is None:
            raise _NotInC
        if bare == Builtin("bool"):
            return Member(offset, "?")
        if isinstance(bare, Enum | Flags) and isinstance(type_, Ref):
            looked_up = table(owner(type_))
            self.tables.setdefault(looked_up)
            return Member(offset, char, looked_up)
        return Member(offset, char)
