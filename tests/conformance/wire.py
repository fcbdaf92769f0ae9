"""Between a `Step` and the bytes that tests/guests/calls.c reads and writes, and whether they are as expected.

Rules of this file: everything that a call is to find or to fill lies in one image, each piece between sentinels. Of
what comes back every byte of the image is compared, so a result that is a byte too long, or in the wrong place, is
found. Where a field lies is taken from what `python -m wasi_preview1 dump` prints, not from the code under test.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from wasi_preview1.types import Errno

from tests.conformance.steps import Block, Data, Entries, Room, Rooms, Slot, Space, Step
from tests.support.raw import SENTINEL, abi, number, record, unpack

ARENA = 0x100000
"""Where the guest puts the image of a call."""
GAP = 32
_RECORD = struct.Struct("<28sI9Q")
_END = 0xFFFFFFFF
_SLOT = 0x534C4F54 << 32
"""The mark of an argument that is the number of a slot."""


class Report(NamedTuple):
    """What the guest reports of one call: its errno, and the runs of bytes that changed, by offset in the image."""

    errno: int
    changes: dict[int, bytes]


class Image:
    """The memory that a step works on, and the numbers that its call gets."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.bytes = bytearray(SENTINEL * GAP)
        self.buffers: list[slice] = []
        self.result = slice(0, 0)
        self.arguments: list[int] = []
        for argument in step.arguments:
            match argument:
                case Slot(number):
                    self.arguments.append(_SLOT | number)
                case Block(content):
                    self.arguments.append(ARENA + self._put(content).start)
                case Space(size):
                    self.buffers = [self._put(SENTINEL * size)]
                    self.arguments.append(ARENA + self.buffers[0].start)
                case int():
                    self.arguments.append(argument & (1 << 64) - 1)
                case str() | bytes():
                    text = argument.encode() if isinstance(argument, str) else argument
                    self.arguments += (ARENA + self._put(text).start, len(text))
                case Room(size):
                    self.buffers = [self._put(SENTINEL * size)]
                    self.arguments += (ARENA + self.buffers[0].start, size)
                case Rooms(sizes):
                    self.buffers = [self._put(SENTINEL * size) for size in sizes]
                    self._array(self.buffers)
                case Data(pieces):
                    self._array([self._put(piece) for piece in pieces])
        if step.answers:
            self.result = self._put(SENTINEL * int(abi()["types"][step.answers]["size"]))
            self.arguments.append(ARENA + self.result.start)

    def _put(self, data: bytes) -> slice:
        start = len(self.bytes)
        self.bytes += data + SENTINEL * (GAP + -len(data) % 8)  # the next begins at a multiple of 8
        return slice(start, start + len(data))

    def _array(self, places: list[slice]) -> None:
        vectors = (record("iovec", buf=ARENA + at.start, buf_len=at.stop - at.start) for at in places)
        self.arguments += (ARENA + self._put(b"".join(vectors)).start, len(places))

    def script(self) -> bytes:
        """The guest's input for this call."""
        numbers = self.arguments + [0] * (9 - len(self.arguments))
        return _RECORD.pack(self.step.function.encode(), len(self.bytes), *numbers) + self.bytes

    def problem(self, report: Report, *, untouched: bool = False) -> str:
        """What is not as the step expects; empty if everything is. `untouched` lets padding be as it was."""
        step = self.step
        if report.errno != step.errno:
            return f"{told(step)} answered {Errno(report.errno).name}, not {step.errno.name}"
        after = bytearray(self.bytes)
        for at, data in report.changes.items():
            after[at : at + len(data)] = data
        wanted = bytearray(self.bytes)
        if step.errno == Errno.SUCCESS:
            self._expect(wanted, bytes(after))
        allowed = {(*SENTINEL, 0)} if untouched else set()
        pairs = enumerate(zip(after, wanted, strict=True))
        wrong = [at for at, pair in pairs if pair[0] != pair[1] and pair not in allowed]
        if wrong:
            part = slice(max(0, wrong[0] - 8), wrong[-1] + 9)
            return f"{told(step)}: from {part.start:#x} on {bytes(after[part])!r}, not {bytes(wanted[part])!r}"
        return ""

    def _expect(self, wanted: bytearray, after: bytes) -> None:
        """Write into `wanted` what a success has to leave there; what cannot be known is taken from `after`."""
        value, found = self.step.value, after[self.result]
        if isinstance(value, Entries):
            value = _listing(value, b"".join(after[place] for place in self.buffers))
        if isinstance(value, bytes) and self.step.answers in ("size", ""):
            rest = value
            for place in self.buffers:
                size = min(len(rest), place.stop - place.start)
                wanted[place.start : place.start + size] = rest[:size]
                rest = rest[size:]
            value = len(value)
        if isinstance(value, Mapping):
            value = _fields(self.step.answers, value, found)
        if isinstance(value, int):
            value = number(value, len(found)) if found else b""
        wanted[self.result] = value or b""


def _fields(name: str, given: Mapping[str, int], found: bytes) -> bytes:
    """A record with the given fields. The others may be anything that was written."""
    there = {field: 0 if value in _UNWRITTEN else value for field, value in unpack(name, found).items()}
    return record(name, **{**there, **given})


_UNWRITTEN = {int.from_bytes(SENTINEL * size, "little") for size in (2, 6, 8)}
"""What a field and its padding are as numbers if no one wrote them."""


def _listing(entries: Entries, found: bytes) -> bytes:
    """The bytes of a listing, cut to the buffer. Inode numbers, and the order of names, are those found."""
    head = int(abi()["types"]["dirent"]["size"])
    there: list[tuple[str, int]] = []
    at = 0
    while at < len(found):
        fields = unpack("dirent", found[at : at + head].ljust(head, b"\0"))
        at += head + fields["d_namlen"]
        there.append((os.fsdecode(found[at - fields["d_namlen"] : at]), fields["d_ino"]))
    names = [name for name, _ in there]
    order = sorted(entries.types, key=lambda name: names.index(name) if name in names[2:] else -1)
    out = b""
    for index, name in enumerate(order):
        inode = there[index][1] if index < len(there) else 0
        kind, raw = int(entries.types[name]), os.fsencode(name)
        out += record("dirent", d_next=entries.start + index + 1, d_ino=inode, d_namlen=len(raw), d_type=kind) + raw
    return out[: len(found)]


def reports(output: bytes) -> Iterator[Report]:
    """What the guest reported, call by call."""
    at = 0

    def take() -> int:
        nonlocal at
        at += 4
        return int.from_bytes(output[at - 4 : at], "little")

    while at < len(output):
        errno, changes = take(), dict[int, bytes]()
        while (offset := take()) != _END:
            size = take()
            changes[offset] = output[at : at + size]
            at += size
        yield Report(errno, changes)


def told(step: Step) -> str:
    """A step for messages."""
    parts = (repr(one) if len(repr(one)) < 60 else f"{repr(one)[:50]}...({len(repr(one))})" for one in step.arguments)
    return f"{step.function}({', '.join(parts)})"
