"""Calls of the raw ABI as data: readable text for the corpus, and random ones, shaped by what the spec says.

A script is a list of `Put` (bytes into the guest's memory) and `Call`. As text, one a line: `0x100 = 66 69 6c 65` and
`path_open 3 1 0x100 4 ...`; what follows `#` is a comment. Numbers may be negative: they are what an engine passes.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from hypothesis import strategies as st
from witxgen.layout import record_offsets, size_align, variant_layout
from witxgen.model import Builtin, Enum, Flags, Handle, List, Pointer, Record, String, Type, Variant, strip

from tests.fuzz import spec

SIZE = 0x4000
"""Of the guest's memory, in bytes."""


class Put(NamedTuple):
    """Bytes that the guest has put into its memory."""

    address: int
    data: bytes


class Call(NamedTuple):
    """A function and the numbers that it gets."""

    function: str
    numbers: tuple[int, ...]


Line: TypeAlias = Put | Call


def text(lines: list[Line]) -> str:
    """A script as the corpus keeps it."""
    return "".join(f"{_line(line)}\n" for line in lines)


def _line(line: Line) -> str:
    if isinstance(line, Put):
        readable = line.data.decode("ascii", "replace")
        return f"{line.address:#x} = {line.data.hex(' ')}" + (f"  # {readable}" if readable.isprintable() else "")
    return " ".join([line.function, *(str(one) if -64 < one < 64 else hex(one) for one in line.numbers)])


def parse(script: str) -> list[Line]:
    """The script of a text. ValueError for what is none."""
    lines: list[Line] = []
    for line in script.splitlines():
        words = line.partition("#")[0].split()
        if words[1:2] == ["="]:
            lines.append(Put(int(words[0], 0), bytes.fromhex("".join(words[2:]))))
        elif words:
            lines.append(Call(words[0], tuple(int(word, 0) for word in words[1:])))
    return lines


# -- random scripts ----------------------------------------------------------------------------------------------------

_NAMES = ["file", "folder", "link", "new", "folder/inner", "other", "out", "loop", "folder/new", "."]
_PARTS = st.sampled_from([*_NAMES, "..", "", "/", "a\0b", "\N{SNOWMAN}", "n" * 255, "n" * 256, "x\n\x1b[1m"])
_GOOD_TEXTS = st.sampled_from([*_NAMES, "file", "new"]).map(str.encode)
_TEXTS = st.one_of(
    st.lists(_PARTS, max_size=4).map(lambda parts: "/".join(parts).encode()),
    st.binary(max_size=8),
    st.sampled_from([b"\xff", b"\xed\xa0\x80", b"file\xc3", b"d/" * 200, b"n" * 4100]),
)
_CELLS = st.integers(1, 40).map(lambda number: number * 0x100)
_EDGES = [0, 1, 2, 4, 7, SIZE - 1, SIZE - 4, SIZE - 8, SIZE - 24, SIZE, SIZE + 1, 0x7FFFFFFF, -1, -4, -8, -(1 << 31)]
_ADDRESSES = st.one_of(st.sampled_from(_EDGES), st.integers(0, SIZE), st.integers(-(1 << 31), (1 << 32) - 1))
_GOOD_LENGTHS = st.sampled_from([0, 1, 7, 24, 40, 64, 200, 256, 300, 4000])
_LENGTHS = st.sampled_from([0, 1, 300, SIZE - 0x100, SIZE, 0x7FFFFFFF, -1, 1 << 30, 1025])
_SMALL = st.integers(0, 300)
_INTEGERS = st.one_of(
    st.sampled_from([-1, 100, 4095, 4096, 65536, 1 << 20, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, -(1 << 63)]),
    st.integers(-(1 << 63), (1 << 64) - 1),
)
_FOLDERS = st.sampled_from([3, 3, 3, 6])
_FDS = st.integers(0, 8)
_HANDLES = st.one_of(_FDS, st.sampled_from([-1, 99, 1 << 31, 0x7FFFFFFF]))
_WILD = st.integers(0, 15).map(lambda number: number == 15)


def _kept(number: int, core: str) -> int:
    """A number as an engine passes it: in the range of its type."""
    bits = 64 if core == "i64" else 32
    return number if -(1 << (bits - 1)) <= number < 1 << bits else number & (1 << bits) - 1


