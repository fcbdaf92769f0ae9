"""Refuses two names of a spec that would be the same name in Python.

Rules of this file: it asks `names` what a name becomes and never makes one. Parameters are left out: `stubs` gives each
a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from witxgen import names
from witxgen.model import Case, Document, Enum, Expected, Flags, Record, Span, TypeDef, Variant
from witxgen.python_types import refusal


def refuse_clashes(document: Document, groups: Iterable[tuple[str, str, Span]]) -> None:
    """WitxError at the second of two types, cases, fields, constants or modules that share a Python name.

    `groups` are the classes of functions: name, what it is, where.
    """
    _refuse([*((name, what, d.span) for d in document.types for name, what in _classes(d)), *groups])
    _refuse((name, f"the type `${d.name}`", d.span) for d in document.types for name in _codecs(d))
    _refuse((names.constant_name(m.name), f"the module `${m.name}`", m.span) for m in document.modules)
    _refuse(
        (names.constant_name(f"{c.type.name}_{c.name}"), f"the constant `${c.name}` of `${c.type.name}`", c.type.span)
        for c in document.constants
    )
    for definition in document.types:
        _refuse((name, what, definition.span) for name, what in _members(definition))


def _refuse(uses: Iterable[tuple[str, str, Span]]) -> None:
    first: dict[str, str] = {}
    for name, what, span in uses:
        other = first.setdefault(name, what)
        if other != what:
            raise refusal(span, f"{what} and {other} would both be `{name}` in Python", "rename one of them")


def _classes(definition: TypeDef) -> Iterator[tuple[str, str]]:
    if isinstance(definition.type, Expected):
        return
    yield names.class_name(definition.name), f"the type `${definition.name}`"
    if isinstance(definition.type, Variant):
        for case in definition.type.cases:
            cls = names.case_class_name(definition.name, case.name)
            yield cls, f"the case `${case.name}` of `${definition.name}`"


def _codecs(definition: TypeDef) -> Iterator[str]:
    name = names.constant_name(definition.name)
    match definition.type:
        case Enum() | Flags():
            yield from (name, f"{name}_VALUES")
        case Record():
            yield from (name, f"{name}_LAYOUT")
        case Variant():
            yield name


def _members(definition: TypeDef) -> Iterator[tuple[str, str]]:
    members: tuple[Case, ...] = ()
    match definition.type:
        case Record(fields, False):
            yield from ((names.field_name(f.name), f"the field `${f.name}` of `${definition.name}`") for f in fields)
        case Enum(cases=members) | Flags(flags=members):
            pass
    for case in members:
        yield names.member_name(case.name), f"the case `${case.name}` of `${definition.name}`"
