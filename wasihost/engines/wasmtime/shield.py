"""Lets a function's own `try` catch what is raised at the function's very first instruction.

Python runs signal handlers (Ctrl-C) at that instruction, when a callback is entered after a long stay in the guest. It
comes before any `try` of the function, so the exception leaves the callback; ctypes prints it and returns an undefined
address, which the engine takes for a trap and frees: the process dies. The exception table of the code object says from
where on the `try` holds; this moves that start to the beginning. Nothing else of the function changes.

The table (Objects/exception_handling_notes.txt of CPython 3.11 to 3.13): entries of four numbers, start, length, target
and depth, in units of two bytes, six bits to a byte, most significant first; 0x80 marks the first byte of an entry and
0x40 a byte that is continued.
"""

import sys
from types import CodeType, FunctionType

_KNOWN = sys.implementation.name == "cpython" and (3, 11) <= sys.version_info < (3, 14)

_changed: dict[int, tuple[CodeType, CodeType]] = {}  # by identity: one code object serves many closures


def _number(table: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where the next one does."""
    value = table[at] & 0x3F
    while table[at] & 0x40:
        at += 1
        value = value << 6 | table[at] & 0x3F
    return value, at + 1


def _encode(value: int, mark: int) -> bytes:
    digits = [value & 0x3F]
    while value := value >> 6:
        digits.append(value & 0x3F | 0x40)
    digits.append(digits.pop() | mark)
    return bytes(reversed(digits))


def _from_the_start(code: CodeType) -> CodeType:
    table = code.co_exceptiontable
    start, at = _number(table, 0)
    length, at = _number(table, at)
    return code.replace(co_exceptiontable=_encode(0, 0x80) + _encode(start + length, 0) + table[at:])


def shield(function: FunctionType) -> FunctionType:
    """The function, changed in place: its outermost `try`, which must be its first statement, holds from the start.

    On a Python whose table may look different the function stays as it is.
    """
    if not _KNOWN:
        return function
    code = function.__code__
    if id(code) not in _changed:
        _changed[id(code)] = code, _from_the_start(code)
    function.__code__ = _changed[id(code)][1]
    return function