def _number(type_: Type, wild: bool) -> st.SearchStrategy[int]:
    """A number for a parameter or a field of this type: one that makes sense, or a wild one."""
    match strip(type_):
        case Handle():
            return _HANDLES if wild else _FDS
        case Enum(cases=cases):
            return _INTEGERS if wild else st.integers(0, len(cases) - 1)
        case Flags(flags=flags):
            return _INTEGERS if wild else _flags((1 << len(flags)) - 1)
        case Pointer():
            return _ADDRESSES if wild else _CELLS
        case Builtin("u32" | "usize"):
            return _LENGTHS if wild else _GOOD_LENGTHS
    return _INTEGERS if wild else _SMALL


def _flags(every: int) -> st.SearchStrategy[int]:
    if every > 0xFF:  # rights: the more, the further a call gets
        return st.one_of(st.just(every), st.just(every), st.integers(0, every))
    return st.one_of(st.just(0), st.just(0), st.just(1), st.integers(0, every))


def _value(draw: st.DrawFn, type_: Type) -> bytes:
    """A value of this type as it lies in memory."""
    size, _ = size_align(type_)
    match strip(type_):
        case Record() as record:
            out = bytearray(size)
            for offset, field in zip(record_offsets(record).values(), record.fields, strict=True):
                part = _value(draw, field.type)
                out[offset : offset + len(part)] = part
            return bytes(out)
        case Variant(cases=cases) as variant:
            layout = variant_layout(variant)
            tag = draw(st.integers(0, 255) if draw(_WILD) else st.integers(0, len(cases) - 1))
            payload = cases[tag].type if tag < len(cases) else None
            head = tag.to_bytes(layout.tag_size, "little").ljust(layout.payload_offset, b"\0")
            return (head + (_value(draw, payload) if payload else b"")).ljust(size, b"\0")
        case behind:
            return (draw(_number(behind, draw(_WILD))) & (1 << 8 * size) - 1).to_bytes(size, "little")


@st.composite
def _calls(draw: st.DrawFn) -> list[Line]:
    """A call, after what it is to find in memory was put there."""
    name = draw(st.sampled_from(_FUNCTIONS))
    params = spec.functions()[name].params
    lines: list[Line] = []
    numbers: list[int] = []
    count = 0  # of the bytes or elements that were put for the parameter just before
    for slot in spec.slots(name):
        type_ = strip(params[slot.param].type) if slot.param is not None else None
        wild = draw(_WILD)
        data = b""
        match slot.role, type_:
            case "length", _:
                numbers.append(draw(_LENGTHS) if wild else count)
            case (_, None) | ("result", _):
                numbers.append(draw(_ADDRESSES if wild else _CELLS))
            case _, String():
                data = draw(_TEXTS if wild or draw(_WILD) else _GOOD_TEXTS)
                count = len(data)
            case (_, List(element)) | (_, Pointer(element, const=True)):
                data = b"".join(_value(draw, element) for _ in range(draw(st.integers(1, 3))))
                count = len(data) // size_align(element).size
            case _, Builtin() if slot.name == "nsubscriptions":
                numbers.append(draw(_LENGTHS) if wild else count)
            case _, Handle() if name.startswith("path_") and not wild:
                numbers.append(draw(_FOLDERS))
            case _, behind:
                numbers.append(_kept(draw(_number(behind, wild)), slot.core))
        if data or (isinstance(type_, String) and slot.role == "address"):
            at = draw(_ADDRESSES if wild else _CELLS)
            numbers.append(at)
            if (at & 0xFFFFFFFF) + len(data) <= SIZE:
                lines.append(Put(at & 0xFFFFFFFF, data))
    return [*lines, Call(name, tuple(numbers))]


_FUNCTIONS = [*sorted(set(spec.functions()) - {"proc_exit"}), *["path_open"] * 8, "fd_read", "fd_write", "fd_pwrite"]
scripts: st.SearchStrategy[list[Line]] = st.lists(_calls(), min_size=1, max_size=20).map(
    lambda calls: [line for call in calls for line in call]
)
"""Random scripts; hypothesis makes the shortest of those that fail."""
