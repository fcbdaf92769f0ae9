"""What the spec says of a call: what its numbers mean, and which bytes of the guest's memory it may write.

Rules of this file: taken from the `.witx` declarations alone, through the generator's model and ABI; nothing of any one
function is written down here, but for how many elements an array has whose count is no parameter (`ARRAYS`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from witxgen import abi
from witxgen.layout import record_offsets, size_align
from witxgen.model import Document, Function, List, Pointer, Record, Type, strip
from witxgen.resolve import load

WITX = Path(__file__).resolve().parents[2] / "witx" / "preview1" / "wasi_snapshot_preview1.witx"
ARRAYS: Mapping[str, tuple[str, int]] = {
    "args_get.argv": ("args_sizes_get", 0),
    "args_get.argv_buf": ("args_sizes_get", 1),
    "environ_get.environ": ("environ_sizes_get", 0),
    "environ_get.environ_buf": ("environ_sizes_get", 1),
}
"""Arrays whose count another function returns: its name and the number of its result."""


class Region(NamedTuple):
    """Some bytes of the guest's memory."""

    address: int
    size: int


class Writable(NamedTuple):
    """What a call may write: values that it returns through pointers, and arrays that it fills from their begin.

    `unit` is the size of an element of the arrays, in which the call's first result counts, if that is a `size`.
    """

    results: list[Region]
    arrays: list[Region]
    unit: int
    counted: bool


@functools.cache
def _document() -> Document:
    return load([WITX])


def fields(name: str, data: bytes) -> dict[str, int]:
    """The fields of a record that lies in memory, whatever its padding holds; of one that is a record itself, all its
    bytes."""
    record = next(strip(one.type) for one in _document().types if one.name == name)
    assert isinstance(record, Record), name
    placed = zip(record_offsets(record).values(), record.fields, strict=True)
    return {field.name: int.from_bytes(data[at : at + size_align(field.type).size], "little") for at, field in placed}


@functools.cache
def functions() -> dict[str, Function]:
    """The functions of preview1 by name."""
    return {function.name: function for function in _document().functions()}


@functools.cache
def slots(name: str) -> tuple[abi.Slot, ...]:
    """The core parameters of a function."""
    return tuple(abi.flat_params(functions()[name]))


def ok_types(name: str) -> tuple[Type, ...]:
    """The types of what a function returns through pointers."""
    result = functions()[name].result
    return abi.ok_types(result.type) if result else ()


def writable(name: str, numbers: Sequence[int], memory: bytes, counts: Mapping[str, Sequence[int]]) -> Writable:
    """What a call with these numbers may write if it succeeds. `memory` is the guest's before the call, `counts` are
    the results of the functions of `ARRAYS`."""
    given = dict(zip((slot.name for slot in slots(name)), (number & 0xFFFFFFFF for number in numbers), strict=True))
    pointers = [given[slot.name] for slot in slots(name) if slot.role == "result"]
    types = ok_types(name)
    results = [Region(at, size_align(type_).size) for at, type_ in zip(pointers, types, strict=True)]
    arrays: list[Region] = []
    unit = 1
    for param in functions()[name].params:
        match strip(param.type):
            case Pointer(target, const=False):
                unit = size_align(target).size
                arrays.append(Region(given[param.name], unit * _count(name, param.name, given, counts)))
            case List(element):
                arrays += _buffers(strip(element), given[param.name], given[f"{param.name}_len"], memory)
    return Writable(results, arrays, unit, bool(types) and size_align(types[0]).size == 4 and bool(arrays))


def _count(name: str, param: str, given: Mapping[str, int], counts: Mapping[str, Sequence[int]]) -> int:
    if source := ARRAYS.get(f"{name}.{param}"):
        return counts[source[0]][source[1]]
    lengths = [one for one in (f"{param}_len", "nsubscriptions") if one in given]
    assert len(lengths) == 1, f"{name}: how many elements has {param}?"
    return given[lengths[0]]


def _buffers(element: Type, address: int, count: int, memory: bytes) -> Iterator[Region]:
    """Those of an array of buffers that the host writes: `iovec`, not `ciovec`."""
    if not isinstance(element, Record):
        return
    target = strip(element.fields[0].type)
    if not isinstance(target, Pointer) or target.const:
        return
    size, _ = size_align(element)
    offsets = list(record_offsets(element).values())
    for at in range(address, min(address + size * count, len(memory) - size + 1), size):
        buffer, length = (int.from_bytes(memory[at + offset : at + offset + 4], "little") for offset in offsets)
        yield Region(buffer, length)


def outside(before: bytes, after: bytes, may: Writable, *, success: bool) -> list[int]:
    """Addresses of bytes that changed and may not have. After a fault, of which nothing is known, any of `may` may."""
    allowed = bytearray(before)
    regions = list(may.results)
    left = sum(region.size for region in may.arrays)
    if success and may.counted and not _overlap(may.results):
        told = int.from_bytes(after[may.results[0].address :][:4], "little") * may.unit
        assert told <= left, f"more is said to have been written than there was room for: {told} of {left}"
        left = told
    for address, size in may.arrays:
        regions.append(Region(address, min(size, left)))
        left -= min(size, left)
    for address, size in regions:
        allowed[address : address + size] = after[address : address + size]
    if allowed == after:
        return []
    return [at for at, (one, other) in enumerate(zip(allowed, after, strict=True)) if one != other]


def _overlap(regions: Sequence[Region]) -> bool:
    ordered = sorted(regions)
    return any(one.address + one.size > other.address for one, other in itertools.pairwise(ordered))
