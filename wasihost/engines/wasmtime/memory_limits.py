"""How a guest's `memory` limit is kept: what each memory and table of a store may become, so that all keep it together.

The engine takes one limit for every memory, and one for every table. So what a module declares is looked at before an
instance is made, and the two limits are chosen so that the sum cannot be exceeded: a module with one memory has all of
it for that; of several that can grow, each has its share. Tables that can grow have an eighth of it together.

Rules of this file: the sum holds whatever the guest does. Small tables do not count (`FREE`), so that a limit of 64 MiB
is a memory of 64 MiB.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from wasihost.engines.values import Usage
from wasihost.engines.wasmtime.ffi import Extern, c
from wasihost.engines.wasmtime.outline import ELEMENT, FREE, Extent
from wasihost.errors import LimitExceeded

if TYPE_CHECKING:
    from wasihost.engines.wasmtime.module import WasmtimeModule

Export: TypeAlias = Callable[[str, int], Extern | None]

_FOR_TABLES = 8
_HEAP = Extent(0)
_NEARLY_ALL = 16
"""What has less than such a part of its share left has met the limit: the engine does not say what it refused."""
_MIB = 1 << 20


class Room(NamedTuple):
    """Bytes that each memory, and elements that each table may have. While an instance is made, and its module begins
    with more, it is `at_first`."""

    memory: int
    elements: int
    at_first: tuple[int, int]


def memories_of(module: "WasmtimeModule") -> list[Extent]:
    """Every memory of an instance: those that it imports are made for it, too."""
    imported = [
        Extent(one.least * one.page, None if one.most is None else one.most * one.page)
        for item in dict.fromkeys(module.imports)
        if (one := item.memory)
    ]
    return [*imported, *module.storage.memories, *[_HEAP] * module.storage.collected]


def room(module: "WasmtimeModule", limit: int) -> Room:
    """What each may have. LimitExceeded if the module begins with more than the limit."""
    if (only_memory := module.only_memory) is not None and only_memory <= limit:
        return Room(limit, FREE // ELEMENT, (limit, FREE // ELEMENT))
    memories, tables = memories_of(module), module.storage.tables
    least = sum(one.least for one in memories)
    least_tables = sum(one.least for one in tables)
    needed = least + max(0, least_tables - FREE)
    if needed > limit:
        raise too_much(f"it begins with {shown(needed)}", limit)
    for_tables = min(max(limit // _FOR_TABLES, least_tables), limit + FREE - least)
    table = _level(tables, for_tables)
    taken = max(0, sum(one.within(table) for one in tables) - FREE)
    memory = _level(memories, limit - taken)
    at_first = max([memory, *(one.least for one in memories)]), max([table, *(one.least for one in tables)])
    if at_first != (memory, table) and module.starts:
        raise too_much("it has several memories or tables, and could make all of them as large as the largest", limit)
    return Room(memory, table // ELEMENT, (at_first[0], at_first[1] // ELEMENT))


def _level(extents: Sequence[Extent], whole: int) -> int:
    """The most that each may have, so that all of them are within `whole`."""
    if not extents or (len(extents) == 1 and extents[0].least <= whole):
        return whole
    low, high = 0, whole
    while low < high:
        middle = (low + high + 1) // 2
        if sum(one.within(middle) for one in extents) <= whole:
            low = middle
        else:
            high = middle - 1
    return low


def nearly_full(size: int, share: int) -> bool:
    """Whether it has met the limit."""
    return (share - size) * _NEARLY_ALL < share


def usage(
    module: "WasmtimeModule", room: Room | None, given: Sequence[Extern], export: "Export", context: int
) -> Usage:
    """What an instance has. `given` are the memories that were made for its imports, `export` finds one that it
    exports. Of what is neither exported nor given, what it began with is counted."""
    storage = module.storage
    memories = [c.wasmtime_memory_data_size(context, one.item) for one in given]
    imported = sum(item.memory is not None for item in module.imports)
    for index, extent in enumerate(storage.memories, imported):
        known = "memory" if len(storage.memories) == 1 else None
        name = storage.names.get(("memory", index), known)
        found = export(name, Extern.MEMORY) if name is not None else None
        memories.append(c.wasmtime_memory_data_size(context, found.item) if found else extent.least)
    tables = []
    for index, extent in enumerate(storage.tables):
        name = storage.names.get(("table", index))
        found = export(name, Extern.TABLE) if name is not None else None
        tables.append(c.wasmtime_table_size(context, found.item) * ELEMENT if found else extent.least)
    full = room is not None and (
        any(nearly_full(size, room.memory) for size in memories)
        or (storage.growing and any(nearly_full(size, room.elements * ELEMENT) for size in tables))
    )
    return Usage(sum(memories) + max(0, sum(tables) - FREE), full)


def too_much(why: str, limit: int | None) -> LimitExceeded:
    """The error for a module that asks for more than it is given."""
    given = "" if limit is None else f", and may have {shown(limit)}: give more by max_memory, or --max-memory"
    return LimitExceeded("memory", f"the module asks for more memory than it is given: {why}{given}")


def shown(size: int) -> str:
    """A size as people write it."""
    return f"{size / _MIB:,.6g} MiB" if size >= _MIB else f"{size / 1024:.4g} KiB"
