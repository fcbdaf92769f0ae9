"""What a change of a spec means for code generated from it, in words.

Rules of this file: two checked models in, lines out, in a fixed order: types, constants, modules, functions; in each
group what was removed, what was added, then what changed, in the order of the documents. Docs and the order of
declarations do not count, since generated code does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from witxgen.abi import signature
from witxgen.layout import record_offsets, size_align, variant_layout
from witxgen.model import (
    Case,
    Document,
    Enum,
    Flags,
    Function,
    Module,
    Param,
    Record,
    Type,
    TypeDef,
    Variant,
)
from witxgen.witx_text import a_kind, kind, spell

_T = TypeVar("_T")


def diff(old: Document, new: Document) -> list[str]:
    """The changes from `old` to `new`, one per line; empty if the code generated from both differs in docs only."""
    renamed = _renamed_module(old, new)
    return [
        *_types(old, new),
        *_constants(old, new),
        *_modules(old, new, renamed),
        *_functions(old, new, renamed),
    ]


def _types(old: Document, new: Document) -> Iterator[str]:
    before = {definition.name: definition for definition in old.types}
    after = {definition.name: definition for definition in new.types}
    for name in _gone(before, after):
        yield f"type {name} removed ({kind(before[name].type)})"
    for name in _gone(after, before):
        yield f"type {name} added ({kind(after[name].type)}, size {size_align(after[name].type).size})"
    for name, definition in after.items():
        if name in before:
            for line in _type(before[name], definition):
                yield f"{name}: {line}"


def _type(old: TypeDef, new: TypeDef) -> Iterator[str]:
    match old.type, new.type:
        case (Enum() as a, Enum() as b):
            yield from _change("tag", a.repr, b.repr)
            yield from _numbered("case", "", a.cases, b.cases)
        case (Flags() as a, Flags() as b):
            yield from _change("repr", a.repr, b.repr)
            yield from _numbered("flag", "bit ", a.flags, b.flags)
        case (Record() as a, Record() as b) if a.is_tuple == b.is_tuple:
            yield from _record(a, b)
        case (Variant() as a, Variant() as b):
            yield from _variant(a, b)
        case (a, b):
            yield from _change("type", _brief(a), _brief(b))
    yield from _change("size", size_align(old.type).size, size_align(new.type).size)
    yield from _change("align", size_align(old.type).align, size_align(new.type).align)


def _record(old: Record, new: Record) -> Iterator[str]:
    before = {field.name: field.type for field in old.fields}
    after = {field.name: field.type for field in new.fields}
    offsets = record_offsets(old), record_offsets(new)
    for name in _gone(before, after):
        yield f"field {name} removed (was at offset {offsets[0][name]})"
    for name in _gone(after, before):
        yield f"field {name} added at offset {offsets[1][name]}"
    yield from _moved("field", list(before), list(after))
    for name in after:
        if name in before:
            yield from _change(f"field {name}: type", spell(before[name]), spell(after[name]))
            yield from _change(f"field {name}: offset", offsets[0][name], offsets[1][name])


def _variant(old: Variant, new: Variant) -> Iterator[str]:
    yield from _change("type", a_kind(old), a_kind(new))
    yield from _change("tag", *(variant.tag.name if variant.tag else variant.tag_repr for variant in (old, new)))
    yield from _numbered("case", "", old.cases, new.cases)
    before = {case.name: case.type for case in old.cases}
    for case in new.cases:
        if case.name in before:
            yield from _change(f"case {case.name}: type", _payload(before[case.name]), _payload(case.type))
    layouts = variant_layout(old), variant_layout(new)
    yield from _change("tag size", layouts[0].tag_size, layouts[1].tag_size)
    yield from _change("payload offset", layouts[0].payload_offset, layouts[1].payload_offset)


def _numbered(what: str, unit: str, old: Sequence[Case], new: Sequence[Case]) -> Iterator[str]:
    """Changes of cases or flags: a change of place is a change of number."""
    before = {case.name: number for number, case in enumerate(old)}
    after = {case.name: number for number, case in enumerate(new)}
    for name in _gone(before, after):
        yield f"{what} {name} removed (was {unit}{before[name]})"
    for name in _gone(after, before):
        yield f"{what} {name} added as {unit}{after[name]}"
    for name, number in after.items():
        if name in before and before[name] != number:
            yield f"{what} {name} moved from {unit}{before[name]} to {unit}{number}"


def _constants(old: Document, new: Document) -> Iterator[str]:
    before = {f"{constant.type.name}.{constant.name}": constant.value for constant in old.constants}
    after = {f"{constant.type.name}.{constant.name}": constant.value for constant in new.constants}
    for name in _gone(before, after):
        yield f"constant {name} removed (was {before[name]})"
    for name in _gone(after, before):
        yield f"constant {name} added ({after[name]})"
    for name in after:
        if name in before:
            yield from _change(f"constant {name}: value", before[name], after[name])


def _renamed_module(old: Document, new: Document) -> tuple[str, str] | None:
    """The old and the new name, if exactly one module was removed and one added."""
    before = [module.name for module in old.modules]
    after = [module.name for module in new.modules]
    gone = [name for name in before if name not in after]
    come = [name for name in after if name not in before]
    return (gone[0], come[0]) if len(gone) == len(come) == 1 else None


def _modules(old: Document, new: Document, renamed: tuple[str, str] | None) -> Iterator[str]:
    before = {module.name: module for module in old.modules}
    after = {module.name: module for module in new.modules}
    if renamed:
        yield f"module {renamed[0]} renamed to {renamed[1]}"
        before[renamed[1]] = before.pop(renamed[0])
    for name in _gone(before, after):
        yield f"module {name} removed"
    for name in _gone(after, before):
        yield f"module {name} added"
    for name, module in after.items():
        if name in before:
            yield from _memories(name, before[name], module)


def _memories(name: str, old: Module, new: Module) -> Iterator[str]:
    for memory in old.memories:
        if memory not in new.memories:
            yield f"module {name}: import of memory {memory!r} removed"
    for memory in new.memories:
        if memory not in old.memories:
            yield f"module {name}: import of memory {memory!r} added"


def _functions(old: Document, new: Document, renamed: tuple[str, str] | None) -> Iterator[str]:
    before = _by_module(old, dict([renamed] if renamed else []))
    after = _by_module(new, {})
    gone, come = _gone(before, after), _gone(after, before)
    # A name that left one module and came to one other has moved there.
    moved = {
        there: here
        for there in come
        for here in gone
        if here[1] == there[1] and sum(key[1] == here[1] for key in (*gone, *come)) == 2
    }
    for module, name in gone:
        if (module, name) not in moved.values():
            yield f"function {name} removed from module {module}"
    for module, name in come:
        if (module, name) not in moved:
            yield f"function {name} added to module {module}: {_core(after[module, name])}"
    for key, function in after.items():
        source = moved.get(key, key)
        if source not in before:
            continue
        if source != key:
            yield f"{key[1]}: moved from module {source[0]} to {key[0]}"
        for line in _function(before[source], function):
            yield f"{key[1]}: {line}"


def _by_module(document: Document, renamed: Mapping[str, str]) -> dict[tuple[str, str], Function]:
    return {
        (renamed.get(module.name, module.name), function.name): function
        for module in document.modules
        for function in module.functions
    }


def _function(old: Function, new: Function) -> Iterator[str]:
    before = {param.name: param.type for param in old.params}
    after = {param.name: param.type for param in new.params}
    for name in _gone(before, after):
        yield f"parameter {name} removed"
    for name in _gone(after, before):
        yield f"parameter {name} added: {spell(after[name])}"
    yield from _moved("parameter", list(before), list(after))
    for name in after:
        if name in before:
            yield from _change(f"parameter {name}: type", spell(before[name]), spell(after[name]))
    yield from _change("result", _result(old.result), _result(new.result))
    if old.noreturn != new.noreturn:
        yield "no longer returns" if new.noreturn else "now returns"
    if signature(old) != signature(new):
        yield f"core signature was {_core(old)}, is now {_core(new)}"


def _core(function: Function) -> str:
    params, results = signature(function)
    return f"({', '.join(params)}) -> ({', '.join(results)})"


def _result(result: Param | None) -> str:
    return "none" if result is None else spell(result.type)


def _payload(type_: Type | None) -> str:
    return "none" if type_ is None else spell(type_)


def _brief(type_: Type) -> str:
    """A type in a few words: as a spec writes it, or only its kind where that would be long."""
    return a_kind(type_) if isinstance(type_, Enum | Flags | Record | Variant) else spell(type_)


def _gone(before: Mapping[_T, object], after: Mapping[_T, object]) -> list[_T]:
    return [name for name in before if name not in after]


def _change(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what} {old} -> {new}"


def _moved(what: str, old: list[str], new: list[str]) -> Iterator[str]:
    """Names whose place among the names in both lists changed; the indexes are those in the whole lists."""
    before = [name for name in old if name in new]
    after = [name for name in new if name in old]
    for name in after:
        if before.index(name) != after.index(name):
            yield f"{what} {name} moved from {old.index(name)} to {new.index(name)}"
