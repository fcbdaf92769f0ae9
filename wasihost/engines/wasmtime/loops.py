"""How many loops the functions of a module have, counted before the engine compiles it.

Code that can be interrupted looks at a counter in each loop. The engine's compiler takes a time for these looks that
grows with the square of their number in one function: 14,000 loops, 42 KB, take half a minute, and a tenth of a second
without the looks. Programs have a few hundred in their largest function.

Rules of this file: the module was found valid. An instruction that is not known here ends the counting of its function,
and every byte behind it that could be a loop is taken for one. What cannot have many loops is not read at all.
"""

import re
from collections.abc import Iterator
from typing import Final

MOST: Final = 4_000_000
"""Of the squares of the loops of each function, taken together: two seconds of compiling on one core."""
_FEW = 500
"""Loops of a function that are not counted: five hundred take a twentieth of a second."""

_NUMBER = rb"[\x80-\xff]*[\x00-\x7f]"
_BLOCK = rb"(?:[\x63\x64]" + _NUMBER + rb"|" + _NUMBER + rb")"
_TWO = _NUMBER + _NUMBER
_CATCH = rb"(?:[\x00\x01]" + _TWO + rb"|[\x02\x03]" + _NUMBER + rb")"
# All instructions but loops, and those that have lists in them. The order is by how often they occur.
_OTHERS = re.compile(
    rb"(?:[\x00\x01\x05\x0a\x0b\x0f\x19\x1a\x1b\x45-\xc4\xd1\xd3\xd4]"
    rb"|[\x07-\x09\x0c\x0d\x10\x12\x14\x15\x18\x20-\x26\x3f-\x42\xd0\xd2\xd5\xd6]" + _NUMBER
    + rb"|[\x28-\x3e](?:[\x40-\x7f]" + _TWO + rb"|" + _TWO + rb")"
    rb"|[\x02\x04\x06]" + _BLOCK
    + rb"|[\x11\x13]" + _TWO
    + rb"|\x43[\s\S]{4}|\x44[\s\S]{8}"
    rb"|\x1f" + _BLOCK + rb"(?:\x00|\x01" + _CATCH + rb"|\x02" + _CATCH * 2 + rb"|\x03" + _CATCH * 3 + rb")"
    rb"|\x1c\x01(?:[\x63\x64]" + _NUMBER + rb"|[\x65-\x7f])"
    rb"|\xfc(?:[\x00-\x07]|[\x08\x0a\x0c\x0e]" + _TWO + rb"|[\x09\x0b\x0d\x0f-\x11]" + _NUMBER + rb")"
    rb"|\xfd(?:[\x00-\x0b\x5c\x5d]" + _TWO + rb"|[\x0c\x0d][\s\S]{16}|[\x15-\x22][\s\S]|[\x54-\x5b]" + _TWO
    + rb"[\s\S]|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff]+[\x00-\x7f]))*+"
)  # fmt: skip
_LOOP = re.compile(rb"\x03" + _BLOCK)
_TABLE = re.compile(rb"\x0e(" + _NUMBER + rb")")
_ONE = re.compile(_NUMBER)


def squares(code: bytes) -> int:
    """Of the loops of each function that may have many, taken together."""
    total = 0
    for start, end in _bodies(code):
        if code.count(3, start, end) > _FEW:
            total += _loops(code, start, end) ** 2
    return total


def _bodies(code: bytes) -> Iterator[tuple[int, int]]:
    """Where the functions of the module's code section are."""
    at = 8
    while at < len(code):
        number = code[at]
        size, at = _number(code, at + 1)
        if number == 10:
            count, at = _number(code, at)
            for _ in range(count):
                size, at = _number(code, at)
                yield at, at + size
                at += size
            return
        at += size


def _loops(code: bytes, start: int, end: int) -> int:
    count, at = _number(code, start)
    for _ in range(count):  # groups of locals
        _, at = _number(code, at)
        at += 1
        if code[at - 1] in (0x63, 0x64):
            _, at = _number(code, at)
    found = 0
    while True:
        at = _end(_OTHERS, code, at, end)
        if at >= end:
            return found
        if loop := _LOOP.match(code, at, end):
            found += 1
            at = loop.end()
        elif table := _TABLE.match(code, at, end):
            count, _ = _number(table[1], 0)
            at = table.end()
            if code[at : at + count + 1].isascii():
                at += count + 1
            else:
                for _ in range(count + 1):
                    at = _end(_ONE, code, at, end)
        else:
            return found + code.count(3, at, end)


def _end(pattern: re.Pattern[bytes], code: bytes, at: int, end: int) -> int:
    match = pattern.match(code, at, end)
    return match.end() if match else end


def _number(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
