"""Keeps a guest's `memory` limit: how large each memory and table of a store may become, so that the sum stays below
it.

The engine has one limit for each memory, and one for each table. So the declarations of a module are read before an
instance is made, and both limits are chosen so that the sum cannot be exceeded: a single memory may use the whole
limit; several memories that can grow share it. Tables that can grow share an eighth of it.

Rules of this file: the sum holds whatever the guest does. Small tables do not count (`FREE`), so that a limit of 64 MiB
allows a memory of 64 MiB.
"""

from __future__ import annotations

from wasi_preview1.light_typing import NamedTuple

from wasihost.engines.limits import ELEMENT, FREE, shown, too_much
from wasihost.engines.values import Usage
from wasihost.engines.wasmtime.ffi import Extern, c
from wasihost.engines.wasmtime.outline import Extent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from wasihost.engines.wasmtime.module import WasmtimeModule

Export: TypeAlias = "Callable[[str, int], Extern | None]"

_FOR_TABLES = 8
_HEAP = Extent(0)
_NEARLY_ALL = 16
"""A memory with less than 1/16 of its share left has met the limit: the engine does not report what it refused."""


class Room(NamedTuple):
    """How many bytes each memory, and how many elements each table may have.

    `at_first` holds while the instance is being made: its module may begin with more.
    """

    memory: int
    elements: int
    at_first: tuple[int, int]


def memories_of(module: WasmtimeModule) -> list[Extent]:
    """Return each memory of an instance, with those that are made for its imports."""
    imported = [
        Extent(one.least * one.page, None if one.most is None else one.most * one.page)
        for item in dict.fromkeys(module.imports)
        if (one := item.memory)
    ]
    return [*imported, *module.storage.memories, *[_HEAP] * module.storage.collected]


def room(module: WasmtimeModule, limit: int) -> Room:
    """Return how large each memory and table may become. LimitExceeded if the module begins with more than the
    limit."""
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
    """Return the largest size that each may have, so that all together stay within `whole`."""
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
    """Return whether a memory or table of this size counts as having met its limit."""
    return (share - size) * _NEARLY_ALL < share


def usage(module: WasmtimeModule, room: Room | None, given: Sequence[Extern], export: Export, context: int) -> Usage:
    """Return the memory that an instance uses.

    `given` are the memories that were made for its imports; `export` finds one that it exports. All others count with
    their initial size, because the engine cannot be asked for them.
    """
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
