"""The sections of a core module, read one after the other: what `inspection` and `components` stand on.

Rules of this file: the binary format's own names (sections, LEB128); bytes that are not a module are a ModuleError,
never another exception. Code and data are stepped over. Memory stays within 10 times the size of the file: an import
takes 4 bytes there and 300 here. What is listed has a `Room`; the rest is counted, and read again where it is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from wasihost.errors import ModuleError

_KINDS = ("func", "table", "memory", "global", "tag")
_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
    0x74: "nullexnref",
    0x73: "nullfuncref",
    0x72: "nullexternref",
    0x71: "nullref",
    0x6E: "anyref",
    0x6D: "eqref",
    0x6C: "i31ref",
    0x6B: "structref",
    0x6A: "arrayref",
    0x69: "exnref",
}
_REFERENCES = (0x63, 0x64)
_FUNC, _STRUCT, _ARRAY, _GROUP, _SUBTYPES = 0x60, 0x5F, 0x5E, 0x4E, (0x50, 0x4F)
_UNKNOWN = "(?) -> (?)"


class Import(NamedTuple):
    """An import: `module.name`, of which kind, with which type."""

    module: str
    name: str
    kind: str
    type: str


_ITEM = 1_000
_LETTER = 12
"""Bytes of memory for an item of a report and each byte of its names, with the report's text and JSON."""


class Room:
    """How many bytes of memory one list of a report may take."""

    def __init__(self, left: int) -> None:
        self.left: int = left

    def take(self, letters: int, item: int = _ITEM) -> bool:
        """Take room for an item whose names have `letters` characters. Returns False where there is too little."""
        cost = item + _LETTER * letters
        if cost > self.left:
            return False
        self.left -= cost
        return True


class Rooms:
    """What may be listed of a file of `size` bytes: 1,000 items in each list, and more in proportion to its size."""

    def __init__(self, size: int) -> None:
        self.imports: Room = Room(1_000 * _ITEM + 3 * size)
        self.exports: Room = Room(1_000 * _ITEM + 3 * size)
        self.tools: Room = Room(1_000 * _ITEM + size)


class SectionReader:
    """The bytes of a section, read in order."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data: memoryview = memoryview(data)
        self.at: int = 0

    def byte(self) -> int:
        """One byte."""
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

    def take(self, size: int) -> memoryview:
        """`size` bytes, which are not copied."""
        if size > len(self.data) - self.at:
            raise ModuleError("the module ends in the middle of a section")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        """A name."""
        return str(self.take(self.number()), "utf-8", "replace")

    def types(self) -> str:
        """A vector of value types as text, of which the first are shown: every import may have one long type."""
        count = self.number()
        shown = [self.value_type() for _ in range(min(count, _SHOWN))]
        if count > _SHOWN:
            shown.append(f"and {count - _SHOWN:,} more")
        return ", ".join(shown)

    def skip_types(self) -> None:
        """Step over a vector of value types."""
        for _ in range(self.number()):
            self.value_type()

    def value_type(self) -> str:
        """The name of a type; "?" for a reference to one of the module's own types, or an unknown type."""
        code = self.byte()
        if code in _REFERENCES:
            self.number()  # the heap type
        return _TYPES.get(code, "?")

    def limits(self) -> tuple[int, int | None, bool]:
        """The limits of a memory or table: smallest size, largest size, shared."""
        flags = self.number()
        least = self.number()
        most = self.number() if flags & 1 else None
        if flags & 8:
            self.number()  # the size of a page
        return least, most, bool(flags & 2)


_SHOWN = 32
"""How many value types of one function are shown."""
_LARGEST = 0xFFFF_FFFF
"""Largest index."""
_ENTRIES = ("_start", "_initialize")


