"""What a module is and wants, read from its sections without compiling it.

Rules of this file: the binary format's own names (sections, LEB128); bytes that are no module are a ModuleError, never
another exception. Only what is told here is read; code and data are stepped over.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from wasi_preview1.signatures import SIGNATURES

from wasihost.errors import ModuleError
from wasihost.names import shown
from wasihost.toolchains import made_for

_KINDS = ("func", "table", "memory", "global", "tag")
_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
_PREVIEW1, _PREVIEW0 = "wasi_snapshot_preview1", "wasi_unstable"
_NOTES = {"sock_accept": "needs --tcplisten"}
_SPECS = {_PREVIEW1: "WASI preview1", _PREVIEW0: "WASI preview0"}


class Import(NamedTuple):
    """An import: `module.name`, of which kind, with which type."""

    module: str
    name: str
    kind: str
    type: str


class Report(NamedTuple):
    """What `inspect` found. `memory` is in pages of 64 KiB: least, most, and whether it is shared."""

    name: str
    kind: str
    how: str
    imports: list[Import]
    exports: dict[str, str]
    memory: tuple[int, int | None, bool] | None
    features: list[str]
    producers: dict[str, list[str]]
    problems: list[str]

    def json(self) -> str:
        """For machines."""
        fields = self._asdict()
        fields["imports"] = [one._asdict() for one in self.imports]
        return json.dumps(fields, indent=2, ensure_ascii=False)

    def text(self) -> str:
        """For people."""
        lines = [f"{self.name}: {self.kind}", f"run it with: {self.how}"]
        if self.memory:
            least, most, shared = self.memory
            above = f" to {most * 64:,} KiB" if most is not None else ""
            lines.append(f"memory: {least * 64:,} KiB{above}{', shared' * shared}")
        lines += [f"features: {', '.join(self.features)}"] * bool(self.features)
        lines += [f"{field}: {', '.join(values)}" for field, values in self.producers.items()]
        for module, count in Counter(one.module for one in self.imports).items():
            lines.append(f"\nimports from {shown(module)} ({spec(module, self.imports)}): {count}")
            for one in self.imports:
                if one.module == module:
                    note = _NOTES.get(one.name, "") if module in (_PREVIEW0, _PREVIEW1) else ""
                    lines.append(f"  {shown(one.name)}{one.type}" + f"   {note}" * bool(note))
        if self.exports:
            lines += ["\nexports:", *(f"  {shown(name)}{type_}" for name, type_ in self.exports.items())]
        if self.problems:
            lines += ["\nnot served here:", *(f"  {one}" for one in self.problems)]
        return "\n".join(lines)


def spec(module: str, imports: Sequence[Import]) -> str:
    """What defines the functions of an import module; `imports` are all that the guest has."""
    host = made_for(module, [one.name for one in imports if one.module == module])
    return host.host if host else _SPECS.get(module, "the embedder: give them with Imports")


class _Reader:
    """The bytes of a section, read in order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        """One."""
        if self.at >= len(self.data):
            raise ModuleError("the module ends in the middle of a section")
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """An unsigned LEB128."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 63:
                raise ModuleError("the module has a number that is too long")

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if size > len(self.data) - self.at:
            raise ModuleError("the module ends in the middle of a section")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        """A name."""
        return self.take(self.number()).decode("utf-8", "replace")

    def types(self) -> list[str]:
        """A vector of value types."""
        return [_TYPES.get(self.byte(), "?") for _ in range(self.number())]

    def limits(self) -> tuple[int, int | None, bool]:
        """Of a memory or table: least, most, shared."""
        flags = self.number()
        least = self.number()
        return least, self.number() if flags & 1 else None, bool(flags & 2)


class _Sections:
    """What the sections of a module say."""

    def __init__(self, code: bytes) -> None:
        self.types: list[str] = []
        self.imports: list[Import] = []
        self.functions: list[str] = []
        self.exports: dict[str, str] = {}
        self.memory: tuple[int, int | None, bool] | None = None
        self.features: list[str] = []
        self.producers: dict[str, list[str]] = {}
        self.starts = False
        whole = _Reader(code)
        whole.take(8)
        while whole.at < len(code):
            number, content = whole.byte(), _Reader(whole.take(whole.number()))
            read = {0: self.custom, 1: self.type, 2: self.import_, 3: self.function, 5: self.memories, 7: self.export,
                    8: self.start}  # fmt: skip
            if number in read:
                read[number](content)

    def type(self, section: _Reader) -> None:
        """Function types; what is not plain stops the reading, as only names are told then."""
        for _ in range(section.number()):
            if section.byte() != 0x60:
                return
            self.types.append(f"({', '.join(section.types())}) -> ({', '.join(section.types())})")

    def _type(self, index: int) -> str:
        return self.types[index] if index < len(self.types) else "(?)"

    def import_(self, section: _Reader) -> None:
        """Imports of every kind."""
        for _ in range(section.number()):
            module, name, kind = section.text(), section.text(), section.byte()
            type_ = ""
            if kind == 0:
                type_ = self._type(section.number())
                self.functions.append(type_)
            elif kind == 1:
                section.byte()
                section.limits()
            elif kind == 2:
                self.memory = section.limits()
            elif kind == 3:
                section.take(2)
            else:
                section.take(1)
                section.number()
            self.imports.append(Import(module, name, _KINDS[kind] if kind < len(_KINDS) else "?", type_))

    def function(self, section: _Reader) -> None:
        """The types of the module's own functions."""
        self.functions += [self._type(section.number()) for _ in range(section.number())]

    def memories(self, section: _Reader) -> None:
        """The first of them."""
        if section.number():
            self.memory = section.limits()

    def start(self, _section: _Reader) -> None:
        """A function that runs while an instance is made."""
        self.starts = True

    def export(self, section: _Reader) -> None:
        """Names with the type of what is a function, or the kind of what is not."""
        for _ in range(section.number()):
            name, kind, index = section.text(), section.byte(), section.number()
            if kind == 0:
                self.exports[name] = self.functions[index] if index < len(self.functions) else "(?)"
            else:
                self.exports[name] = f" ({_KINDS[kind] if kind < len(_KINDS) else '?'})"

    def custom(self, section: _Reader) -> None:
        """What tools tell of themselves."""
        name = section.text()
        try:
            if name == "target_features":
                self.features = [f"{chr(section.byte()).strip('+')}{section.text()}" for _ in range(section.number())]
            elif name == "producers":
                for _ in range(section.number()):
                    field = section.text()
                    values = [" ".join(filter(None, (section.text(), section.text()))) for _ in range(section.number())]
                    self.producers[field] = values
        except ModuleError:
            return  # a custom section may be anything


