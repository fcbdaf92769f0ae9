"""From a wasm import to a stub: unchecked callbacks, the hot path of every call.

The engine passes the address of an array of 16-byte slots; the arguments lie in it, and the result goes into the first.
An i32 fills the lower four bytes of its slot, the rest is undefined. One `Struct` per type reads all arguments at once
through a view of the whole address space, which avoids a ctypes object for each call.

Rule: nothing may be raised out of a callback. What a stub raises is put into the run's `raised` list, and a trap stops
the guest; the code that entered the guest raises it from there. Callbacks are `FRAGILE`: `deferred_signals` makes
signal handlers raise only in what callbacks call, so their `except` blocks call nothing that is written in Python.

Chosen by measurement (loop of empty calls with three arguments; ns on CPython 3.11 / 3.13): parameters declared as
`c_ubyte, c_ubyte, c_size_t` 254 / 333, as four words 266 / 346, a callback that does nothing at all 107 / 147.
"""

from __future__ import annotations

import struct
import sys
from ctypes import CFUNCTYPE, c_size_t, c_ubyte, c_void_p
from functools import cache, partial
from types import FunctionType

from wasihost.common.interrupts import FRAGILE
from wasihost.engines.slots import apart
from wasihost.engines.wasmtime.ffi import c, take_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeAlias

    from wasihost.engines.base import CancelCheck, Signature, Stub

    class MemoryFinder(Protocol):
        """Finds the memory of a guest whose own calls are the only way to it."""

        stale: bool
        """Whether the memory must be looked up (again)."""

        def find(self, caller: int) -> None:
            """Set the stubs' view to the memory of the calling instance (`caller` is a `wasmtime_caller_t *`)."""


ADDRESS_SPACE = memoryview((c_ubyte * sys.maxsize).from_address(0)).cast("B")

# (environment, caller, slots, count of slots) -> trap. Unused parameters are declared as the cheapest type, or left
# out.
CALLBACK = CFUNCTYPE(c_void_p, c_ubyte, c_ubyte, c_size_t)
CALLER_CALLBACK = CFUNCTYPE(c_void_p, c_ubyte, c_size_t, c_size_t)

TRAP_TEXT = b"stopped by the host; `run.call` of a State in your own Linker raises the reason"


# How the arguments of one type are read from the slots, and how its result is written, if it has one.
Codec: TypeAlias = "tuple[Callable[[memoryview, int], tuple[Any, ...]], Callable[..., None] | None]"

_codecs: dict[tuple[str, str], Codec] = {}


def codec(signature: Signature) -> Codec:
    """The codec of a type; cached."""
    key = signature.slots, signature.result_slots
    if key not in _codecs:
        slots, results = key
        put = apart(results).pack_into if results else None
        _codecs[key] = apart(slots).unpack_from, put if len(results) < 2 else _several(put)
    return _codecs[key]


def _several(put: Callable[..., None] | None) -> Callable[..., None]:
    """`put` for a function with several results, which come as a tuple."""
    assert put

    def put_all(space: memoryview, slots: int, values: tuple[int | float, ...]) -> None:
        put(space, slots, *values)

    return put_all


# One entry per number of arguments: unpacking into names and calling by position costs 30 ns less than
# `stub(*get(...))`, of 340 for a whole `clock_time_get`.
_TRAMPOLINE = """
def make(get, put, space, stub, raised, spare_trap, new_trap, finder):
    def enter(_environment, caller, slots):
        try:
            {look}{unpack}{body}
            return None
        except BaseException as reason:
            raised[:] = (reason,)
            {again}trap, spare_trap[0] = spare_trap[0], 0
            return trap or new_trap()
    return enter
"""
_LOOK = "if finder.stale: finder.find(caller)\n            "
_AGAIN = "finder.stale = True\n            "  # if the host lets the guest continue, its next call must look again
_makers: dict[tuple[int, bool, bool], Callable[..., FunctionType]] = {}


def _maker(count: int, has_result: bool, looks: bool) -> Callable[..., FunctionType]:
    """The factory of trampolines for `count` arguments, with or without a result; `looks` if there is a finder."""
    key = count, has_result, looks
    if key not in _makers:
        names = ", ".join(f"a{number}" for number in range(count))
        text = _TRAMPOLINE.format(
            look=_LOOK * looks,
            again=_AGAIN * looks,
            unpack=f"{names}{',' * (count == 1)} = get(space, slots); " if count else "",
            body=f"put(space, slots, stub({names}))" if has_result else f"stub({names})",
        )
        scope: dict[str, Any] = {}
        exec(compile(text, f"<trampoline of {count} arguments>", "exec"), scope)
        _makers[key] = scope["make"]
    return _makers[key]


@cache
def trap_maker() -> Callable[[], int]:
    """The function that makes a trap. It is written in C, so it may be called where no signal handler may raise."""
    return partial(c.wasmtime_trap_new, TRAP_TEXT, len(TRAP_TEXT))


def new_trap() -> int:
    """A new trap, which stops a guest."""
    return trap_maker()()


def trampoline(
    signature: Signature,
    stub: Stub,
    raised: list[BaseException],
    spare_trap: list[int],
    finder: MemoryFinder | None = None,
) -> FunctionType:
    """The Python function behind CALLBACK for one stub, or behind CALLER_CALLBACK with a `finder`.

    `spare_trap` holds a trap, which the engine takes over when something is put on `raised`. It holds 0 if the guest
    was entered without us; a trap is then made on the spot.
    """
    get, put = codec(signature)
    make = _maker(len(signature.slots), put is not None, finder is not None)
    made = make(get, put, ADDRESS_SPACE, stub, raised, spare_trap, trap_maker(), finder)
    FRAGILE.add(made.__code__)
    return made


# (context, data, address of the next deadline, address of the kind of update) -> error.
EPOCH_CALLBACK = CFUNCTYPE(c_void_p, c_ubyte, c_ubyte, c_size_t, c_size_t)
_put_u64 = struct.Struct("<Q").pack_into
_GO_ON = 0  # WASMTIME_UPDATE_DEADLINE_CONTINUE


def epoch_trampoline(scope: CancelCheck, raised: list[BaseException], spare_error: list[int]) -> FunctionType:
    """The Python function behind EPOCH_CALLBACK: the guest continues unless `scope` or a signal handler raises.

    `spare_error` holds an error, which the engine takes over when something is put into `raised`.
    """
    space, check = ADDRESS_SPACE, scope.check

    def enter(_context: int, _data: int, delta: int, kind: int) -> int | None:
        try:
            check()
            _put_u64(space, delta, 1)
            space[kind] = _GO_ON
            return None
        except BaseException as reason:
            raised[:] = (reason,)
            error, spare_error[0] = spare_error[0], 0
            return error

    assert isinstance(enter, FunctionType)
    FRAGILE.add(enter.__code__)
    return enter


def define(linker: int, module: str, name: str, functype: int, callback: object, *life: object) -> str | None:
    """Define a callback in a linker under a name. `life` is an environment, and the function that the engine calls with
    it when it drops the callback. Returns the text of the engine's error, if there was one.
    """
    first, second = module.encode(), name.encode()
    error = c.wasmtime_linker_define_func_unchecked(
        linker, first, len(first), second, len(second), functype, callback, *(life or (None, None))
    )
    return take_error(error) if error else None
