"""Limits on what a module may contain, if it is compiled within this process.

The engine's own limits are a million of most things, and a module of some kilobytes within those can take it minutes or
gigabytes to compile. Real programs stay far below the limits here: see RATIONALE.md for the measurements. A compilation
with limits of its own (`compile_timeout`, `compile_memory`) is bounded by those instead.

Rules of this file: `check` takes any bytes, before the engine does, and ignores what it cannot read; `check_code` takes
a module that the engine found valid. Each takes less than a hundredth of the time of compiling.
"""

import io
import re
from collections.abc import Iterator
from typing import Final

from wasihost.engines.wasmtime.function_types import imported
from wasihost.engines.wasmtime.loops import after, after_table, bodies, flat, leb128
from wasihost.errors import ModuleError

_COUNTS: Final = {
    1: ("types", 100_000),
    2: ("imports", 100_000),
    3: ("functions", 500_000),
    6: ("globals", 500_000),
    7: ("exports", 100_000),
    9: ("segments of elements", 100_000),
    11: ("segments of data", 100_000),
}
"""For each section number, what it contains, and how many are allowed."""
LOCALS: Final = 20_000_000
"""Local variables of all functions together: two bytes declare 50,000, and the compiler allocates each of them."""
NESTED: Final = 50_000
"""Depth of nested blocks: five times what a `switch` with 10,000 cases needs."""
RESULTS: Final = 200_000
"""Results of all calls and blocks with more than eight results: two bytes of code make a thousand values, and the
compiler's memory for them grows with their square."""
_MANY: Final = 8
_END: Final = 0x0B
_MOST_NAMES: Final = 1000
"""Most types and functions whose calls are searched for exactly; with more, calls are estimated."""


def _refused(label: str, what: str, most: int) -> ModuleError:
    return ModuleError(
        f"{label}: has {what}: at most {most:,} are compiled within this process; give compile_timeout and "
        "compile_memory, and it is compiled in a process of its own, as far as these reach"
    )


def check(code: bytes, label: str) -> None:
    """Raise ModuleError if a section has too many entries."""
    for number, at, end in _sections(code):
        if number in _COUNTS:
            what, most = _COUNTS[number]
            count, _ = leb128(code[at : at + 10] + b"\0", 0)  # the zero ends a number that is cut off
            if most < count <= end - at:
                raise _refused(label, f"{count:,} {what}", most)


def check_code(code: bytes, label: str) -> None:
    """Raise ModuleError if functions have too many local variables, nested blocks or results."""
    total = 0
    for start, end in bodies(code):
        groups, at = leb128(code, start)
        for _ in range(groups):
            count, at = leb128(code, at)
            total += count
            at += 1
            if code[at - 1] in (0x63, 0x64):  # a reference, whose heap type follows
                _, at = leb128(code, at)
        if end - at > 2 * NESTED and code.count(_END, at, end) > NESTED and _depth(code, at, end) > NESTED:
            raise _refused(label, "blocks that are nested too deeply", NESTED)
    if total > LOCALS:
        raise _refused(label, f"{total:,} local variables in its functions", LOCALS)
    results = _results(code)
    if results > RESULTS:
        raise _refused(label, f"calls and blocks with some {results:,} results", RESULTS)


