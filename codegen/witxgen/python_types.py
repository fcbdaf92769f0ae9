"""How each type of the model looks in Python: its annotation, its codec, how it is read from memory and written to it.

Rules of this file: it decides, the templates only write it out. No jinja2, no text of more than one line. What Python
cannot express is refused here, with the position of the declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from witxgen import names
from witxgen.errors import Source, WitxError
from witxgen.layout import record_offsets, size_align, variant_layout
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
    Span,
    String,
    Type,
    TypeDef,
    Variant,
    strip,
)

STRUCT_CHARS = {
    "u8": "B",
    "char8": "B",
    "u16": "H",
    "u32": "I",
    "usize": "I",
    "char": "I",
    "bool": "I",
    "u64": "Q",
    "s8": "b",
    "s16": "h",
    "s32": "i",
    "s64": "q",
    "f32": "f",
    "f64": "d",
}
"""A builtin as a `struct` character."""

TUPLE_BITS = 6
"""Flags of up to this many bits are looked up in a tuple of all values, wider ones in a bounded dict."""


def is_byte(type_: Type) -> bool:
    """Whether the type is one plain byte, so that a run of them is a memoryview."""
    bare = strip(type_)
    return isinstance(bare, Builtin) and bare.name in ("u8", "char8")


def is_size(type_: Type) -> bool:
    """Whether the type can carry a length in bytes."""
    bare = strip(type_)
    return isinstance(bare, Builtin) and bare.name in ("u32", "usize")


def is_buffer(type_: Type) -> bool:
    """Whether the type is a record of a byte pointer and its length, as an iovec."""
    bare = strip(type_)
    if not isinstance(bare, Record) or bare.is_tuple or len(bare.fields) != 2:
        return False
    first, second = bare.fields
    return points_at_bytes(first.type) and is_length_of(first.name, second.name, second.type)


def points_at_bytes(type_: Type) -> bool:
    """Whether the type is a pointer to bytes."""
    bare = strip(type_)
    return isinstance(bare, Pointer) and is_byte(bare.target)


def is_length_of(pointer: str, name: str, type_: Type) -> bool:
    """Whether a parameter or field `name` is the length that belongs to the pointer before it."""
    return is_size(type_) and name in (f"{pointer}_{word}" for word in ("len", "size", "max_len", "max_size"))


def struct_char(type_: Type) -> str | None:
    """The `struct` character of a type that is one number in memory; None for anything else."""
    match strip(type_):
        case Builtin(name):
            return STRUCT_CHARS[name]
        case Handle() | Pointer():
            return "I"
        case Enum(repr=width) | Flags(repr=width):
            return STRUCT_CHARS[width]
        case _:
            return None


def number_char(type_: Type) -> str | None:
    """As `struct_char`, for a type whose value is a number in Python too: None for a pointer or a `char`."""
    bare = strip(type_)
    return None if isinstance(bare, Pointer) or bare == Builtin("char") else struct_char(type_)


def core_char(type_: Type) -> str | None:
    """The `struct` character of a number as core wasm passes it: 32 or 64 bits, signed as the type is."""
    char = struct_char(type_)
    return {"B": "I", "H": "I", "b": "i", "h": "i"}.get(char, char) if char else None


def annotation(type_: Type) -> str:
    """The type as the author of a handler writes it."""
    match type_:
        case Ref(target):
            return names.class_name(target.name)
        case Builtin(name):
            return {"f32": "float", "f64": "float", "char": "str", "bool": "bool"}.get(name, "int")
        case Handle():
            return "int"
        case String():
            return "str"
        case List(element) if is_byte(element):
            return "memoryview"
        case List(element):
            return f"list[{annotation(element)}]"
        case Pointer(target, const):
            return f"{'ConstPointer' if const else 'Pointer'}[{annotation(target)}]"
        case Record(fields, True):
            return f"tuple[{', '.join(annotation(f.type) for f in fields) or '()'}]"
        case _:
            raise TypeError(f"{type_!r} has no annotation without a name")


def owner(type_: Ref) -> TypeDef:
    """The definition that a name stands for, through any number of aliases."""
    while isinstance(type_.target.type, Ref):
        type_ = type_.target.type
    return type_.target


def table(definition: TypeDef) -> str:
    """The lookup table of an enum or of flags."""
    return names.constant_name(definition.name) + "_VALUES"


def codec(type_: Type) -> str:
    """The codec of the type, as an expression."""
    match type_:
        case Ref(target):
            if is_buffer(type_):
                return "BYTES"
            own = isinstance(target.type, (Enum, Flags, Variant, Record))
            return names.constant_name(target.name) if own else codec(target.type)
        case Builtin(name):
            return {"char8": "U8", "usize": "U32"}.get(name, name.upper())
        case Handle():
            return "U32"
        case String():
            return "TEXT"
        case List(element) if is_byte(element):
            return "BYTES"
        case List(element):
            return f"list_of({codec(element)})"
        case Pointer(target, const):
            return f"{'const_' if const else ''}pointer_to({codec(target)})"
        case _:
            raise TypeError(f"{type_!r} has no codec without a name")


def function_part(definition: TypeDef) -> str:
    """What follows `_get_` and `_put_` in the functions of a type: `event_fd_readwrite`."""
    return names.constant_name(definition.name).lower()


def get_call(type_: Type, at: str) -> str:
    """The expression that reads the type at `at`, in the module of the codecs."""
    if isinstance(type_, Ref) and isinstance(strip(type_), (Record, Variant)) and not is_buffer(type_):
        return f"_get_{function_part(owner(type_))}(guest, {at})"
    return f"{codec(type_)}.get(guest, {at})"


def put_call(type_: Type, at: str, value: str) -> str:
    """The expression that writes `value` at `at`, in the module of the codecs."""
    if isinstance(type_, Ref) and isinstance(strip(type_), (Record, Variant)) and not is_buffer(type_):
        return f"_put_{function_part(owner(type_))}(guest, {at}, {value})"
    return f"{codec(type_)}.put(guest, {at}, {value})"


@dataclass(frozen=True)
class Leaf:
    """One number of a record's flat part: how to read it from a value, and what its raw number becomes."""

    variable: str
    char: str
    offset: int
    size: int
    path: str  # "value.fd_readwrite.nbytes"


