"""How a function of a spec looks to core WebAssembly: the flattening of the first WASI ABI.

Rules of this file: from the model alone, no target language. A parameter that core wasm can hold is passed as a value,
a list or a string as address and length, anything else by address. A result is returned as a value, except that an
`expected` returns its error number and stores what it yields through pointers that follow the parameters: one for
the ok value, or one per member where that is a tuple.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from witxgen.model import (
    Builtin,
    Enum,
    Expected,
    Flags,
    Function,
    Handle,
    IntRepr,
    List,
    Pointer,
    Record,
    Ref,
    String,
    Type,
    Variant,
    strip,
)
from witxgen.witx_text import a_kind, spell

CoreType: TypeAlias = Literal["i32", "i64", "f32", "f64"]

_WIDE: dict[str, CoreType] = {"u64": "i64", "s64": "i64", "f32": "f32", "f64": "f64"}


class Signature(NamedTuple):
    """The core type of a function."""

    params: tuple[CoreType, ...]
    results: tuple[CoreType, ...]


class Slot(NamedTuple):
    """One core parameter.

    `param` is the index of the parameter it belongs to, None for a result pointer. `role` is `value`, `address` (of the
    elements of a list, of a string's bytes or of a value in memory), `length` (of a list in elements, of a string in
    bytes) or `result` (the address where a part of the ok value is stored).
    """

    name: str
    core: CoreType
    param: int | None
    role: Literal["value", "address", "length", "result"]


class Outcome(NamedTuple):
    """The two sides of a type that is a success or a failure, and the width of its tag."""

    ok: Type | None
    err: Type | None
    tag: IntRepr


def outcome(type_: Type) -> Outcome | None:
    """The sides of `(expected ...)`, or of a variant with the cases `ok` and `err`; None for other types."""
    match strip(type_):
        case Expected(ok, err):
            return Outcome(ok, err, "u32")
        case Variant(tag_repr=tag, cases=cases) | Enum(repr=tag, cases=cases):
            if tuple(case.name for case in cases) == ("ok", "err"):
                return Outcome(cases[0].type, cases[1].type, tag)
    return None


def is_enum_like(type_: Type) -> bool:
    """Whether a type is only a tag, so that it is passed as a value."""
    return isinstance(strip(type_), Enum) or strip(type_) == Expected(None, None)


def ok_types(type_: Type) -> tuple[Type, ...]:
    """The types that a result stores through result pointers, in their order."""
    sides = outcome(type_)
    if sides is None or sides.ok is None:
        return ()
    ok = strip(sides.ok)
    if isinstance(ok, Record) and ok.is_tuple:
        return tuple(member.type for member in ok.fields)
    return (sides.ok,)


def core_value(type_: Type) -> CoreType:
    """The core type of a type passed as one value or by address."""
    match strip(type_):
        case Builtin(name):
            return _WIDE.get(name, "i32")
        case Flags("u64"):
            return "i64"
    return "i32"


def flat_params(function: Function) -> list[Slot]:
    """The core parameters of a function in order: those of the parameters, then the result pointers.

    A length is named after its parameter with `_len`; result pointers are `result`, or `result_0` and on where the ok
    value is a tuple.
    """
    slots: list[Slot] = []
    for index, param in enumerate(function.params):
        match strip(param.type):
            case String() | List():
                slots.append(Slot(param.name, "i32", index, "address"))
                slots.append(Slot(f"{param.name}_len", "i32", index, "length"))
            case Builtin() | Handle() | Pointer() | Flags() | Enum():
                slots.append(Slot(param.name, core_value(param.type), index, "value"))
            case _:
                role: Literal["value", "address"] = "value" if is_enum_like(param.type) else "address"
                slots.append(Slot(param.name, "i32", index, role))
    if function.result is not None:
        stored = ok_types(function.result.type)
        sides = outcome(function.result.type)
        single = sides is not None and sides.ok is not None and not _is_tuple(sides.ok)
        names = ["result"] if single else [f"result_{index}" for index in range(len(stored))]
        slots += (Slot(name, "i32", None, "result") for name in names)
    return slots


def signature(function: Function) -> Signature:
    """The core signature of a function."""
    params = tuple(slot.core for slot in flat_params(function))
    if function.result is None:
        return Signature(params, ())
    sides = outcome(function.result.type)
    if sides is not None:
        return Signature(params, ("i64" if sides.tag == "u64" else "i32",))
    return Signature(params, (core_value(function.result.type),))


def refusal(result: Type) -> str | None:
    """Why the ABI cannot express a result type and what to write instead; None where it can."""
    sides = outcome(result)
    if sides is None:
        match strip(result):
            case Builtin(name) if name != "bool":
                return None
            case Handle() | Pointer() | Flags():
                return None
        return (
            f"{a_kind(result)} cannot be a result: only numbers, handles, pointers, flags and (expected ...) fit the "
            "ABI; return (expected $type (error $errno)) of named types"
        )
    if sides.err is not None and not isinstance(sides.err, Ref):
        return f"the error of a result must be a named type, not {spell(sides.err)}; give it a typename"
    for stored in ok_types(result):
        if not isinstance(stored, Ref):
            return f"what a result yields must be of a named type, not {spell(stored)}; give it a typename"
    return None


def _is_tuple(type_: Type) -> bool:
    behind = strip(type_)
    return isinstance(behind, Record) and behind.is_tuple
