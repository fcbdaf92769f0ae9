"""The names of a module's functions by their index, where they are in the source, and a module with indices as names.

The engine's profiler makes every name of a module readable before the guest runs, without limit: 400 bytes of a mangled
name can become terabytes. So a module that is profiled is compiled with other names, and those that a profile needs are
looked up here.

Rules of this file: modules are not trusted. What does not parse has no names, and nothing is raised; names are cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from wasihost.binary.backtrace import demangled, places_in, sections
from wasihost.binary.sections import SectionReader, Sections, leb128, sections_of, sized
from wasihost.errors import ModuleError, Place

_CUSTOM, _EXPORT, _CODE, _FUNCTIONS = 0, 7, 10, 1
"""Sections, and the part of the name section that has the names of functions."""
_NAMES = b"name"
_HIDDEN = b"n\xc3\xa4m"  # another name of the same length: every offset in the module stays
_LONGEST = 4096
"""Bytes of a mangled name that are read."""
_LARGEST = 64 << 20
"""Bytes of a module that is kept for its debug information."""


def with_indices(code: bytes) -> bytes:
    """Return a module in which the name of each function is its index. All offsets stay as they are.

    ModuleError for a module that does not parse.
    """
    made = bytearray(code)
    for at, _ in _name_sections(code):
        made[at : at + len(_NAMES)] = _HIDDEN
    count = Sections(code).function_count
    names = b"".join(leb128(index) + sized(str(index).encode()) for index in range(count))
    part = bytes([_FUNCTIONS]) + sized(leb128(count) + names)
    return bytes(made) + bytes([_CUSTOM]) + sized(sized(_NAMES) + part)


class FunctionNames:
    """The names that a module has for its functions, which are read when they are asked for."""

    def __init__(self, code: bytes) -> None:
        # Copies: a view would keep the whole module.
        self._names = [bytes(content) for _, content in _name_sections(code)]
        self._exports = [bytes(content) for number, _, content in _sections(code) if number == _EXPORT]

        self._code = code if len(code) <= _LARGEST and ".debug_line" in sections(code)[1] else None
        self._places: dict[int, Place | None] = {}

    def places(self, wanted: Iterable[int]) -> dict[int, Place]:
        """Return where functions begin in the source, by index: of those for which the module says it (DWARF).

        The first time it takes some seconds of processor time at most.
        """
        wanted = set(wanted)
        missing = wanted - self._places.keys()
        if missing and self._code is not None:
            self._places.update(dict.fromkeys(missing))
            starts = {index: at for index, at in _bodies(self._code) if index in missing}
            found = places_in(self._code, set(starts.values()))
            self._places.update((index, found[at][-1]) for index, at in starts.items() if found.get(at))
        return {index: place for index in wanted if (place := self._places.get(index)) is not None}

    def find(self, wanted: Iterable[int]) -> dict[int, str]:
        """Return the readable names of functions by index: the module's own, or that of an export. Without those that
        have none."""
        left = set(wanted)
        found: dict[int, str] = {}
        for read, contents in ((_named, self._names), (_exported, self._exports)):
            for content in contents:
                try:
                    for index, name in read(SectionReader(content)):
                        if index in left:
                            left.discard(index)
                            found[index] = demangled(str(name[:_LONGEST], "utf-8", "replace")) or ""
                except ModuleError:
                    pass
        return {index: name for index, name in found.items() if name}


def _sections(code: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """What `sections_of` returns, up to a place that does not parse."""
    if code[:4] == b"\0asm":
        with suppress(ModuleError):
            yield from sections_of(code)


def _bodies(code: bytes) -> Iterator[tuple[int, int]]:
    """The index of each function that the module defines, and the offset of its body in the module."""
    for number, at, content in _sections(code):
        if number == _CODE:
            reader = SectionReader(content)
            with suppress(ModuleError):
                count = reader.number()
                first = Sections(code).function_count - count
                for index in range(first, first + count):
                    size = reader.number()
                    yield index, at + reader.at
                    reader.take(size)


def _name_sections(code: bytes) -> Iterator[tuple[int, memoryview]]:
    """Where the name of each section with names is in the module, and what follows it."""
    for number, at, content in _sections(code):
        if number == _CUSTOM:
            reader = SectionReader(content)
            with suppress(ModuleError):
                if reader.take(reader.number()) == _NAMES:
                    yield at + reader.at - len(_NAMES), content[reader.at :]


def _named(section: SectionReader) -> Iterator[tuple[int, memoryview]]:
    while section.at < len(section.data):
        number, part = section.byte(), SectionReader(section.take(section.number()))
        if number == _FUNCTIONS:
            for _ in range(part.number()):
                yield part.number(), part.take(part.number())


def _exported(section: SectionReader) -> Iterator[tuple[int, memoryview]]:
    for _ in range(section.number()):
        name, kind, index = section.take(section.number()), section.byte(), section.number()
        if kind == 0:
            yield index, name