@dataclass(frozen=True)
class RecordPlan:
    """A record's codec."""

    layout: str  # the struct format, pads and all
    leaves: tuple[Leaf, ...]
    build: str  # the expression that makes the record of the leaves' variables
    parts: tuple[str, ...]  # the expressions that write members that are not numbers
    starred: bool  # whether the value itself is the run of leaves, so `*value` packs it

    @property
    def used(self) -> bool:
        """Whether the record has any bytes to read."""
        return bool(self.leaves or self.parts)


def plan_record(definition: TypeDef) -> RecordPlan:
    """The codec of a record: nested records join its struct; lists, text and variants keep their own codecs."""
    leaves: list[Leaf] = []
    parts: list[str] = []
    taken = set(names.CODEC_LOCALS)
    deepest = 0

    def walk(type_: Type, offset: int, path: str, words: tuple[str, ...]) -> str:
        nonlocal deepest
        bare = strip(type_)
        if isinstance(bare, Record) and not is_buffer(type_) and isinstance(type_, Ref):
            offsets = record_offsets(bare)
            members = []
            for i, f in enumerate(bare.fields):
                attribute = names.field_name(f.name)
                inner = f"{path}[{i}]" if bare.is_tuple else f"{path}.{attribute}"
                members.append(walk(f.type, offset + offsets[f.name], inner, (*words, attribute)))
            fields = f"({', '.join(members)}{',' if len(members) == 1 else ''})"
            return fields if bare.is_tuple else f"make(types.{names.class_name(owner(type_).name)}, {fields})"
        deepest = max(deepest, len(words))
        char = number_char(type_)
        if char is None:
            place = f"at + {offset}" if offset else "at"
            parts.append(put_call(type_, place, path))
            return get_call(type_, place)
        variable = names.local_name(names.value_name("_".join(words)), taken)
        leaves.append(Leaf(variable, char, offset, size_align(type_).size, path))
        if isinstance(bare, (Enum, Flags)) and isinstance(type_, Ref):
            return f"{table(owner(type_))}[{variable}]"
        return f"(False, True)[{variable}]" if bare == Builtin("bool") else variable

    build = walk(Ref(definition), 0, "value", ())
    size = size_align(Ref(definition)).size
    layout, at = "", 0
    for leaf in leaves:
        layout += _pad(leaf.offset - at) + leaf.char
        at = leaf.offset + leaf.size
    members = definition.type.fields if isinstance(definition.type, Record) else ()
    starred = not parts and deepest <= 1 and len(leaves) == len(members)
    return RecordPlan("<" + layout + _pad(size - at), tuple(leaves), build, tuple(parts), starred)


