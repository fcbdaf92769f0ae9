"""Which shape a generated stub should have: small Python experiments, timed side by side.

Run with `make bench-shapes` (or `python tests/bench/stub_shapes.py`). Each group does the same job in several ways;
the shape that `codegen/witxgen/templates/stubs.py.j2` uses is marked with `*`. RATIONALE.md quotes the result.
"""

from __future__ import annotations

import enum
import struct
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
IOVEC = struct.Struct("<II")
get_iovec = IOVEC.unpack_from
put_u32 = U32.pack_into
put_u64 = U64.pack_into
StructError = struct.error


class Fault(Exception):
    """Stands for the trap of a bad pointer."""


class Guest:
    """Stands for the generated runtime: one slot holds the view of the memory."""

    __slots__ = ("view",)

    def __init__(self, size: int) -> None:
        self.view = memoryview(bytearray(size))

    def region(self, address: int, size: int) -> memoryview:
        """The careful way: check, then slice."""
        view = self.view
        if address + size > len(view):
            raise Fault
        return view[address : address + size]

    def buffers(self, address: int, count: int) -> list[memoryview]:
        """The careful way for a list of iovecs."""
        return [self.region(*IOVEC.unpack_from(self.view, address + 8 * i)) for i in range(count)]

    def put_u32(self, address: int, value: int) -> None:
        """The careful way to write a result."""
        if address & 3 or address + 4 > len(self.view):
            raise Fault
        put_u32(self.view, address, value)


class Whence(enum.IntEnum):
    """A generated enum."""

    SET = 0
    CUR = 1
    END = 2


class OflagsEnum(enum.IntFlag, boundary=enum.STRICT):
    """Flags by the standard library."""

    CREAT = 1
    DIRECTORY = 2
    EXCL = 4
    TRUNC = 8


class Oflags(int):
    """Flags as a subclass of int: `&` stays C."""

    __slots__ = ()


class StatTuple(NamedTuple):
    """A record as a named tuple."""

    dev: int
    ino: int
    filetype: int
    nlink: int
    size: int
    atim: int
    mtim: int
    ctim: int


@dataclass(frozen=True, slots=True)
class StatFrozen:
    """A record as a frozen dataclass."""

    dev: int
    ino: int
    filetype: int
    nlink: int
    size: int
    atim: int
    mtim: int
    ctim: int


FILESTAT = struct.Struct("<QQB7xQQQQQ")
put_filestat = FILESTAT.pack_into
WHENCES = tuple(Whence)
OFLAGS = tuple(Oflags(i) for i in range(16))
OFLAGS_ENUM = tuple(OflagsEnum(i) for i in range(16))
CREAT, CREAT_ENUM = Oflags(1), OflagsEnum.CREAT


def read_handler(_fd: int, _iovs: list[memoryview]) -> int:
    """Stands for a handler."""
    return 7


def seek_handler(_fd: int, _offset: int, _whence: int) -> int:
    """Stands for a handler."""
    return 7


def fd_read_shapes() -> dict[str, Callable[[], int]]:
    """fd_read of one buffer."""
    guest = Guest(65536)
    IOVEC.pack_into(guest.view, 16, 1024, 4096)
    handle = read_handler

    def inline(fd: int, iovs: int, iovs_len: int, result: int) -> int:
        view = guest.view
        try:
            if iovs_len != 1 or iovs & 3:
                buffers = guest.buffers(iovs, iovs_len)
            else:
                address, size = get_iovec(view, iovs)
                buffer = view[address : address + size]
                buffers = [buffer] if len(buffer) == size else guest.buffers(iovs, 1)
        except StructError:
            buffers = guest.buffers(iovs, iovs_len)
        size = handle(fd, buffers)
        try:
            if result & 3:
                raise Fault
            put_u32(view, result, size)
        except StructError:
            guest.put_u32(result, size)
        return 0

    def helpers(fd: int, iovs: int, iovs_len: int, result: int) -> int:
        size = handle(fd, guest.buffers(iovs, iovs_len))
        guest.put_u32(result, size)
        return 0

    def explicit(fd: int, iovs: int, iovs_len: int, result: int) -> int:
        view = guest.view
        limit = len(view)
        if iovs & 3 or iovs + 8 * iovs_len > limit:
            raise Fault
        buffers = []
        for address, size in IOVEC.iter_unpack(view[iovs : iovs + 8 * iovs_len]):
            if address + size > limit:
                raise Fault
            buffers.append(view[address : address + size])
        size = handle(fd, buffers)
        if result & 3 or result + 4 > limit:
            raise Fault
        put_u32(view, result, size)
        return 0

    steps = [("value",), ("list",), ("result",)]

    def interpreted(*raw: int) -> int:
        values: list[object] = []
        at = 0
        for (step,) in steps:
            if step == "value":
                values.append(raw[at])
                at += 1
            elif step == "list":
                values.append(guest.buffers(raw[at], raw[at + 1]))
                at += 2
        guest.put_u32(raw[at], handle(*values))  # type: ignore[arg-type]  # that is what this shape cannot promise
        return 0

    return {
        "* inline, careful only on trouble": lambda: inline(3, 16, 1, 32),
        "explicit bounds before each access": lambda: explicit(3, 16, 1, 32),
        "helper methods": lambda: helpers(3, 16, 1, 32),
        "interpreted plan": lambda: interpreted(3, 16, 1, 32),
    }