def sections_of(code: bytes | memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """The number of each section, the offset of its content, and that content. ModuleError where the bytes end."""
    reader = SectionReader(code)
    reader.take(8)
    while reader.at < len(code):
        number, size = reader.byte(), reader.number()
        yield number, reader.at, reader.take(size)


def leb128(number: int) -> bytes:
    """An unsigned LEB128."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*made, number))


def sized(content: bytes) -> bytes:
    """A name or the content of a section, behind its size."""
    return leb128(len(content)) + content


class Sections:
    """The contents of a module's sections.

    `imports` and `exports` have those for which there was room; `each_import` and `each_export` return all.
    """

    def __init__(self, code: bytes | memoryview, rooms: Rooms | None = None) -> None:
        self._rooms = rooms or Rooms(len(code))
        self._signatures = SectionReader(b"")
        self._signatures_at = array("I")  # of each type: where its parameters begin and its results, 0 if unknown
        self._texts: dict[int, str] = {}
        self._texts_left = 1_000_000 + 2 * len(code)
        self._functions = array("I")  # the type of each
        self._import_section: SectionReader | None = None
        self._export_section: SectionReader | None = None
        self.imports: list[Import] = []
        self.import_count: int = 0
        self.import_counts: dict[str, int] = {}
        """Number of imports from each import module, also of those not listed, if the module has one that is listed."""
        self.exports: dict[str, str] = {}
        self.export_count: int = 0
        self.has_functions: bool = False
        """Whether it exports one."""
        self.memory: tuple[int, int | None, bool] | None = None
        self.features: list[str] = []
        self.producers: dict[str, list[str]] = {}
        self.starts: bool = False
        for number, _, content in sections_of(code):
            read = {
                0: self.custom,
                1: self.type,
                2: self.import_,
                3: self.function,
                5: self.memories,
                7: self.export,
                8: self.start,
            }
            if number in read:
                read[number](SectionReader(content))

    def type(self, section: SectionReader) -> None:
        """Read all types. Each has an index, also those that are not functions.

        An unknown kind of type ends the reading, and the types after it are shown as unknown.
        """
        self._signatures = section
        for _ in range(section.number()):
            code = section.byte()
            grouped = code == _GROUP
            for _ in range(section.number() if grouped else 1):
                at = _composite(section, section.byte() if grouped else code)
                if at is None:
                    return
                self._signatures_at.extend(at)

    def _type(self, index: int) -> str:
        if 2 * index >= len(self._signatures_at):
            return _UNKNOWN
        if (text := self._texts.get(index)) is not None:
            return text
        params, results = self._signatures_at[2 * index : 2 * index + 2]
        if not params:
            return _UNKNOWN
        parts = []
        for self._signatures.at in (params, results):
            parts.append(f"({self._signatures.types()})")
        text = " -> ".join(parts)
        if (left := self._texts_left - 200 - len(text)) > 0:
            self._texts_left, self._texts[index] = left, text
        return text

    def import_(self, section: SectionReader) -> None:
        """Imports of every kind."""
        self._import_section = section
        for one in self._imports(section, self._functions):
            self.import_count += 1
            if self._rooms.imports.take(len(one.module) + len(one.name)):
                self.imports.append(one)
                self.import_counts[one.module] = self.import_counts.get(one.module, 0) + 1
            elif one.module in self.import_counts:
                self.import_counts[one.module] += 1

    def _imports(self, section: SectionReader, functions: array[int]) -> Iterator[Import]:
        for _ in range(section.number()):
            module, name, kind = section.text(), section.text(), section.byte()
            type_ = ""
            if kind == 0:
                functions.append(index := min(section.number(), _LARGEST))
                type_ = self._type(index)
            elif kind == 1:
                section.value_type()
                section.limits()
            elif kind == 2:
                memory = section.limits()
                if functions is self._functions:
                    self.memory = memory
            elif kind == 3:
                section.value_type()
                section.take(1)
            else:
                section.take(1)
                section.number()
            yield Import(module, name, _KINDS[kind] if kind < len(_KINDS) else "?", type_)

    def each_import(self) -> Iterator[Import]:
        """Return all imports, one after the other."""
        if self.import_count == len(self.imports):
            return iter(self.imports)
        assert self._import_section
        return self._imports(SectionReader(self._import_section.data), array("I"))

    def function(self, section: SectionReader) -> None:
        """The types of the module's own functions."""
        self._functions.extend(min(section.number(), _LARGEST) for _ in range(section.number()))

    @property
    def function_count(self) -> int:
        """Number of functions, also of those imported."""
        return len(self._functions)

    def export(self, section: SectionReader) -> None:
        """Names with the type of what is a function, or the kind of what is not."""
        self._export_section = section
        for name, type_ in self._exports(section):
            self.export_count += 1
            self.has_functions = self.has_functions or not type_.startswith(" ")
            if name in _ENTRIES or self._rooms.exports.take(len(name)):
                self.exports[name] = type_

    def each_export(self) -> Iterator[tuple[str, str]]:
        """Return all exports with their types, one after the other."""
        if self.export_count == len(self.exports):
            return iter(self.exports.items())
        assert self._export_section
        return self._exports(SectionReader(self._export_section.data))

    def _exports(self, section: SectionReader) -> Iterator[tuple[str, str]]:
        for _ in range(section.number()):
            name, kind, index = section.text(), section.byte(), section.number()
            if kind == 0:
                type_ = self._type(self._functions[index]) if index < len(self._functions) else _UNKNOWN
            else:
                type_ = f" ({_KINDS[kind] if kind < len(_KINDS) else '?'})"
            yield name, type_

    def memories(self, section: SectionReader) -> None:
        """Read the first memory."""
        if section.number():
            self.memory = section.limits()

    def start(self, _section: SectionReader) -> None:
        """A function that runs while an instance is made."""
        self.starts = True

    def custom(self, section: SectionReader) -> None:
        """Read what tools say about themselves."""
        name = section.text()
        try:
            if name == "target_features":
                self.features = self._listed(
                    f"{chr(section.byte()).strip('+')}{section.text()}" for _ in range(section.number())
                )
            elif name == "producers":
                for _ in range(section.number()):
                    field = section.text()
                    values = self._listed(
                        " ".join(filter(None, (section.text(), section.text()))) for _ in range(section.number())
                    )
                    if self._rooms.tools.take(len(field)):
                        self.producers[field] = values
        except ModuleError:
            return  # a custom section may be anything

    def _listed(self, texts: Iterator[str]) -> list[str]:
        """Return those for which there is room."""
        found, more = [], 0
        for text in texts:
            if self._rooms.tools.take(len(text), _ITEM // 4):
                found.append(text)
            else:
                more += 1
        return [*found, f"and {more:,} more"] if more else found


def _composite(section: SectionReader, code: int) -> tuple[int, int] | None:
    """Read a type that begins with `code`.

    Returns where the parameters and the results of a function begin, zeros for another type; None for an unknown kind,
    whose end cannot be found.
    """
    if code in _SUBTYPES:
        for _ in range(section.number()):
            section.number()  # those that it is a subtype of
        code = section.byte()
    if code == _FUNC:
        params = section.at
        section.skip_types()
        results = section.at
        section.skip_types()
        return params, results
    if code not in (_STRUCT, _ARRAY):
        return None
    for _ in range(section.number() if code == _STRUCT else 1):
        section.value_type()
        section.byte()  # mutability
    return 0, 0
