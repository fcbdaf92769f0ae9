"""Calls of exports with text and bytes: the conventions of `imports`, in the other direction.

Rules of this file: the type of the export decides how text is passed; if the type is not enough, the caller decides. A
bad pointer that the guest returns is the guest's fault: a TrapError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

from wasihost.common.names import shown
from wasihost.engines.allocator import STRING, Allocator
from wasihost.errors import TrapError
from wasihost.guest.capture import decoded
from wasihost.imports import Unsigned

if TYPE_CHECKING:
    from wasihost.engines.values import Item
    from wasihost.memory import Memory

R = TypeVar("R")

Argument: TypeAlias = int | float | str | bytes | bytearray | memoryview
"""An argument of an export.

A number is passed unchanged. `str` (as UTF-8) and bytes are copied into memory from the guest's allocator. They are
passed as pointer and length if the export has two parameters for each, otherwise as a pointer to NUL-terminated bytes.
An AssemblyScript guest gets a new String or ArrayBuffer."""

ResultAs: TypeAlias = Literal["packed", "packed-reversed", "pair", "nul", "indirect", "prefixed", "out"]
"""How an export returns text or bytes:

- "packed": an i64, `pointer << 32 | length`, as imports return them
- "packed-reversed": an i64, `length << 32 | pointer`
- "pair": two i32, pointer and length
- "nul": an i32, a pointer to NUL-terminated bytes (C's `char *`)
- "indirect": an i32, a pointer to pointer and length (the component model's canonical ABI)
- "prefixed": an i32, a pointer to a length of 4 bytes, followed by the bytes
- "out": the export returns nothing; its first parameter is a pointer to 8 bytes, into which it writes pointer and
  length (C returns structs this way, and so does wasm-bindgen)
"""

_TEXT: Final = (str, bytes, bytearray, memoryview)
_TYPES: Final[dict[ResultAs, tuple[str, ...]]] = {
    "packed": ("i64",),
    "packed-reversed": ("i64",),
    "pair": ("i32", "i32"),
    "nul": ("i32",),
    "indirect": ("i32",),
    "prefixed": ("i32",),
    "out": (),
}
_BY_TYPE: Final[dict[tuple[str, ...], ResultAs]] = {
    ("i64",): "packed",
    ("i32", "i32"): "pair",
    ("i32",): "nul",
    (): "out",
}


def call(
    function: Callable[..., Any],
    item: Item,
    memory: Memory,
    arguments: Sequence[Argument],
    returns: Any = None,
    result_as: ResultAs | None = None,
    free_result: bool | None = None,
) -> Any:
    """Call an export. Memory for arguments is freed after the call, unless the called function frees it.

    `function(name, *numbers)` calls any export; the other parameters are those of `exports.Export`. TypeError if
    something does not fit the type of the export.
    """
    texts = [one for one in arguments if isinstance(one, _TEXT)]
    how = _result_as(item, result_as) if returns in (str, bytes) else None
    if how is None and returns is not None:
        _check_number(item, returns)
    left = len(item.params) - len(arguments) - (how == "out")
    if left not in (0, len(texts)):
        raise TypeError(
            f"{shown(item.name)} takes {len(item.params)} numbers ({', '.join(item.params)}), {len(arguments)} "
            "arguments were given" + " (text and bytes are two each, or one that ends with a NUL)" * bool(texts)
        )
    allocator = memory.allocator if texts or how == "out" else None
    held: list[tuple[int, int]] = []
    numbers: list[int | float] = []
    try:
        if how == "out" and allocator:
            numbers.append(memory.put(allocator, 8, b""))
            held.append((int(numbers[0]), 8))
        for one in arguments:
            if isinstance(one, _TEXT):
                assert allocator
                pointer, size = _put(one, memory, allocator, ends=left == 0)
                held.append((pointer, size))
                numbers += (pointer, size) if left else (pointer,)
            else:
                numbers.append(one)
    except (MemoryError, ValueError, TypeError):
        _free(held, memory)
        raise
    value = function(item.name, *numbers)
    if how is not None:
        value = _result(function, item, memory, int(numbers[0]) if how == "out" else value, how, free_result)
        value = decoded(value) if returns is str else value
    elif returns is not None:
        value = _number(value, item, returns)
    if allocator and allocator.callee_frees:
        held = held[:1] if how == "out" else []
    _free(held, memory)
    return value


def _free(held: Sequence[tuple[int, int]], memory: Memory) -> None:
    for pointer, size in held:
        memory.free(pointer, size)


def _put(what: Argument, memory: Memory, allocator: Allocator, *, ends: bool) -> tuple[int, int]:
    """Copy text or bytes into the guest's memory, and return pointer and length."""
    kind = {}
    if isinstance(what, str) and ends and allocator.assemblyscript:
        data, kind = what.encode("utf-16-le", "surrogatepass"), {"kind": STRING}
    else:
        data = what.encode() if isinstance(what, str) else bytes(what)  # type: ignore[arg-type]  # no number comes here
        if ends and not allocator.assemblyscript:
            if 0 in data:
                raise ValueError(f"{what!r} has a NUL in it, and the export takes what ends with one")
            data += b"\0"
    return memory.put(allocator, len(data), data, **kind), len(data)


def _result_as(item: Item, given: ResultAs | None) -> ResultAs:
    how = given or _BY_TYPE.get(item.results)
    if how is None or how not in _TYPES:
        raise TypeError(
            f"{shown(item.name)} returns ({', '.join(item.results)}), which is no text: give result_as, one of "
            f"{', '.join(map(repr, _TYPES))}"
        )
    if _TYPES[how] != item.results:
        raise TypeError(
            f"{shown(item.name)} returns ({', '.join(item.results)}), result_as={how!r} is for "
            f"({', '.join(_TYPES[how])})"
        )
    return how


def _result(
    function: Callable[..., Any], item: Item, memory: Memory, value: Any, how: ResultAs, free: bool | None
) -> bytes:
    """Return the bytes of a result. The guest's memory is freed if the caller asks for it, or must do it."""
    try:
        if how == "nul":
            start = value & 0xFFFF_FFFF
            managed = memory.has("__new") and memory.has("__rtti_base")
            data = _assemblyscript(memory, start) if managed else memory.read_cstr(start, len(memory))
            pointer, room = start, len(data) + 1
        else:
            pointer, size = _place(memory, value, how)
            data, room = memory.read_bytes(pointer, size), size
    except (IndexError, ValueError) as error:
        raise TrapError(f"{shown(item.name)} returned a bad pointer: {error}", "guest fault") from error
    after = f"cabi_post_{item.name}"
    if how == "indirect" and memory.has(after):
        function(after, value)
    elif free or (free is None and how in ("out", "pair") and memory.has("__wbindgen_malloc")):
        if how == "prefixed":
            pointer, room = pointer - 4, room + 4
        memory.free(pointer, room)
    return data


def _place(memory: Memory, value: Any, how: ResultAs) -> tuple[int, int]:
    """Return pointer and length of a result."""
    if how == "pair":
        pointer, size = value
    elif how in ("packed", "packed-reversed"):
        pointer, size = value >> 32, value
        if how == "packed-reversed":
            pointer, size = size, pointer
    elif how == "prefixed":
        pointer, size = value + 4, int.from_bytes(memory.read_bytes(value, 4), "little")
    else:
        both = memory.read_bytes(value, 8)
        pointer, size = int.from_bytes(both[:4], "little"), int.from_bytes(both[4:], "little")
    return pointer & 0xFFFF_FFFF, size & 0xFFFF_FFFF


def _assemblyscript(memory: Memory, start: int) -> bytes:
    """Return the content of a String, as UTF-8, or of an ArrayBuffer. Class and size are in the 8 bytes before it."""
    head = memory.read_bytes(start - 8, 8)
    data = memory.read_bytes(start, int.from_bytes(head[4:], "little"))
    return data.decode("utf-16-le", "replace").encode() if int.from_bytes(head[:4], "little") == STRING else data


def check_result(item: Item, returns: Any, result_as: ResultAs | None) -> None:
    """TypeError if an export's result cannot be converted so."""
    if returns in (str, bytes):
        _result_as(item, result_as)
    elif returns is not None:
        _check_number(item, returns)


def _check_number(item: Item, returns: object) -> None:
    kinds = {int: ("i32", "i64"), Unsigned: ("i32", "i64"), bool: ("i32",), float: ("f32", "f64")}.get(returns)  # type: ignore[call-overload]  # any object may be asked for
    if kinds is None:
        raise TypeError(f"returns cannot be {returns!r}: int, Unsigned, float, bool, str or bytes")
    if len(item.results) != 1 or item.results[0] not in kinds:
        raise TypeError(f"{shown(item.name)} returns ({', '.join(item.results)}), which is no {returns!r}")


def _number(value: Any, item: Item, returns: object) -> Any:
    if returns is Unsigned:
        return value & (0xFFFF_FFFF if item.results == ("i32",) else 0xFFFF_FFFF_FFFF_FFFF)
    return bool(value) if returns is bool else value
