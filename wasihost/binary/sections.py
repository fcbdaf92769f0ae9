"""The sections of a core module, read one after the other: what `inspection` and `components` stand on.

Rules of this file: the binary format's own names (sections, LEB128); bytes that are no module are a ModuleError, never
another exception, and nothing is kept that the bytes do not hold. Code and data are stepped over.
"""

from __future__ import annotations

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


class SectionReader:
    """The bytes of a section, read in order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
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

    def take(self, size: int) -> bytes:
        """`size` bytes."""
        if size > len(self.data) - self.at:
            raise ModuleError("the module ends in the middle of a section")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        """A name."""
        return self.take(self.number()).decode("utf-8", "replace")

    def types(self) -> list[str]:
        """A vector of value types."""
        return [self.value_type() for _ in range(self.number())]

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
"""How many value types of one function are shown: every import and export may have one long type."""


def _listed(types: list[str]) -> str:
    more = len(types) - _SHOWN
    return ", ".join([*types[:_SHOWN], f"and {more:,} more"] if more > 0 else types)


class Sections:
    """The contents of a module's sections."""

    def __init__(self, code: bytes) -> None:
        self.types: list[str] = []
        self.imports: list[Import] = []
        self.functions: list[str] = []
        self.exports: dict[str, str] = {}
        self.memory: tuple[int, int | None, bool] | None = None
        self.features: list[str] = []
        self.producers: dict[str, list[str]] = {}
        self.starts: bool = False
        whole = SectionReader(code)
        whole.take(8)
        while whole.at < len(code):
            number, content = whole.byte(), SectionReader(whole.take(whole.number()))
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
                read[number](content)

    def type(self, section: SectionReader) -> None:
        """Read all types. Each has an index, also those that are not functions.

        An unknown kind of type ends the reading, and the types after it are shown as unknown.
        """
        for _ in range(section.number()):
            code = section.byte()
            grouped = code == _GROUP
            for _ in range(section.number() if grouped else 1):
                type_ = _composite(section, section.byte() if grouped else code)
                if not type_:
                    return
                self.types.append(type_)

    def _type(self, index: int) -> str:
        return self.types[index] if index < len(self.types) else _UNKNOWN

    def import_(self, section: SectionReader) -> None:
        """Imports of every kind."""
        for _ in range(section.number()):
            module, name, kind = section.text(), section.text(), section.byte()
            type_ = ""
            if kind == 0:
                type_ = self._type(section.number())
                self.functions.append(type_)
            elif kind == 1:
                section.value_type()
                section.limits()
            elif kind == 2:
                self.memory = section.limits()
            elif kind == 3:
                section.value_type()
                section.take(1)
            else:
                section.take(1)
                section.number()
            self.imports.append(Import(module, name, _KINDS[kind] if kind < len(_KINDS) else "?", type_))

    def function(self, section: SectionReader) -> None:
        """The types of the module's own functions."""
        self.functions += [self._type(section.number()) for _ in range(section.number())]

    def memories(self, section: SectionReader) -> None:
        """Read the first memory."""
        if section.number():
            self.memory = section.limits()

    def start(self, _section: SectionReader) -> None:
        """A function that runs while an instance is made."""
        self.starts = True

    def export(self, section: SectionReader) -> None:
        """Names with the type of what is a function, or the kind of what is not."""
        for _ in range(section.number()):
            name, kind, index = section.text(), section.byte(), section.number()
            if kind == 0:
                self.exports[name] = self.functions[index] if index < len(self.functions) else _UNKNOWN
            else:
                self.exports[name] = f" ({_KINDS[kind] if kind < len(_KINDS) else '?'})"

    def custom(self, section: SectionReader) -> None:
        """Read what tools say about themselves."""
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


def _composite(section: SectionReader, code: int) -> str:
    """Read a type that begins with `code`. Returns an empty text for an unknown kind, whose end cannot be found."""
    if code in _SUBTYPES:
        for _ in range(section.number()):
            section.number()  # those that it is a subtype of
        code = section.byte()
    if code == _FUNC:
        return f"({_listed(section.types())}) -> ({_listed(section.types())})"
    if code not in (_STRUCT, _ARRAY):
        return ""
    for _ in range(section.number() if code == _STRUCT else 1):
        section.value_type()
        section.byte()  # mutability
    return _UNKNOWN
