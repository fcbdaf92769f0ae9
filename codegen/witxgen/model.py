"""The checked model of a witx document: what the language-free half of the generator hands to the rest.

Rules of this file: frozen data only; no text of the source, no Python names, no sizes. Names are the spec's own,
without the `$`. Every named type is one `TypeDef` object and every use of it is a `Ref` to that object, so identity
is meaning. What does not satisfy these types was refused by `resolve` with a position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

IntRepr: TypeAlias = Literal["u8", "u16", "u32", "u64"]
"""What may carry a tag or a set of flags."""

BuiltinName: TypeAlias = Literal[
    "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64", "char", "char8", "usize", "bool"
]


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a source: 1-based line and column."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Builtin:
    """A number, a `char` (a Unicode scalar value in 4 bytes), a `char8`, a `usize` or a `bool` (4 bytes)."""

    name: BuiltinName


@dataclass(frozen=True, slots=True)
class Handle:
    """An opaque 32-bit number of the host's."""


@dataclass(frozen=True, slots=True)
class String:
    """UTF-8 text by address and length."""


@dataclass(frozen=True, slots=True)
class List:
    """Elements by address and count."""

    element: Type


@dataclass(frozen=True, slots=True)
class Pointer:
    """A 32-bit address of one or more values; `const` where the function only reads through it."""

    target: Type
    const: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One case of an enum, a variant or a union; `type` is its payload."""

    name: str
    type: Type | None
    docs: str


@dataclass(frozen=True, slots=True)
class Enum:
    """Named numbers from 0."""

    repr: IntRepr
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Flags:
    """Named bits from bit 0; the `type` of each case is None."""

    repr: IntRepr
    flags: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record or a tuple (whose fields are named 0, 1, ...)."""

    name: str
    type: Type
    docs: str


@dataclass(frozen=True, slots=True)
class Record:
    """Fields one after the other, each at its own alignment; a tuple is the same without names."""

    fields: tuple[Field, ...]
    is_tuple: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """A tag and, by its value, one payload. Cases are in the order of the tag's values; at least one has a payload.

    `tag` is the enum that names the cases, or None where the tag is a plain integer of `tag_repr`.
    `is_union` keeps the word of the source: a union's cases have no names of their own, only the tag's.
    """

    tag_repr: IntRepr
    tag: TypeDef | None
    cases: tuple[Case, ...]
    is_union: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """A success value or an error, as a function returns it."""

    ok: Type | None
    err: Type | None


@dataclass(frozen=True, slots=True)
class Ref:
    """A use of a named type."""

    target: TypeDef


Type: TypeAlias = Builtin | Handle | String | List | Pointer | Enum | Flags | Record | Variant | Expected | Ref


@dataclass(frozen=True, slots=True, eq=False)
class TypeDef:
    """`(typename $name type)`."""

    name: str
    type: Type
    docs: str
    span: Span


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter or a result of a function."""

    name: str
    type: Type
    docs: str


@dataclass(frozen=True, slots=True)
class Function:
    """`(@interface func (export "name") ...)`."""

    name: str
    params: tuple[Param, ...]
    result: Param | None
    noreturn: bool
    docs: str
    span: Span


@dataclass(frozen=True, slots=True)
class Module:
    """`(module $name ...)`: the functions a guest imports under that name; `memories` are the imports it asks for."""

    name: str
    memories: tuple[str, ...]
    functions: tuple[Function, ...]
    docs: str
    span: Span


@dataclass(frozen=True, slots=True)
class Constant:
    """`(@witx const $type $name value)`."""

    type: TypeDef
    name: str
    value: int
    docs: str


@dataclass(frozen=True, slots=True)
class Document:
    """All that a set of files declares, in the order of their reading."""

    types: tuple[TypeDef, ...]
    modules: tuple[Module, ...]
    constants: tuple[Constant, ...] = field(default=())

    def functions(self) -> Iterator[Function]:
        """Every function of every module, in order."""
        for module in self.modules:
            yield from module.functions


def strip(type_: Type) -> Type:
    """The type that a name stands for, through any number of aliases."""
    while isinstance(type_, Ref):
        type_ = type_.target.type
    return type_
