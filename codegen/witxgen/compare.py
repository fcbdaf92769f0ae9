"""Compares two witx documents: does one declare exactly what the other does? `python -m witxgen.compare OURS OFFICIAL`.

Rules: comments and positions do not count; names, order, types, representations, results, modules and constants do.
Each difference is one plain sentence that names the declaration it is in. A type that uses a named type is compared by
that name only: a change inside the named type is reported once, where it is declared.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from witxgen.errors import WitxError
from witxgen.model import Document, Enum, Flags, Function, Module, Record, Type, Variant
from witxgen.resolve import load
from witxgen.witx_text import spell


@dataclass(frozen=True, slots=True)
class _Shape:
    """A declaration without its comments: what it is, and its members by name, each written out."""

    head: str
    member: str
    members: dict[str, str]


def compare(ours: Document, official: Document) -> list[str]:
    """Every difference between two documents as a sentence, first those of the types; empty if there is none."""
    found = _compare_all("type", "types", _types(ours), _types(official))
    found += _compare_all("module", "modules", _modules(ours), _modules(official))
    theirs = {module.name: module for module in official.modules}
    for module in ours.modules:
        if module.name in theirs:
            place = f"functions of the module `{module.name}`"
            found += _compare_all("function", place, _functions(module), _functions(theirs[module.name]))
    return found + _compare_all("constant", "constants", _constants(ours), _constants(official))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One folder of .witx files compared with its official copy."""

    folder: Path
    official: Path
    compared: str
    """What the folder declares, as counts: "62 types, 1 module, 45 functions, 0 constants"."""
    differences: list[str]


def compare_folders(ours: Path, official: Path) -> list[Comparison]:
    """Compare every subfolder of `ours` that has .witx files (preview1, preview0) with the official one of its name.

    Raises FileNotFoundError where one of the two has none, and WitxError on files that are not valid witx.
    """
    folders = [folder for folder in sorted(ours.iterdir()) if folder.is_dir() and _sources(folder)]
    if not folders:
        raise FileNotFoundError(f"no .witx files in the subfolders of {ours}")
    found = []
    for folder in folders:
        theirs = official_folder(official, folder.name)
        document = load(_sources(folder))
        differences = compare(document, load(_sources(theirs)))
        found.append(Comparison(folder, theirs, _counts(document), differences))
    return found


def _counts(document: Document) -> str:
    counts = {
        "type": len(document.types),
        "module": len(document.modules),
        "function": len(list(document.functions())),
        "constant": len(document.constants),
    }
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items())


def official_folder(official: Path, name: str) -> Path:
    """The folder of the official .witx files called `name`, in a plain copy or in a checkout of WebAssembly/WASI.

    Raises FileNotFoundError.
    """
    for folder in (official / name, official / name / "witx", official / "legacy" / name / "witx"):
        if _sources(folder):
            return folder
    raise FileNotFoundError(f"no .witx files for {name} in {official}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was compared and each difference; 0 if there is none, 1 if there are, 2 if they cannot be compared."""
    paths = sys.argv[1:] if arguments is None else arguments
    if len(paths) != 2:
        print("usage: python -m witxgen.compare OURS OFFICIAL", file=sys.stderr)
        return 2
    try:
        found = compare_folders(Path(paths[0]), Path(paths[1]))
    except (OSError, WitxError) as error:
        print(error, file=sys.stderr)
        return 2
    for done in found:
        number = len(done.differences)
        result = "no differences" if not number else f"{number} difference{'s' if number > 1 else ''}"
        print(f"{done.folder} against {done.official}: {result} ({done.compared})")
        for line in done.differences:
            print(f"{done.folder.name}: {line}")
    return 1 if any(done.differences for done in found) else 0


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.witx"))


def _compare_all(kind: str, place: str, ours: dict[str, _Shape], official: dict[str, _Shape]) -> list[str]:
    """The differences between the declarations of one kind."""
    found = _compare_names(place, list(ours), list(official))
    for name, shape in ours.items():
        if name in official:
            found += _compare_one(f"{kind} `{name}`", shape, official[name])
    return found


def _compare_one(where: str, ours: _Shape, official: _Shape) -> list[str]:
    found = []
    if ours.head != official.head:
        found.append(f"The {where} is `{ours.head}`, officially `{official.head}`.")
    found += _compare_names(f"{ours.member}s of the {where}", list(ours.members), list(official.members))
    for name, text in ours.members.items():
        expected = official.members.get(name, text)
        if text != expected:
            found.append(f"The {ours.member} `{name}` of the {where} is `{text}`, officially `{expected}`.")
    return found


def _compare_names(place: str, ours: list[str], official: list[str]) -> list[str]:
    """What is missing, what is too much, and, if the lists differ in nothing else, where their order parts."""
    found = [f"`{name}` is missing from the {place}." for name in official if name not in ours]
    found += [f"`{name}` is not official among the {place}." for name in ours if name not in official]
    if not found:
        for name, expected in zip(ours, official, strict=True):
            if name != expected:
                return [f"The {place} are in another order: `{name}` comes where `{expected}` officially does."]
    return found


def _types(document: Document) -> dict[str, _Shape]:
    return {definition.name: _type_shape(definition.type) for definition in document.types}


def _modules(document: Document) -> dict[str, _Shape]:
    return {
        module.name: _Shape("module", "memory import", dict.fromkeys(module.memories, "memory"))
        for module in document.modules
    }


def _functions(module: Module) -> dict[str, _Shape]:
    return {function.name: _function_shape(function) for function in module.functions}


def _constants(document: Document) -> dict[str, _Shape]:
    return {f"{item.type.name}::{item.name}": _Shape(str(item.value), "part", {}) for item in document.constants}


def _type_shape(type_: Type) -> _Shape:
    match type_:
        case Enum(repr=repr_, cases=cases):
            return _Shape(f"enum of {repr_}", "case", dict.fromkeys((case.name for case in cases), ""))
        case Flags(repr=repr_, flags=flags):
            return _Shape(f"flags of {repr_}", "flag", dict.fromkeys((flag.name for flag in flags), ""))
        case Record(fields=fields, is_tuple=is_tuple):
            head = "tuple" if is_tuple else "record"
            return _Shape(head, "field", {field.name: spell(field.type) for field in fields})
        case Variant(cases=cases):
            payloads = {case.name: "empty" if case.type is None else spell(case.type) for case in cases}
            return _Shape(_variant_head(type_), "case", payloads)
        case _:
            return _Shape(spell(type_), "part", {})


def _function_shape(function: Function) -> _Shape:
    head = "function"
    if function.result is not None:
        head += f" (result ${function.result.name} {spell(function.result.type)})"
    if function.noreturn:
        head += " (@witx noreturn)"
    return _Shape(head, "parameter", {param.name: spell(param.type) for param in function.params})


def _variant_head(type_: Variant) -> str:
    tag = "" if type_.tag is None else f" ${type_.tag.name}"
    return f"{'union' if type_.is_union else 'variant'} by{tag} of {type_.tag_repr}"


if __name__ == "__main__":
    sys.exit(main())
