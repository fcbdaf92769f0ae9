"""Our layouts against the figures that the official reference text publishes, which another implementation computed.

`data/*_layout.json` holds every size, alignment, offset and bit number of the docs.md of preview1 and of preview0, and
the functions as it writes them: facts, taken over by a script once, in the order of their appearance.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from witxgen.dump import dump
from witxgen.layout import record_offsets, variant_layout
from witxgen.model import Builtin, Document, Expected, Function, List, Pointer, Record, Ref, String, Type
from witxgen.resolve import load

HERE = Path(__file__).resolve().parent
WITX = HERE.parents[1] / "witx"
ROOTS = {
    "preview1": WITX / "preview1" / "wasi_snapshot_preview1.witx",
    "preview0": WITX / "preview0" / "wasi_unstable.witx",
}
PUBLISHED: dict[str, Any] = {
    preview: json.loads((HERE / "data" / f"{preview}_layout.json").read_text("utf-8")) for preview in ROOTS
}
FIGURES = 137
"""How many sizes, offsets and bit numbers each of the two reference texts prints."""

per_preview = pytest.mark.parametrize("preview", ROOTS)


def ids(kind: str) -> list[tuple[str, str]]:
    return [(preview, name) for preview, published in PUBLISHED.items() for name in published[kind]]


@cache
def document(preview: str) -> Document:
    return load([ROOTS[preview]])


@cache
def dumped(preview: str) -> dict[str, Any]:
    ours: dict[str, Any] = json.loads(json.dumps(dump(document(preview))))
    return ours


@per_preview
def test_no_published_figure_was_lost(preview: str) -> None:
    published = PUBLISHED[preview]
    types, functions = published["types"].values(), published["functions"].values()
    counts = {
        "size": sum("size" in entry for entry in types),
        "alignment": sum("align" in entry for entry in types),
        "offset": sum(len(entry.get("fields", ())) for entry in types)
        + sum(len(entry.get("ok_offsets", ())) for entry in functions),
        "bit": sum(len(entry.get("bits", ())) for entry in types),
        "types": len(types),
        "functions": len(functions),
        "cases": sum(len(entry.get("cases", ())) for entry in types),
        "variant_layouts": sum("tag_size" in entry for entry in types) + sum("result" in entry for entry in functions),
    }
    assert counts == published["counts"]
    assert counts["size"] + counts["offset"] + counts["bit"] == FIGURES


@per_preview
def test_types_and_functions_are_the_published_ones_in_order(preview: str) -> None:
    assert list(dumped(preview)["types"]) == list(PUBLISHED[preview]["types"])
    assert list(dumped(preview)["functions"]) == list(PUBLISHED[preview]["functions"])
    assert [module.name for module in document(preview).modules] == [PUBLISHED[preview]["module"]]


@pytest.mark.parametrize(("preview", "name"), ids("types"))
def test_type(preview: str, name: str) -> None:
    ours, published = dumped(preview)["types"][name], PUBLISHED[preview]["types"][name]
    stated = {"size": ours["size"], "align": ours["align"]}
    if "fields" in ours:
        stated["fields"] = list(ours["fields"].items())
    if "flags" in ours:
        stated["bits"] = [(flag, bit) for bit, flag in enumerate(ours["flags"])]
    if "cases" in ours:
        stated["cases"] = list(ours["cases"])
    if "tag_size" in published:
        stated["tag_size"] = ours["tag_size"]
    assert stated == {key: list(fact.items()) if isinstance(fact, dict) else fact for key, fact in published.items()}


@pytest.mark.parametrize(("preview", "name"), ids("functions"))
def test_function(preview: str, name: str) -> None:
    published = PUBLISHED[preview]["functions"][name]
    function = next(function for function in document(preview).functions() if function.name == name)
    assert signature(function) == published["signature"]
    assert function.noreturn == (function.result is None) == ("result" not in published)
    if function.result is not None:
        assert result_layout(function.result.type) == (published["result"], published.get("ok_offsets", []))


def result_layout(type_: Type) -> tuple[dict[str, int], list[int]]:
    """How a result would lie in memory as a whole, and where the parts of a tuple lie in its success value."""
    assert isinstance(type_, Expected)
    layout = variant_layout(type_)
    parts = list(record_offsets(type_.ok).values()) if isinstance(type_.ok, Record) else []
    return {"size": layout.size, "align": layout.align, "tag_size": layout.tag_size}, parts


def signature(function: Function) -> str:
    """A function in the notation of the reference text."""
    params = ", ".join(f"{param.name}: {notation(param.type)}" for param in function.params)
    result = "" if function.result is None else f" -> {notation(function.result.type)}"
    return f"{function.name}({params}){result}"


def notation(type_: Type | None) -> str:
    match type_:
        case None:
            return "()"
        case Ref(target=target):
            return target.name
        case Builtin(name=name):
            return name
        case String():
            return "string"
        case List(element=element):
            return f"List<{notation(element)}>"
        case Pointer(target=target_, const=const):
            return f"{'ConstPointer' if const else 'Pointer'}<{notation(target_)}>"
        case Record(fields=fields, is_tuple=True):
            return f"({', '.join(notation(field.type) for field in fields)})"
        case Expected(ok=ok, err=err):
            return f"Result<{notation(ok)}, {notation(err)}>"
        case _:
            raise AssertionError(f"no notation for {type_}")
