"""The syntax tree of one `.witx` file, before any name is looked up.

Rules of this file: frozen data only, made by `parse` and read by `reading` and `resolve`. Every node knows its place;
names are without the `$`, docs are the text of the `;;;` lines that precede the item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from witxgen.model import BuiltinName, Span


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier or a string, at its own place."""

    text: str
    span: Span
    docs: str = ""


@dataclass(frozen=True, slots=True)
class Builtin:
    """A number, `char`, `bool`, `(@witx char8)` or `(@witx usize)`."""

    span: Span
    name: BuiltinName


@dataclass(frozen=True, slots=True)
class String:
    """`string`."""

    span: Span


@dataclass(frozen=True, slots=True)
class Use:
    """A type by its name."""

    span: Span
    name: Name


@dataclass(frozen=True, slots=True)
class Enum:
    """`(enum (@witx tag repr) $case ...)`."""

    span: Span
    repr: Builtin | None
    cases: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Flags:
    """`(flags (@witx repr repr) $flag ...)`."""

    span: Span
    repr: Builtin | None
    flags: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """`(field $name type)`, `(param $name type)` or `(result $name type)`."""

    name: Name
    type: Type
    docs: str


@dataclass(frozen=True, slots=True)
class Record:
    """`(record (field $name type) ...)`."""

    span: Span
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Tuple:
    """`(tuple type ...)`."""

    span: Span
    members: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """`(union (@witx tag type) type ...)`; `docs` has one text per member."""

    span: Span
    tag: Type | None
    members: tuple[Type, ...]
    docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """`(case $name type)` of a variant."""

    name: Name
    type: Type | None
    docs: str


@dataclass(frozen=True, slots=True)
class Variant:
    """`(variant (@witx tag type) (case $name type) ...)`."""

    span: Span
    tag: Type | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Handle:
    """`(handle)`, or `(handle $resource)` of the later dialect."""

    span: Span
    resource: Name | None


@dataclass(frozen=True, slots=True)
class List:
    """`(list type)`."""

    span: Span
    element: Type


@dataclass(frozen=True, slots=True)
class Pointer:
    """`(@witx pointer type)` or `(@witx const_pointer type)`."""

    span: Span
    target: Type
    const: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """`(expected ok (error err))`."""

    span: Span
    ok: Type | None
    err: Type | None


Type: TypeAlias = (
    Builtin | String | Use | Enum | Flags | Record | Tuple | Union | Variant | Handle | List | Pointer | Expected
)


@dataclass(frozen=True, slots=True)
class Tag:
    """`(@witx tag type)`, while a union or a variant is being built."""

    type: Type


@dataclass(frozen=True, slots=True)
class UseFile:
    """`(use "file")`."""

    path: Name


@dataclass(frozen=True, slots=True)
class UseNames:
    """`(use $name ... from $module)` or `(use * from $module)` (then `names` is None) inside a module.

    Each pair is the name there and the name here.
    """

    span: Span
    names: tuple[tuple[Name, Name], ...] | None
    module: Name


@dataclass(frozen=True, slots=True)
class Typename:
    """`(typename $name type)`."""

    name: Name
    type: Type
    docs: str


@dataclass(frozen=True, slots=True)
class Constant:
    """`(@witx const $type $name value)`."""

    type: Name
    name: Name
    value: int
    value_span: Span
    docs: str


@dataclass(frozen=True, slots=True)
class Resource:
    """`(resource $name)`: what a handle stands for; it has no bearing on the ABI."""

    name: Name


@dataclass(frozen=True, slots=True)
class Memory:
    """`(import "name" (memory))`."""

    name: Name


@dataclass(frozen=True, slots=True)
class Function:
    """`(@interface func (export "name") ...)`; `noreturn` is the place of that mark."""

    name: Name
    params: tuple[Field, ...]
    results: tuple[Field, ...]
    noreturn: Span | None
    docs: str


ModuleItem: TypeAlias = Memory | Function | Typename | Constant | Resource | UseNames


@dataclass(frozen=True, slots=True)
class Module:
    """`(module $name ...)`."""

    name: Name
    items: tuple[ModuleItem, ...]
    docs: str


Item: TypeAlias = UseFile | Typename | Constant | Module
