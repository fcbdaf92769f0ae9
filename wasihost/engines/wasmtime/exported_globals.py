"""Exported globals: a `wasmtime_val_t` has its kind in the first byte, its value from the eighth on, in all wheels."""

import ctypes
import struct

from wasihost.engines.wasmtime.ffi import Extern, array, c, take_error

_FORMATS = ("<i", "<q", "<f", "<d")  # by kind: i32, i64, f32, f64
_NAMES = ("i32", "i64", "f32", "f64")


def read(context: int, found: Extern, name: str) -> int | float:
    """The value; an integer is signed. TypeError if it is no number."""
    block, kind = _get(context, found, name)
    value: int | float = struct.unpack_from(_FORMATS[kind], block, 8)[0]
    return value


def write(context: int, found: Extern, name: str, value: int | float) -> None:
    """Set it; an integer may be signed or not. TypeError for another kind of value, or where it cannot be set."""
    block, kind = _get(context, found, name)
    if not isinstance(value, int if kind < 2 else (int, float)):
        raise TypeError(f"the global {name} is an {_NAMES[kind]}: it cannot be {value!r}")
    if kind < 2:
        assert isinstance(value, int)
        bits = 32 << kind
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise OverflowError(f"{value} does not fit the global {name}, which is an {_NAMES[kind]}")
        value &= (1 << bits) - 1
        struct.pack_into(_FORMATS[kind].upper(), block, 8, value)
    else:
        struct.pack_into(_FORMATS[kind], block, 8, value)
    if error := c.wasmtime_global_set(context, found.item, block):
        take_error(error)
        raise TypeError(f"the global {name} is immutable: the module lets nobody set it")


def _get(context: int, found: Extern, name: str) -> "tuple[ctypes.Array[ctypes.c_uint64], int]":
    block: ctypes.Array[ctypes.c_uint64] = array(ctypes.c_uint64, 8)()
    c.wasmtime_global_get(context, found.item, block)
    kind = block[0] & 0xFF
    if kind >= len(_FORMATS):
        raise TypeError(f"the global {name} holds no number, but a reference or a vector")
    return block, kind
