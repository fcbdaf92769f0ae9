"""Types of the syntax tree to types of the model, with the rules of each kind.

Rules of this file: a record, an enum, a set of flags, a union or a handle must have a name of its own, which becomes
the name of a class; tags and sets of flags must be wide enough for their cases.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

from witxgen import syntax
from witxgen.model import (
    Builtin,
    Case,
    Enum,
    Expected,
    Field,
    Flags,
    Handle,
    IntRepr,
    List,
    Pointer,
    Record,
    Ref,
    Span,
    String,
    Type,
    TypeDef,
    Variant,
    strip,
)
from witxgen.scope import Names, Scope
from witxgen.witx_text import spell

_BITS: dict[IntRepr, int] = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}

_NEEDS_NAME = {
    syntax.Record: "a record",
    syntax.Enum: "an enum",
    syntax.Flags: "a set of flags",
    syntax.Union: "a union",
    syntax.Handle: "a handle",
}


class _Tag(NamedTuple):
    """The tag of a union or variant: `names` are the cases of an enum, `definition` is that enum (None for `bool`)."""

    repr: IntRepr
    definition: TypeDef | None
    names: tuple[str, ...] | None
    label: str


class TypeBuilder:
    """Builds the types of a document; `names` looks up the types that they use."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._error = names.error

    def build(self, type_: syntax.Type, scope: Scope, named: bool = False) -> Type:
        """The model of a type; `named` where it is the whole of a typename."""
        if not named and type(type_) in _NEEDS_NAME:
            what = _NEEDS_NAME[type(type_)]
            raise self._error(type_.span, f"{what} needs a name of its own: define it with (typename $name ...)")
        match type_:
            case syntax.Use(name=name):
                return Ref(self._names.type(scope, name))
            case syntax.Builtin(name=builtin):
                return Builtin(builtin)
            case syntax.String():
                return String()
            case syntax.Handle(resource=resource):
                if resource is not None and resource.text not in scope.resources:
                    raise self._error(resource.span, f"unknown resource `${resource.text}`")
                return Handle()
            case syntax.List(element=element):
                return List(self.build(element, scope))
            case syntax.Pointer(target=target, const=const):
                return Pointer(self.build(target, scope), const)
            case syntax.Expected(ok=ok, err=err):
                return Expected(self._optional(ok, scope), self._optional(err, scope))
            case syntax.Tuple(members=members):
                fields = (Field(str(index), self.build(member, scope), "") for index, member in enumerate(members))
                return Record(tuple(fields), is_tuple=True)
            case syntax.Record(fields=fields_):
                self._names.unique("the field {}", (field.name for field in fields_))
                return Record(tuple(Field(f.name.text, self.build(f.type, scope), f.docs) for f in fields_))
            case syntax.Enum():
                return self._enum(type_)
            case syntax.Flags():
                return self._flags(type_)
            case syntax.Union():
                return self._union(type_, scope)
            case syntax.Variant():
                return self._variant(type_, scope)

    def _optional(self, type_: syntax.Type | None, scope: Scope) -> Type | None:
        return None if type_ is None else self.build(type_, scope)

    def _repr(self, repr_: syntax.Builtin | None, what: str) -> IntRepr:
        if repr_ is None:
            return "u32"
        for width in _BITS:
            if repr_.name == width:
                return width
        raise self._error(repr_.span, f"{repr_.name} cannot be {what}; it must be u8, u16, u32 or u64")

    def _enum(self, enum: syntax.Enum) -> Enum:
        repr_ = self._repr(enum.repr, "the tag of an enum")
        self._names.unique("the case {}", enum.cases)
        self._check_room(repr_, [name.span for name in enum.cases])
        return Enum(repr_, _cases(enum.cases))

    def _flags(self, flags: syntax.Flags) -> Flags:
        repr_ = self._repr(flags.repr, "the repr of flags")
        self._names.unique("the flag {}", flags.flags)
        bits = _BITS[repr_]
        if len(flags.flags) > bits:
            message = f"{len(flags.flags)} flags do not fit {repr_}, which has {bits} bits"
            raise self._error(flags.flags[bits].span, f"{message}; this is the first that has none")
        return Flags(repr_, _cases(flags.flags))

    def _check_room(self, repr_: IntRepr, cases: list[Span]) -> None:
        room = 1 << _BITS[repr_]
        if len(cases) > room:
            message = f"{len(cases)} cases do not fit {repr_}, which numbers {room}"
            raise self._error(cases[room], f"{message}; this is the first that has no number")

    def _union(self, union: syntax.Union, scope: Scope) -> Variant:
        tag = self._tag(union.tag, scope)
        found = len(union.members)
        if tag.names is None:
            names = tuple(str(index) for index in range(found))
            self._check_room(tag.repr, [member.span for member in union.members])
        else:
            names = tag.names
            if len(names) != found:
                numbers = (
                    f"the tag {tag.label} has {_count(len(names), 'case')}, the union has {_count(found, 'member')}"
                )
                raise self._error(union.span, f"{numbers}; there must be one member for each case")
        members = zip(names, union.members, union.docs, strict=True)
        cases = tuple(Case(name, self.build(member, scope), docs) for name, member, docs in members)
        return Variant(tag.repr, tag.definition, cases, is_union=True)

    def _variant(self, variant: syntax.Variant, scope: Scope) -> Variant | Enum:
        """A variant in which no case has a payload is an enum, as the public `witx` tool has it."""
        tag = self._tag(variant.tag, scope)
        self._names.unique("the case {}", (case.name for case in variant.cases))
        cases = [Case(case.name.text, self._optional(case.type, scope), case.docs) for case in variant.cases]
        if tag.names is None:
            self._check_room(tag.repr, [case.name.span for case in variant.cases])
            return _variant_or_enum(tag, cases)
        for case in variant.cases:
            if case.name.text not in tag.names:
                known = ", ".join(f"${name}" for name in tag.names)
                raise self._error(case.name.span, f"`${case.name.text}` is not a case of the tag {tag.label} ({known})")
        by_name = {case.name: case for case in cases}
        missing = [f"`${name}`" for name in tag.names if name not in by_name]
        if missing:
            raise self._error(variant.span, f"the variant lacks {', '.join(missing)} of its tag {tag.label}")
        return _variant_or_enum(tag, [by_name[name] for name in tag.names])

    def _tag(self, tag: syntax.Type | None, scope: Scope) -> _Tag:
        if tag is None:
            return _Tag("u32", None, None, "")
        type_ = self.build(tag, scope)
        label = f"`{spell(type_)}`"
        definition = None
        while isinstance(type_, Ref):
            definition, type_ = type_.target, type_.target.type
        match type_:
            case Builtin("bool"):
                return _Tag("u32", None, ("false", "true"), label)
            case Builtin("usize"):
                return _Tag("u32", None, None, label)
            case Builtin("char8"):
                return _Tag("u8", None, None, label)
            case Builtin(name) if name in _BITS:
                return _Tag(self._repr(syntax.Builtin(tag.span, name), "a tag"), None, None, label)
            case Enum(repr=repr_, cases=cases) | Variant(tag_repr=repr_, cases=cases):
                loaded = next((case for case in cases if case.type is not None), None)
                if loaded is not None:
                    raise self._error(tag.span, f"{label} cannot be a tag: its case `${loaded.name}` carries a payload")
                return _Tag(repr_, definition, tuple(case.name for case in cases), label)
        raise self._error(
            tag.span, f"{label} cannot be a tag; it must be an enum or one of {', '.join(get_args(IntRepr))}"
        )


def _variant_or_enum(tag: _Tag, cases: list[Case]) -> Variant | Enum:
    if cases and all(case.type is None for case in cases):
        return Enum(tag.repr, tuple(cases))
    return Variant(tag.repr, tag.definition, tuple(cases), is_union=False)


def _cases(names: tuple[syntax.Name, ...]) -> tuple[Case, ...]:
    return tuple(Case(name.text, None, name.docs) for name in names)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def constant_range(type_: Type) -> range | None:
    """The values a constant of a type can have; None where the type takes no constants."""
    match strip(type_):
        case Builtin("u8" | "char8"):
            return range(1 << 8)
        case Builtin("u16"):
            return range(1 << 16)
        case Builtin("u32" | "usize") | Handle():
            return range(1 << 32)
        case Builtin("u64"):
            return range(1 << 64)
        case Builtin("s8" | "s16" | "s32" | "s64" as name):
            half = 1 << (int(name[1:]) - 1)
            return range(-half, half)
        case Flags(repr=repr_):
            return range(1 << _BITS[repr_])
    return None
