"""What a component contains: its core modules, imports and exports.

Rules of this file: as in `sections`. Components may be nested; a bounded number of levels and modules is read, the rest
is counted. Types, instances and adapters are skipped.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from wasihost.binary.sections import Import, Room, Rooms, SectionReader, Sections, sections_of
from wasihost.errors import ModuleError

_LEVELS: Final = 8
_MODULES: Final = 64
_NAMES: Final = 4096


class CoreModule(NamedTuple):
    """A core module within a component: its size in bytes, imports, and exports by name."""

    size: int
    imports: list[Import]
    exports: dict[str, str]
    sections: Sections | None
    """None where it cannot be read."""


class Component:
    """What `read_component` found."""

    def __init__(self, size: int) -> None:
        self.rooms: Rooms = Rooms(size)
        """What may be listed of all modules together."""
        self.imports: list[str] = []
        self.exports: list[str] = []
        self.import_count = 0
        self.export_count = 0
        self.modules: list[CoreModule] = []
        self.nested = 0
        self.more = 0
        """Number of core modules that were not read."""


def is_component(code: bytes | memoryview) -> bool:
    """Whether the header says so: the layer is 1."""
    return code[:4] == b"\0asm" and code[6:8] == b"\x01\0"


def read_component(code: bytes) -> Component:
    """Read the sections of a component. ModuleError where it ends in the middle of one."""
    found = Component(len(code))
    _read(code, found, 0)
    return found


def _read(code: bytes | memoryview, found: Component, level: int) -> None:
    for number, _, content in sections_of(code):
        if number == 1:
            _module(content, found)
        elif number == 4:
            found.nested += 1
            if level < _LEVELS and is_component(content):
                _read(content, found, level + 1)
        elif number in (10, 11) and level == 0:
            if number == 10:
                found.import_count += SectionReader(content).number()
                _names(SectionReader(content), found.imports, found.rooms.imports, True)
            else:
                found.export_count += SectionReader(content).number()
                _names(SectionReader(content), found.exports, found.rooms.exports, False)


def _module(content: memoryview, found: Component) -> None:
    if len(found.modules) >= _MODULES:
        found.more += 1
        return
    try:
        sections = Sections(content, found.rooms)
    except ModuleError:
        found.modules.append(CoreModule(len(content), [], {}, None))
    else:
        found.modules.append(CoreModule(len(content), sections.imports, sections.exports, sections))


def _names(section: SectionReader, names: list[str], room: Room, imports: bool) -> None:
    """Read the names of imports or exports. An unknown encoding ends the reading."""
    for _ in range(section.number()):
        if len(names) >= _NAMES or section.byte() > 2:
            return
        name = section.text()
        if not room.take(len(name)):
            return
        names.append(name)
        if not imports:
            if section.byte() == 0:  # what is exported: of which kind, a core kind has one byte more
                section.byte()
            section.number()
            if section.byte() == 0:  # whether a type is given with it
                continue
        if not _description(section):
            return


def _description(section: SectionReader) -> bool:
    """Skip the type of an import. Returns False for an unknown encoding."""
    kind = section.byte()
    if kind == 0:
        section.byte()
    elif kind in (2, 3) and section.byte() != 0:
        return kind == 3  # any type of resource; of a value, its type follows
    elif kind > 5:
        return False
    section.number()
    return True
