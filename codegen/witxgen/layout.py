"""Size, alignment and offsets of every type in guest memory, in bytes.

Rules of this file: numbers only, from the model alone. Fields follow one another, each at its own alignment, and a
whole is rounded up to its strictest part. A payload has one offset for all cases of its variant, so the size of a
variant is that offset plus the largest payload; the public `witx` tool takes the size per case and so comes out too
small where the widest payload is not the strictest.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from witxgen.model import (
    Builtin,
    Enum,
    Expected,
    Flags,
    Handle,
    IntRepr,
    List,
    Pointer,
    Record,
    Ref,
    String,
    Type,
    TypeDef,
    Variant,
)

REPR_SIZE: dict[IntRepr, int] = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
"""Bytes of a tag or of a set of flags."""

_BUILTIN_SIZE = {
    name: size
    for size, names in {
        1: ("u8", "s8", "char8"),
        2: ("u16", "s16"),
        4: ("u32", "s32", "f32", "char", "usize", "bool"),
        8: ("u64", "s64", "f64"),
    }.items()
    for name in names
}


class Layout(NamedTuple):
    """Bytes a value takes, and what its address must be a multiple of."""

    size: int
    align: int


class VariantLayout(NamedTuple):
    """The parts of a variant, a union or an `expected` in memory: the tag is at 0, every payload at the same offset."""

    tag_size: int
    payload_offset: int
    size: int
    align: int


def round_up(offset: int, align: int) -> int:
    """The first multiple of `align` that is not below `offset`."""
    return -(-offset // align) * align


def size_align(type_: Type) -> Layout:
    """Size and alignment of any type."""
    match type_:
        case Ref(target):
            return _named(target)
        case Builtin(name):
            return Layout(_BUILTIN_SIZE[name], _BUILTIN_SIZE[name])
        case Enum(repr=repr_) | Flags(repr=repr_):
            return Layout(REPR_SIZE[repr_], REPR_SIZE[repr_])
        case Handle() | Pointer():
            return Layout(4, 4)
        case String() | List():
            return Layout(8, 4)
        case Record(fields):
            return _sequence([size_align(field.type) for field in fields])[1]
        case Variant() | Expected():
            return Layout(*variant_layout(type_)[2:])


@cache
def _named(definition: TypeDef) -> Layout:
    # By name, so that types that use others many times over cost no more than their number.
    return size_align(definition.type)


def record_offsets(record: Record) -> dict[str, int]:
    """Where each field of a record or a tuple starts."""
    offsets, _ = _sequence([size_align(field.type) for field in record.fields])
    return {field.name: offset for field, offset in zip(record.fields, offsets, strict=True)}


def variant_layout(variant: Variant | Expected) -> VariantLayout:
    """Layout of a tagged type; an `expected` has the tag of a variant without one, u32."""
    if isinstance(variant, Expected):
        tag_size = REPR_SIZE["u32"]
        types: Iterable[Type | None] = (variant.ok, variant.err)
    else:
        tag_size = REPR_SIZE[variant.tag_repr]
        types = (case.type for case in variant.cases)
    payloads = [size_align(type_) for type_ in types if type_ is not None]
    payload_align = max((payload.align for payload in payloads), default=1)
    payload_size = max((payload.size for payload in payloads), default=0)
    offset = round_up(tag_size, payload_align)
    align = max(tag_size, payload_align)
    return VariantLayout(tag_size, offset, round_up(offset + payload_size, align), align)


def _sequence(parts: list[Layout]) -> tuple[list[int], Layout]:
    offsets = []
    end, align = 0, 1
    for part in parts:
        start = round_up(end, part.align)
        offsets.append(start)
        end = start + part.size
        align = max(align, part.align)
    return offsets, Layout(round_up(end, align), align)
