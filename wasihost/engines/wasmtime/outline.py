"""Reads from a module's sections what the engine cannot be asked for, in one pass.

The C interface does not show memories and tables that are not exported, and aborts the process when it is asked for
some types; see `function_types`.

Rules of this file: the engine found the module valid before. What cannot be read counts as unlimited in size.
"""

from __future__ import annotations

import io
import os

from wasi_preview1.light_typing import NamedTuple

from wasihost.engines.limits import ELEMENT
from wasihost.engines.wasmtime.function_types import (
    HARMLESS,
    TAGS,
    UNKNOWN,
    FunctionTypes,
    each_export,
    number,
    read_types,
    types_in,
    value_type,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

PAGE = 1 << 16

_TYPES, _TABLES, _MEMORIES, _EXPORTS, _START = 1, 4, 5, 7, 8
_BEFORE_CODE = frozenset((*range(9), TAGS))
_TABLE_WITH_VALUE = 0x40
_KINDS = {1: "table", 2: "memory"}


class Extent(NamedTuple):
    """Initial and maximum size of a memory or table, in bytes; `most` is None if it declares no maximum."""

    least: int
    most: int | None = None

    def within(self, level: int) -> int:
        """Return how large it can become if nothing may grow beyond `level`."""
        return max(self.least, level if self.most is None else min(self.most, level))


class Storage(NamedTuple):
    """The memories and tables that the engine makes with each instance; imported ones are left out.

    `collected`: the module has types or exceptions that live in the engine's garbage-collected heap, one more memory.
    `growing`: it has tables that could grow. `names` has the export names, by kind and index.
    """

    memories: tuple[Extent, ...]
    tables: tuple[Extent, ...]
    collected: bool
    growing: bool
    names: dict[tuple[str, int], str]


class Outline(NamedTuple):
    """What was read from a module.

    `types` are its function types, if the engine must not be asked for them; `starts`: it has a start section; `size`
    is in bytes.
    """

    types: FunctionTypes | None
    starts: bool
    storage: Storage
    size: int


def outline(file: BinaryIO) -> Outline:
    """Read a module in the binary format."""
    found = _sections(file)
    types = found.get(_TYPES, b"")
    odd = bool(types.translate(None, HARMLESS))
    memories, tables = _read(found.get(_MEMORIES), _memory), _read(found.get(_TABLES), _table)
    collected = TAGS in found or (odd and UNKNOWN in types_in(io.BytesIO(types)))
    storage = Storage(memories, tables, collected, any(one.least != one.most for one in tables), {})
    if len(memories) > 1 or storage.growing:
        for name, kind, index in each_export(io.BytesIO(found.get(_EXPORTS, b"\0"))):
            if kind in _KINDS:
                storage.names[_KINDS[kind], index] = name
    return Outline(read_types(file) if odd else None, _START in found, storage, file.seek(0, os.SEEK_END))


def _sections(file: BinaryIO) -> dict[int, bytes]:
    """Return the sections before the code by number, with the contents of those that are needed."""
    found: dict[int, bytes] = {}
    file.seek(8)
    while head := file.read(6):
        if head[0] not in _BEFORE_CODE:
            break
        size = at = 0
        for at, byte in enumerate(head[1:]):  # LEB128
            size |= (byte & 0x7F) << 7 * at
            if byte < 0x80:
                break
        file.seek(at + 2 - len(head), os.SEEK_CUR)
        if head[0] in (_TYPES, _TABLES, _MEMORIES, _EXPORTS):
            found[head[0]] = file.read(size)
        else:
            found[head[0]] = b""
            file.seek(size, os.SEEK_CUR)
    return found


def _read(content: bytes | None, one: Callable[[BinaryIO], Extent | None]) -> tuple[Extent, ...]:
    """Read a section of memories or tables."""
    file = io.BytesIO(content or b"\0")
    found: list[Extent] = []
    count = number(file)
    while len(found) < count and (read := one(file)):
        found.append(read)
    return *found, *[Extent(0)] * (count - len(found))


def _limits(file: BinaryIO) -> tuple[int, int | None, int]:
    flags = number(file)
    return number(file), number(file) if flags & 1 else None, flags


def _memory(file: BinaryIO) -> Extent:
    least, most, flags = _limits(file)
    page = 1 << number(file) if flags & 8 else PAGE
    if flags & 2 and most is not None:  # shared: the engine does not check the limit when it grows
        least = most
    return Extent(least * page, None if most is None else most * page)


def _table(file: BinaryIO) -> Extent | None:
    """Return None for a table with an initial value, which this file cannot read."""
    at = file.tell()
    if file.read(1)[0] == _TABLE_WITH_VALUE:
        return None
    file.seek(at)
    value_type(file)
    least, most, _ = _limits(file)
    return Extent(least * ELEMENT, None if most is None else most * ELEMENT)
