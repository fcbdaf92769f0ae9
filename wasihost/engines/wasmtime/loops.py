"""Counts the loops in the functions of a module, before the engine compiles it.

Code that can be interrupted checks a counter in each loop. The time that the engine's compiler takes for these checks
grows with the square of their number in one function: 14,000 loops, 42 KB, take half a minute, and a tenth of a second
without the checks. The largest function of a real program has a few hundred loops.

Rules of this file: the engine found the module valid. At an instruction that is not known here, counting stops, and
every later byte of the function that could be a loop counts as one. Functions that cannot have many loops are not read.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

MOST: Final = 4_000_000
"""Most that the squares of the loop counts of all functions may add up to: two seconds of compiling on one core."""
ALONE: Final = 2_000
"""Most loops that a single function may have: the square root of `MOST`."""
_FEW = 500
"""A function with at most this many loops is not counted: they take a twentieth of a second to compile."""

_NUMBER = rb"[\x80-\xff]*[\x00-\x7f]"
_BLOCK = rb"(?:[\x63\x64]" + _NUMBER + rb"|" + _NUMBER + rb")"
_TWO = _NUMBER + _NUMBER
_CATCH = rb"(?:[\x00\x01]" + _TWO + rb"|[\x02\x03]" + _NUMBER + rb")"


@cache
def _instructions(plain: bytes, *more: bytes) -> re.Pattern[bytes]:
    """Return a pattern for any number of instructions: a fixed set, one-byte ones in `plain`, and the forms in `more`.

    Alternatives are ordered by how often they occur. Compiled at first use: that takes as long as a small run.
    """
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
    """Return a pattern for all instructions but loops, and those that contain lists."""
    return _instructions(rb"\x0b", rb"[\x02\x04\x06]" + _BLOCK, _TRY_TABLE)


def flat() -> re.Pattern[bytes]:
    """Return a pattern for all instructions but blocks of any kind, their ends, and those that contain lists."""
    return _instructions(b"")


_LOOP = re.compile(rb"\x03" + _BLOCK)
_TABLE = re.compile(rb"\x0e(" + _NUMBER + rb")")
_ONE = re.compile(_NUMBER)


def squares(code: bytes) -> int:
    """Return the sum of the squares of the loop counts, of the functions that may have many loops."""
    total = 0
    for start, end in bodies(code):
        if code.count(3, start, end) > _FEW:
            total += _loops(code, start, end) ** 2
    return total


def bodies(code: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each function body in the code section."""
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
    """Return the position after a `br_table`, or None if there is none at `at`."""
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
    """Return the end of the pattern's match at `at`, or `end` if it does not match."""
    match = pattern.match(code, at, end)
    return match.end() if match else end


def leb128(code: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned LEB128, and the position after it."""
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
