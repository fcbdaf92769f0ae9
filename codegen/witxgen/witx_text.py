"""Types of the model in the words of the spec, for errors, dumps and diffs."""

from __future__ import annotations

from witxgen.model import (
    Builtin,
    Enum,
    Expected,
    Flags,
    Handle,
    List,
    Pointer,
    Record,
    Ref,
    String,
    Type,
    Variant,
    strip,
)


def kind(type_: Type) -> str:
    """The word for a type: that of its form, or `alias` where it is another name for a type."""
    match type_:
        case Ref() | Builtin():
            return "alias"
        case Pointer(const=True):
            return "const_pointer"
        case Record(is_tuple=True):
            return "tuple"
        case Variant(is_union=True):
            return "union"
    return type(type_).__name__.lower()


def a_kind(type_: Type) -> str:
    """The kind of a type, through its aliases, with an article: `an enum`, `a list`, `flags`, `bool`."""
    behind = strip(type_)
    if isinstance(behind, Builtin | Flags):
        return behind.name if isinstance(behind, Builtin) else "flags"
    word = kind(behind)
    return f"an {word}" if word[0] in "aeiou" and word != "union" else f"a {word}"


def spell(type_: Type, sigil: str = "$") -> str:
    """A type as a spec would write it in one line; named types by their name, with `sigil` before it."""
    match type_:
        case Ref(target):
            return f"{sigil}{target.name}"
        case Builtin("usize" | "char8" as name):
            return f"(@witx {name})"
        case Builtin(name):
            return name
        case String():
            return "string"
        case Handle():
            return "(handle)"
        case List(element):
            return f"(list {spell(element, sigil)})"
        case Pointer(target=pointed, const=const):
            return f"(@witx {'const_pointer' if const else 'pointer'} {spell(pointed, sigil)})"
        case Record(fields, is_tuple=True):
            return _form("tuple", [spell(field.type, sigil) for field in fields])
        case Record(fields):
            return _form("record", [f"(field ${field.name} {spell(field.type, sigil)})" for field in fields])
        case Enum(repr=repr_, cases=cases):
            return _form(f"enum (@witx tag {repr_})", [f"${case.name}" for case in cases])
        case Flags(repr=repr_, flags=flags):
            return _form(f"flags (@witx repr {repr_})", [f"${flag.name}" for flag in flags])
        case Variant(is_union=True, cases=cases) as union:
            return _form(
                f"union (@witx tag {_tag(union, sigil)})", [spell(case.type, sigil) for case in cases if case.type]
            )
        case Variant(cases=cases) as variant:
            spelled = [_form(f"case ${case.name}", [spell(case.type, sigil)] if case.type else []) for case in cases]
            return _form(f"variant (@witx tag {_tag(variant, sigil)})", spelled)
        case Expected(ok, err):
            error = _form("error", [spell(err, sigil)] if err else [])
            return _form("expected", [*([spell(ok, sigil)] if ok else []), error])


def _form(word: str, parts: list[str]) -> str:
    return f"({' '.join([word, *parts])})"


def _tag(variant: Variant, sigil: str) -> str:
    return f"{sigil}{variant.tag.name}" if variant.tag else variant.tag_repr