def _sections(code: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each section, as far as they can be read."""
    at = 8
    try:
        while at < len(code):
            number = code[at]
            size, at = leb128(code, at + 1)
            if at < at + size <= len(code):
                yield number, at, at + size
            at += size
    except IndexError:
        return


# -- nested blocks -----------------------------------------------------------------------------------------------------

_OPENING = re.compile(rb"(?:[\x02-\x04\x06](?:[\x63\x64][\x80-\xff]*[\x00-\x7f]|[\x80-\xff]*[\x00-\x7f]))")
_TRY_TABLE: Final = 0x1F
_ENDS = re.compile(rb"\x0b+")


def _depth(code: bytes, at: int, end: int) -> int:
    """Return the greatest depth of nested blocks. From an unknown instruction on, it is estimated from above."""
    depth = deepest = 0
    pattern = flat()
    while at < end and deepest <= NESTED:
        at = after(pattern, code, at, end)
        if ends := _ENDS.match(code, at, end):
            depth -= ends.end() - at
            at = ends.end()
        elif opening := _OPENING.match(code, at, end):
            depth += 1
            deepest = max(deepest, depth)
            at = opening.end()
        elif (behind := after_table(code, at, end)) is not None:
            at = behind
        elif code[at] == _TRY_TABLE:
            depth += 1
            deepest = max(deepest, depth)
            at = _behind_catches(code, at + 1, end)
        else:
            return max(deepest, depth + code.count(_END, at, end))
    return deepest


def _behind_catches(code: bytes, at: int, end: int) -> int:
    try:
        if code[at] in (0x63, 0x64):
            at += 1
        _, at = leb128(code, at)
        catches, at = leb128(code, at)
        for _ in range(min(catches, end - at)):
            kind, at = code[at], at + 1
            for _ in range(2 if kind < 2 else 1):
                _, at = leb128(code, at)
    except IndexError:  # this was not an instruction
        return end
    return at


# -- results -----------------------------------------------------------------------------------------------------------


def _results(code: bytes) -> int:
    """Return the number of calls and blocks with many results, times the most results that one has."""
    sections = {number: (at, end) for number, at, end in _sections(code)}
    if 1 not in sections or 10 not in sections:
        return 0
    many, most = many_results(code, *sections[1])
    if not many:
        return 0
    functions = _functions_of(code, sections, many)
    start, end = sections[10]
    if len(many) + len(functions) > _MOST_NAMES:
        body = code[start:end]
        return most * (len(body) - len(body.translate(None, b"\x02\x03\x04\x06\x10\x11\x12\x13\x14\x15")))
    forms = [rb"[\x02-\x04\x06]" + _number(index, signed=True) for index in many]
    forms += [rb"[\x11\x13-\x15]" + _number(index) for index in many]
    forms += [rb"[\x10\x12]" + _number(index) for index in functions]
    return most * sum(1 for _ in re.finditer(b"|".join(forms), code[start:end]))


def many_results(code: bytes, at: int, end: int) -> tuple[list[int], int]:
    """Return the indices of function types with many results, and the most results that one has.

    Parameters and results of plain types are skipped all at once: there may be millions.
    """
    found: list[int] = []
    most = index = 0
    count, at = leb128(code, at)
    waiting = 0  # types left in a recursion group
    while (count or waiting) and at < end:
        form, at = code[at], at + 1
        if form == 0x4E:
            waiting, at = leb128(code, at)
            count -= 1
            continue
        if form in (0x50, 0x4F):  # its supertypes
            supers, at = leb128(code, at)
            for _ in range(supers):
                _, at = leb128(code, at)
            form, at = code[at], at + 1
        if form == 0x60:
            params, at = leb128(code, at)
            at = _behind(code, at, params)
            results, at = leb128(code, at)
            at = _behind(code, at, results)
            if results > _MANY:
                found.append(index)
                most = max(most, results)
        elif form in (0x5F, 0x5E):
            fields, at = leb128(code, at) if form == 0x5F else (1, at)
            for _ in range(fields):
                at = _behind(code, at, 1) + 1
        else:
            break
        index += 1
        if waiting:
            waiting -= 1
        else:
            count -= 1
    return found, most


def _behind(code: bytes, at: int, types: int) -> int:
    """Return the position after `types` value types."""
    plain = code[at : at + types]
    if 0x63 not in plain and 0x64 not in plain:
        return at + types
    for _ in range(types):
        at += 1
        if code[at - 1] in (0x63, 0x64):
            _, at = leb128(code, at)
    return at


def _functions_of(code: bytes, sections: dict[int, tuple[int, int]], types: list[int]) -> list[int]:
    """Return the indices of the functions that have one of these types; imported functions come first."""
    wanted = set(types)
    indices: list[int] = []
    if 2 in sections:
        indices += imported(io.BytesIO(code[slice(*sections[2])]))
    if 3 in sections:
        count, at = leb128(code, sections[3][0])
        for _ in range(count):
            index, at = leb128(code, at)
            indices.append(index)
    return [number for number, index in enumerate(indices) if index in wanted]


def _number(value: int, *, signed: bool = False) -> bytes:
    """Return a pattern for an index in LEB128, which may have superfluous bytes."""
    low = []
    while value > 0x7F:
        low.append(value & 0x7F | 0x80)
        value >>= 7
    longer = re.escape(bytes([value | 0x80])) + rb"\x80*\x00"
    plain = [] if signed and value > 0x3F else [re.escape(bytes([value]))]
    return re.escape(bytes(low)) + b"(?:" + b"|".join([*plain, longer]) + b")"
