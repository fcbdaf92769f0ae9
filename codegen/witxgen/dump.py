"""The checked model as data: what `witxgen dump` prints and generated packages carry.

Rules of this file: plain dicts, lists, strings and numbers, in the order of the spec; names without `$`.
"""

from __future__ import annotations

from witxgen.abi import signature
from witxgen.layout import record_offsets, size_align, variant_layout
from witxgen.model import (
    Builtin,
    Case,
    Document,
    Enum,
    Expected,
    Flags,
    List,
    Pointer,
    Record,
    Ref,
    Type,
    Variant,
)
from witxgen.witx_text import kind, spell


def dump(document: Document) -> dict[str, object]:
    """`types`, `functions` and, where there are some, `constants` of a document, ready for `json.dumps`.

    A function whose name another module has already used is listed as `module.name`.
    """
    functions: dict[str, object] = {}
    for module in document.modules:
        for function in module.functions:
            params, results = signature(function)
            key = f"{module.name}.{function.name}" if function.name in functions else function.name
            functions[key] = {"module": module.name, "params": list(params), "results": list(results)}
    dumped: dict[str, object] = {
        "types": {definition.name: describe(definition.type) for definition in document.types},
        "functions": functions,
    }
    if document.constants:
        dumped["constants"] = {f"{c.type.name}.{c.name}": c.value for c in document.constants}
    return dumped


def describe(type_: Type) -> dict[str, object]:
    """The entry of one type: its kind, size and alignment, then what its kind has."""
    size, align = size_align(type_)
    return {"kind": kind(type_), "size": size, "align": align, **_details(type_)}


def _details(type_: Type) -> dict[str, object]:
    match type_:
        case Ref(target):
            return {"target": target.name}
        case Builtin(name):
            return {"target": name}
        case List(element) | Pointer(target=element):
            return {"element": _short(element)}
        case Enum(repr=repr_, cases=cases):
            return {"repr": repr_, "cases": _names(cases)}
        case Flags(repr=repr_, flags=flags):
            return {"repr": repr_, "flags": _names(flags)}
        case Record():
            return {"fields": record_offsets(type_)}
        case Variant(cases=cases):
            return {"cases": _names(cases), **_tagged(type_)}
        case Expected():
            return {"cases": ["ok", "err"], **_tagged(type_)}
    return {}


def _tagged(type_: Variant | Expected) -> dict[str, object]:
    layout = variant_layout(type_)
    return {"tag_size": layout.tag_size, "payload_offset": layout.payload_offset}


def _names(cases: tuple[Case, ...]) -> list[str]:
    return [case.name for case in cases]


def _short(type_: Type) -> str:
    """A type by its bare name where it has one, else as the spec would write it."""
    return type_.name if isinstance(type_, Builtin) else spell(type_, sigil="")
