"""Reads function types from a module's sections, where the engine must not be asked for them.

The C library aborts the process when it is asked for a value type that its C interface has no name for: v128, and the
references of newer proposals. The type section of a module shows whether it has any.

Rules of this file: the engine found the module valid before. A type that is not known here is "?", and cannot be
linked.
"""

from __future__ import annotations

import io
import os

from wasi_preview1.light_typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, TypeAlias

Type: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Parameters and results."""

PLAIN = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x70: "funcref", 0x6F: "externref"}
"""The value types that the C interface knows, by their number in a module."""

HARMLESS = bytes([*range(0x4E), 0x60, *PLAIN])  # with small counts, what a section of plain types consists of
_V128, _REF_NULL, _REF = 0x7B, 0x63, 0x64
_FUNC, _STRUCT, _ARRAY, _REC, _SUB, _SUB_FINAL = 0x60, 0x5F, 0x5E, 0x4E, 0x50, 0x4F
TAGS = 13
UNKNOWN: Type = ("?",), ("?",)


class FunctionTypes(NamedTuple):
    """The types of imported functions, in their order, and of exported ones, by name."""

    imports: list[Type]
    exports: dict[str, Type]


def read_types(file: BinaryIO) -> FunctionTypes:
    """Read the types of a module's imported and exported functions."""
    found = _sections(file, 1, 7)
    types = types_in(io.BytesIO(found.get(1, b"\0")))
    given = [types[index] for index in imported(io.BytesIO(found.get(2, b"\0")))]
    own = io.BytesIO(found.get(3, b"\0"))
    every = given + [types[number(own)] for _ in range(number(own))]
    exported = each_export(io.BytesIO(found.get(7, b"\0")))
    return FunctionTypes(given, {name: every[index] for name, kind, index in exported if kind == 0})


def _sections(file: BinaryIO, first: int, last: int) -> dict[int, bytes]:
    """Return the contents of the sections from `first` to `last`; custom and tag sections may lie between them."""
    found: dict[int, bytes] = {}
    file.seek(8)
    while (head := file.read(1)) and (head[0] <= last or head[0] == TAGS):
        size = number(file)
        if first <= head[0] <= last:
            found[head[0]] = file.read(size)
            if head[0] == last:
                break
        else:
            file.seek(size, os.SEEK_CUR)
    return found


def number(file: BinaryIO) -> int:
    """Read an unsigned LEB128."""
    value = shift = 0
    while True:
        byte = file.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value


def value_type(file: BinaryIO) -> str:
    """Read a value type and return its name, "?" if it has none here."""
    code = file.read(1)[0]
    if code in (_REF_NULL, _REF):
        while file.read(1)[0] & 0x80:  # the heap type
            pass
    return "v128" if code == _V128 else PLAIN.get(code, "?")


def types_in(file: BinaryIO) -> list[Type]:
    """Read the type section. Types that are not functions have an index, too: they are `UNKNOWN`."""
    found: list[Type] = []
    for _ in range(number(file)):
        at = file.tell()
        if file.read(1)[0] == _REC:
            found += [_one_type(file) for _ in range(number(file))]
        else:
            file.seek(at)
            found.append(_one_type(file))
    return found


def _one_type(file: BinaryIO) -> Type:
    code = file.read(1)[0]
    if code in (_SUB, _SUB_FINAL):
        _each(file, number)
        code = file.read(1)[0]
    if code == _FUNC:
        return tuple(_each(file, value_type)), tuple(_each(file, value_type))
    for _ in range(number(file) if code == _STRUCT else 1):
        value_type(file)  # packed fields are one byte, too
        file.read(1)
    return UNKNOWN


def _each(file: BinaryIO, read: Callable[[BinaryIO], object]) -> list[str]:
    return [str(read(file)) for _ in range(number(file))]


def _skip_limits(file: BinaryIO) -> None:
    flags = number(file)
    number(file)
    if flags & 1:
        number(file)
    if flags & 8:  # of custom page sizes
        number(file)


def imported(file: BinaryIO) -> list[int]:
    """Read the import section: return the type indices of imported functions."""
    found = []
    for _ in range(number(file)):
        for _ in range(2):
            file.seek(number(file), os.SEEK_CUR)
        kind = file.read(1)[0]
        if kind == 0:
            found.append(number(file))
        elif kind == 1:
            value_type(file)
            _skip_limits(file)
        elif kind == 2:
            _skip_limits(file)
        elif kind == 3:
            value_type(file)
            file.read(1)
        else:  # a tag
            file.read(1)
            number(file)
    return found


def each_export(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Read the export section: yield name, kind and index of each export."""
    for _ in range(number(file)):
        name = file.read(number(file)).decode("utf-8", "replace")
        yield name, file.read(1)[0], number(file)