def enum_shapes() -> dict[str, Callable[[], int]]:
    """An enum argument."""

    def table(fd: int, offset: int, whence: int) -> int:
        try:
            value = WHENCES[whence]
        except IndexError:
            return 28
        return seek_handler(fd, offset, value)

    def by_value(fd: int, offset: int, whence: int) -> int:
        try:
            value = Whence(whence)
        except ValueError:
            return 28
        return seek_handler(fd, offset, value)

    def plain(fd: int, offset: int, whence: int) -> int:
        if whence > 2:
            return 28
        return seek_handler(fd, offset, whence)

    return {
        "* tuple of members": lambda: table(3, 0, 1),
        "Enum(value)": lambda: by_value(3, 0, 1),
        "plain int, compared": lambda: plain(3, 0, 1),
    }


def flag_shapes() -> dict[str, Callable[[], int]]:
    """A flags argument and three tests of it in the handler."""

    def own(oflags: int) -> int:
        try:
            flags = OFLAGS[oflags]
        except IndexError:
            return 28
        return bool(flags & CREAT) + bool(flags & CREAT) + bool(flags & CREAT)

    def stdlib(oflags: int) -> int:
        try:
            flags = OFLAGS_ENUM[oflags]
        except IndexError:
            return 28
        return (CREAT_ENUM in flags) + (CREAT_ENUM in flags) + (CREAT_ENUM in flags)

    def by_value(oflags: int) -> int:
        try:
            flags = OflagsEnum(oflags)
        except ValueError:
            return 28
        return (CREAT_ENUM in flags) + (CREAT_ENUM in flags) + (CREAT_ENUM in flags)

    return {
        "* table of int subclasses, tests with &": lambda: own(5),
        "table of IntFlag, tests with in": lambda: stdlib(5),
        "IntFlag(value), tests with in": lambda: by_value(5),
    }


def record_shapes() -> dict[str, Callable[[], object]]:
    """A record made by a handler and packed."""
    view = memoryview(bytearray(64))
    make = StatTuple._make

    def frozen() -> object:
        s = StatFrozen(1, 2, 3, 4, 5, 6, 7, 8)
        return put_filestat(view, 0, s.dev, s.ino, s.filetype, s.nlink, s.size, s.atim, s.mtim, s.ctim)

    return {
        "* NamedTuple, starred": lambda: put_filestat(view, 0, *StatTuple(1, 2, 3, 4, 5, 6, 7, 8)),
        "NamedTuple._make, starred": lambda: put_filestat(view, 0, *make((1, 2, 3, 4, 5, 6, 7, 8))),
        "frozen dataclass": frozen,
        "plain tuple": lambda: put_filestat(view, 0, *(1, 2, 3, 4, 5, 6, 7, 8)),
    }


def main() -> None:
    """Print best-of times in ns."""
    print(f"Python {sys.version.split()[0]}; ns per call, best of 15 rounds of 20,000, interleaved")
    groups: dict[str, dict[str, Callable[[], object]]] = {
        "fd_read, one buffer": dict(fd_read_shapes()),
        "enum argument": dict(enum_shapes()),
        "flags argument, three tests": dict(flag_shapes()),
        "record result": record_shapes(),
    }
    for title, shapes in groups.items():
        best = dict.fromkeys(shapes, float("inf"))
        for _ in range(15):
            for name, call in shapes.items():
                best[name] = min(best[name], timeit.timeit(call, number=20_000) / 20_000 * 1e9)
        print(title)
        for name, value in best.items():
            print(f"  {value:7.0f}  {name}")


if __name__ == "__main__":
    main()
