"""How many loops the functions of a module have, counted before the engine compiles it.

Code that can be interrupted looks at a counter in each loop. The engine's compiler takes a time for these looks that
grows with the square of their number in one function: 14,000 loops, 42 KB, take half a minute, and a tenth of a second
without the looks. Programs have a few hundred in their largest function.

Rules of this file: the module was found valid. An instruction that is not known here ends the counting of its function,
and every byte behind it that could be a loop is taken for one. What cannot have many loops is not read at all.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

MOST: Final = 4_000_000
"""Of the squares of the loops of each function, taken together: two seconds of compiling on one core."""
ALONE: Final = 2_000
"""Loops of one function alone: the root of that."""
_FEW = 500
"""Loops of a function that are not counted: five hundred take a twentieth of a second."""

_NUMBER = rb"[\x80-\xff]*[\x00-\x7f]"
_BLOCK = rb"(?:[\x63\x64]" + _NUMBER + rb"|" + _NUMBER + rb")"
_TWO = _NUMBER + _NUMBER
_CATCH = rb"(?:[\x00\x01]" + _TWO + rb"|[\x02\x03]" + _NUMBER + rb")"


@cache
def _instructions(plain: bytes, *more: bytes) -> re.Pattern[bytes]:
    """Any number of the instructions that are always here, `plain` ones of one byte, and `more`. The order is by how
    often they occur. Compiled when it is first needed, which takes as long as a small run."""
    return re.compile(
        b"(?:[" + plain + rb"\x00\x01\x05\x0a\x0f\x19\x1a\x1b\x45-\xc4\xd1\xd3\xd4]"
        rb"|[\x07-\x09\x0c\x0d\x10\x12\x14\x15\x18\x20-\x26\x3f-\x42\xd0\xd2\xd5\xd6]"
        + _NUMBER
        + rb"|[\x28-\x3e](?:[\x40-\x7f]"
        + _TWO
        + rb"|"
        + _TWO
        + rb")|"
        + b"".join(form + b"|" for form in more)
        + rb"[\x11\x13]"
        + _TWO
        + rb"|\x43[\s\S]{4}|\x44[\s\S]{8}"
        rb"|\x1c\x01(?:[\x63\x64]" + _NUMBER + rb"|[\x65-\x7f])"
        rb"|\xfc(?:[\x00-\x07]|[\x08\x0a\x0c\x0e]" + _TWO + rb"|[\x09\x0b\x0d\x0f-\x11]" + _NUMBER + rb")"
        rb"|\xfd(?:[\x00-\x0b\x5c\x5d]"
        + _TWO
        + rb"|[\x0c\x0d][\s\S]{16}|[\x15-\x22][\s\S]|[\x54-\x5b]"
        + _TWO
        + rb"[\s\S]|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff]+[\x00-\x7f]))*+"
    )


_TRY_TABLE = rb"\x1f" + _BLOCK + rb"(?:\x00|\x01" + _CATCH + rb"|\x02" + _CATCH * 2 + rb"|\x03" + _CATCH * 3 + rb")"


def others() -> re.Pattern[bytes]:
    """All but loops, and those that have lists in them."""
    return _instructions(rb"\x0b", rb"[\x02\x04\x06]" + _BLOCK, _TRY_TABLE)


def flat() -> re.Pattern[bytes]:
    """All but blocks of any kind, their ends, and those that have lists in them."""
    return _instructions(b"")


_LOOP = re.compile(rb"\x03" + _BLOCK)
_TABLE = re.compile(rb"\x0e(" + _NUMBER + rb")")
_ONE = re.compile(_NUMBER)


def squares(code: bytes) -> int:
    """Of the loops of each function that may have many, taken together."""
    total = 0
    for start, end in bodies(code):
        if code.count(3, start, end) > _FEW:
            total += _loops(code, start, end) ** 2
    return total


def bodies(code: bytes) -> Iterator[tuple[int, int]]:
    """Where the functions of the module's code section are."""
    at = 8
    while at < len(code):
        number = code[at]
        size, at = leb128(code, at + 1)
        if number == 10:
            count, at = leb128(code, at)
            for _ in range(count):
                size, at = leb128(code, at)
                yield at, at + size
                at += size
            return
        at += size


def _loops(code: bytes, start: int, end: int) -> int:
    count, at = leb128(code, start)
    for _ in range(count):  # groups of locals
        _, at = leb128(code, at)
        at += 1
        if code[at - 1] in (0x63, 0x64):
            _, at = leb128(code, at)
    found, pattern = 0, others()
    while True:
        at = after(pattern, code, at, end)
        if at >= end:
            return found
        if loop := _LOOP.match(code, at, end):
            found += 1
            at = loop.end()
        elif (behind := after_table(code, at, end)) is not None:
            at = behind
        else:
            return found + code.count(3, at, end)


def after_table(code: bytes, at: int, end: int) -> int | None:
    """Where a `br_table` ends, if there is one."""
    table = _TABLE.match(code, at, end)
    if table is None:
        return None
    count, _ = leb128(table[1], 0)
    at = table.end()
    if count >= end - at:
        return None
    if code[at : at + count + 1].isascii():
        return at + count + 1
    for _ in range(count + 1):
        at = after(_ONE, code, at, end)
    return at


def after(pattern: re.Pattern[bytes], code: bytes, at: int, end: int) -> int:
    """Where what the pattern finds at this place ends."""
    match = pattern.match(code, at, end)
    return match.end() if match else end


def leb128(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