def inspect(code: bytes, name: str) -> Report:
    """Look at a module in binary or text form. ModuleError for what is neither."""
    if not code.startswith(b"\0asm"):
        from wasihost.engines.wasmtime.module import assemble

        code = assemble(code, name)
    if code[4:8] != b"\x01\0\0\0":
        kind = "a component (WASI preview2)" if code[6:8] == b"\x01\0" else "of an unknown version of WebAssembly"
        return Report(name, kind, "nothing here: build it for wasm32-wasip1", [], {}, None, [], {}, [])
    found = _Sections(code)
    kind, how = _kind(found, name)
    return Report(
        name, kind, how, found.imports, found.exports, found.memory, found.features, found.producers, _problems(found)
    )  # fmt: skip


def _kind(found: _Sections, name: str) -> tuple[str, str]:
    for module in sorted({one.module for one in found.imports}):
        if host := made_for(module, [one.name for one in found.imports if one.module == module]):
            return f"made for {host.host}", f"nothing here: {host.advice}"
    if "_start" in found.exports:
        return "a command", f"wasihost run {name}"
    functions = [one for one, type_ in found.exports.items() if not type_.startswith(" ")]
    example = next((one for one in functions if not one.startswith("_")), "FUNC")
    if "_initialize" in found.exports:
        return "a reactor", f"wasihost run --invoke {example} {name}, or wasihost.instantiate({name!r})"
    if found.starts and not functions:
        return "a command of the old kind, which is its start section", f"wasihost run {name}"
    return ("a library" if functions else "nothing to call"), f"wasihost run --invoke {example} {name}"


def _problems(found: _Sections) -> list[str]:
    out = []
    specs = {module: spec(module, found.imports) for module in {one.module for one in found.imports}}
    for one in found.imports:
        if one.kind == "memory":
            continue  # which the guest is given; what is wrong with it is told below
        if one.kind != "func":
            out.append(f"{shown(one.module)}.{shown(one.name)}: an imported {one.kind}")
        elif one.module in SIGNATURES and one.name not in SIGNATURES[one.module]:
            out.append(f"{shown(one.module)}.{shown(one.name)}: no such function in the spec")
        elif one.module not in (_PREVIEW1, _PREVIEW0):
            out.append(f"{shown(one.module)}.{shown(one.name)}: from {specs[one.module]}")
    if found.memory and found.memory[2]:
        out.append("a shared memory")
    return out