def _pad(count: int) -> str:
    return "" if count == 0 else "x" if count == 1 else f"{count}x"


@dataclass(frozen=True)
class CasePlan:
    """One case of a variant: its class, its tag and its payload."""

    cls: str
    member: str  # the literal of its tag
    value: int
    get: str | None  # the expressions that read and write its payload
    put: str | None
    annotation: str | None
    docs: str
    name: str


@dataclass(frozen=True)
class VariantPlan:
    """A variant's or a union's codec."""

    tag_codec: str
    get_tag: str
    size: int
    payload: int
    cases: tuple[CasePlan, ...]


def plan_variant(definition: TypeDef, variant: Variant) -> VariantPlan:
    """One class per case; the tag is the enum's member, or a number."""
    layout = variant_layout(variant)
    cases = []
    for value, case in enumerate(variant.cases):
        if variant.tag is not None:
            member = f"{names.class_name(variant.tag.name)}.{names.member_name(case.name)}"
        else:
            member = str(value)
        cls = names.case_class_name(definition.name, case.name)
        get = put = shown = None
        if case.type is not None:
            place = f"at + {layout.payload_offset}"
            get, put = get_call(case.type, place), put_call(case.type, place, "value.value")
            shown = annotation(case.type)
        cases.append(CasePlan(cls, member, value, get, put, shown, case.docs, case.name))
    tag = variant.tag_repr.upper()
    get_tag = "guest.view[at]" if tag == "U8" else f"{tag}.get(guest, at)"
    return VariantPlan(tag, get_tag, layout.size, layout.payload_offset, tuple(cases))


def refusal(span: Span, message: str, advice: str) -> WitxError:
    """The error for a declaration that witx allows and a Python host cannot implement; `advice` says what to write."""
    path = Path(span.file)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return WitxError(span, f"{message}; {advice}", Source(span.file, text).line(span.line))


def refuse_nameless(span: Span, name: str, type_: Type, *, inside: bool = True) -> None:
    """WitxError for a type that needs a Python class but has no name for it."""
    match type_:
        case Expected() | Ref() if inside and isinstance(strip(type_), Expected):
            raise refusal(
                span, f"`{name}` holds an `expected`, which only a result can be", "use a variant of the same cases"
            )
        case Variant(cases=()):
            raise refusal(span, f"`{name}` has no cases", "a type without values cannot be passed")
        case Variant() | Enum() | Flags() if inside:
            raise refusal(span, f"`{name}` holds a type without a name", "give it a (typename ...) of its own")
        case Record(fields, is_tuple):
            if inside and is_tuple:
                raise refusal(span, f"`{name}` holds a tuple without a name", "give it a (typename ...) of its own")
            for field in fields:
                refuse_nameless(span, name, field.type)
        case Variant(cases=cases):
            for case in cases:
                if case.type is not None:
                    refuse_nameless(span, name, case.type)
        case List(element) | Pointer(element, _):
            if not size_align(element).size:
                raise refusal(span, f"`{name}` lists or points at values of no bytes", "a list of them has no layout")
            refuse_nameless(span, name, element)
        case _:
            pass
