"""A module whose whole state can be read and written from outside: what a snapshot of an instance needs.

Rules of this file: sections are extended at their ends, so no index in the module changes. What has state that cannot
be seen from outside is refused: a memory that is imported, shared, of 64 bits or not the only one, and globals that
change and hold references or vectors. Tables and passive segments are not looked at: an instance begins with those of
the module.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from wasihost.binary.sections import SectionReader, leb128, sections_of, sized
from wasihost.errors import ModuleError

PREFIX: Final = "wasihost:"
"""How the names of the added exports begin."""
MEMORY: Final = PREFIX + "memory"
GROW: Final = PREFIX + "grow"
INITIALIZE: Final = PREFIX + "initialize"

_TYPE, _IMPORT, _FUNCTION, _MEMORY, _GLOBAL, _EXPORT, _START, _CODE = 1, 2, 3, 5, 6, 7, 8, 10
_ORDER: Final = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)
_NUMBERS: Final = ("i32", "i64", "f32", "f64")
_GROW_TYPE: Final = b"\x60\x01\x7f\x01\x7f"  # (i32) -> (i32)
_GROW_BODY: Final = b"\x00\x20\x00\x40\x00\x0b"  # local.get 0, memory.grow, end
_CONSTANTS: Final = {0x43: 4, 0x44: 8}


class Exposed(NamedTuple):
    """`code` exports each of `globals` and `GROW`, which adds pages to the memory; `memory` is the memory's export.

    What was `_initialize` is `INITIALIZE`, so that nothing runs it by itself; `initializes` says whether there is one.
    `starts`: a start section runs while an instance is made.
    """

    code: bytes
    globals: tuple[str, ...]
    memory: str | None
    initializes: bool
    starts: bool


class _Imported(NamedTuple):
    functions: int
    globals: int


def exposed(code: bytes) -> Exposed:
    """Return the module with its state exported. ModuleError for state that cannot be exported."""
    if code[:4] != b"\0asm":
        raise ModuleError("only a module in binary form can be exposed")
    sections = [(number, bytes(content)) for number, content in _sections(code)]
    found = {number: content for number, content in sections if number}
    imported = _imported(found.get(_IMPORT))
    has_memory = _has_memory(found.get(_MEMORY))
    changing = _changing(found.get(_GLOBAL), imported.globals)
    exports, names, memory, initializes = _exports(found.get(_EXPORT), changing, has_memory)
    if has_memory:
        count, types = _counted(found.get(_TYPE))
        functions, indices = _counted(found.get(_FUNCTION))
        bodies, code_ = _counted(found.get(_CODE))
        exports.append(sized(GROW.encode()) + b"\x00" + leb128(imported.functions + functions))
        found[_TYPE] = leb128(count + 1) + types + _GROW_TYPE
        found[_FUNCTION] = leb128(functions + 1) + indices + leb128(_type_count(count, types))
        found[_CODE] = leb128(bodies + 1) + code_ + sized(_GROW_BODY)
    found[_EXPORT] = leb128(len(exports)) + b"".join(exports)
    made = [code[:8]]
    made += [bytes([number]) + sized(found[number]) for number in _ORDER if number in found]
    made += [b"\0" + sized(content) for number, content in sections if not number]
    return Exposed(b"".join(made), names, memory, initializes, _START in found)


def _sections(code: bytes) -> list[tuple[int, memoryview]]:
    found = []
    for number, _, content in sections_of(code):
        if number and number not in _ORDER:
            raise ModuleError(f"the module has a section {number}, which is not known")
        found.append((number, content))
    return found


def _counted(section: bytes | None) -> tuple[int, bytes]:
    if section is None:
        return 0, b""
    reader = SectionReader(section)
    count = reader.number()
    return count, section[reader.at :]


def _type_count(count: int, types: bytes) -> int:
    """How many types a section defines: a group of the GC proposal counts as one entry, and has several."""
    reader, found = SectionReader(types), 0
    for _ in range(count):
        if reader.byte() != 0x60:
            raise ModuleError("the module has types that are not functions: its state may be more than numbers")
        reader.skip_types()
        reader.skip_types()
        found += 1
    return found


def _imported(section: bytes | None) -> _Imported:
    functions = globals_ = 0
    reader = SectionReader(section or b"\0")
    for _ in range(reader.number()):
        module, name, kind = reader.text(), reader.text(), reader.byte()
        if kind == 0:
            functions += 1
            reader.number()
        elif kind == 1:
            reader.value_type()
            reader.limits()
        elif kind == 3:
            globals_ += 1
            reader.value_type()
            if reader.byte():
                raise ModuleError(f"it imports the global {module}.{name}, which may change outside of it")
        else:
            raise ModuleError(f"it imports {module}.{name}, a memory or tag: only its own state can be copied")
    return _Imported(functions, globals_)


def _has_memory(section: bytes | None) -> bool:
    reader = SectionReader(section or b"\0")
    count = reader.number()
    if count > 1:
        raise ModuleError("it has several memories")
    if count:
        flags = reader.number()
        if flags & ~1:
            raise ModuleError("its memory is shared or of 64 bits")
    return bool(count)


def _changing(section: bytes | None, at: int) -> list[int]:
    """The indices of the globals that can change."""
    reader, found = SectionReader(section or b"\0"), []
    for index in range(at, at + reader.number()):
        kind, changes = reader.value_type(), reader.byte()
        if changes and kind not in _NUMBERS:
            raise ModuleError(f"its global {index} can change and holds no number ({kind})")
        if changes:
            found.append(index)
        _skip_constant(reader)
    return found


def _skip_constant(reader: SectionReader) -> None:
    while (code := reader.byte()) != 0x0B:
        if code in _CONSTANTS:
            reader.take(_CONSTANTS[code])
        elif code in (0x41, 0x42, 0x23, 0xD2, 0xD0):  # numbers, and the indices of functions, types and globals
            while reader.byte() & 0x80:
                pass
        elif code == 0xFD and reader.number() == 12:
            reader.take(16)
        elif code not in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E):
            raise ModuleError("a global begins with an expression that is not known")


def _exports(
    section: bytes | None, changing: list[int], has_memory: bool
) -> tuple[list[bytes], tuple[str, ...], str | None, bool]:
    reader = SectionReader(section or b"\0")
    made, memory, initializes = [], None, False
    for _ in range(reader.number()):
        name, kind, index = reader.text(), reader.byte(), reader.number()
        if kind == 0 and name == "_initialize":
            name, initializes = INITIALIZE, True
        if kind == 2:
            memory = name
        made.append(sized(name.encode()) + bytes([kind]) + leb128(index))
    if has_memory and memory is None:
        memory = MEMORY
        made.append(sized(memory.encode()) + b"\x02\x00")
    names = tuple(f"{PREFIX}global{index}" for index in changing)
    made += [sized(name.encode()) + b"\x03" + leb128(index) for name, index in zip(names, changing, strict=True)]
    return made, names, memory, initializes
