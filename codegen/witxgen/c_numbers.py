"""The numbers of a spec as C macros: the values of enums, the bits of flags, and where the fields of records lie.

Rules of this file: a list of names and values, no text of C. A macro has no scope, so every name begins with the
package's. Where two parts of a spec would have the same name (case `b_c` of `a`, case `c` of `a_b`), it is that of the
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from witxgen.layout import record_offsets, size_align
from witxgen.model import Document, Enum, Flags, Record, Ref, TypeDef
from witxgen.names import constant_name


class Macro(NamedTuple):
    """A name and its number, as C has it."""

    name: str
    value: str


class Group(NamedTuple):
    """The macros of one type."""

    what: str
    macros: list[Macro]


def groups(document: Document, package: str) -> list[Group]:
    """Return the macros of every enum, flags and record, in the order of the spec."""
    taken: set[str] = set()
    out = []
    for definition in document.types:
        macros = []
        for name, value in _numbers(definition):
            full = _upper(f"{package}_{definition.name}_{name}")
            if full not in taken:
                taken.add(full)
                macros.append(Macro(full, value))
        if macros:
            out.append(Group(f"witx `{definition.name}`", macros))
    return out


def _upper(name: str) -> str:
    return constant_name(name).rstrip("_")


def _numbers(definition: TypeDef) -> Iterator[tuple[str, str]]:
    """Yield what a type has: its cases, its bits, or its size, alignment and `FIELD_at`."""
    match definition.type:
        case Enum(cases=cases):
            for value, case in enumerate(cases):
                yield case.name, f"{value}u"
        case Flags(flags=flags):
            for bit, flag in enumerate(flags):
                yield flag.name, f"(UINT64_C(1) << {bit})"
        case Record() as record:
            size, align = size_align(Ref(definition))
            yield "sizeof", f"{size}u"
            yield "alignof", f"{align}u"
            for name, offset in record_offsets(record).items():
                yield f"{name}_at", f"{offset}u"
        case _:
            pass
