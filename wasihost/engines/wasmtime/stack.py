"""How much of its thread's stack a guest may use.

The engine stops a guest that has used all of its stack (a trap), but does not check that the thread has that much: on a
smaller stack the process dies. So we measure what is left of the thread's stack before a guest is entered, and give
guests on small stacks less.

Rules of this file: `room` alone knows the system. It returns None if it cannot know, and then nothing is refused.
"""

from __future__ import annotations

import ctypes
from functools import cache

from wasihost.common.unpatched import threading
from wasihost.config.limits import STACK
from wasihost.errors import ConfigError, TrapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

LEAST = 16 << 10
"""Bytes. With less, no guest is entered."""
_HOST = 128 << 10  # bytes for the host functions: Python and its C code
_LARGE = 4 << 20  # a quarter of a stack of this size is there without measuring
_STEP = 256 << 10  # each amount is an engine of its own, so there are few amounts


class _ThreadStack(threading.local):
    """`bounds`: the calling thread's stack, as lowest address and size; False if unknown. `ample`: bytes that a guest
    may be given without measuring what is left."""

    bounds: tuple[int, int] | Literal[False] | None = None
    ample = 0


_here = _ThreadStack()


def room() -> int | None:
    """Bytes that are left of the calling thread's stack; None if unknown."""
    if _here.bounds is None:
        found = _bounds()
        _here.bounds = found or False
        if found and found[1] >= _LARGE:
            _here.ample = found[1] // 4
    bounds = _here.bounds
    if not bounds:
        return None
    lowest, size = bounds
    top = lowest + size
    at = top & ~0xFFFF_FFFF | _near() & 0xFFFF_FFFF
    return (at if at <= top else at - (1 << 32)) - lowest


def usable() -> int | None:
    """The part of `room` that a guest may use, so that enough is left for host functions."""
    left = room()
    return None if left is None else left - min(_HOST, left // 2)


def granted(wanted: int | None, slower: bool) -> int:
    """Bytes of stack for a guest that this thread enters; `wanted` None asks for all there is.

    `slower` code, which can be interrupted or is counted, needs up to twice as much for the same depth. If the thread
    has less than the default, the guest gets that. ConfigError if it has less than was chosen, or nearly nothing.
    """
    full = (STACK if wanted is None else wanted) << slower
    if wanted is not None and full <= _here.ample:
        return full
    most, chosen = usable(), wanted not in (None, STACK)
    if most is None or (wanted is not None and full <= most):
        return full
    if most < (wanted if chosen and wanted else LEAST):
        than = f", which is to have {wanted >> 10}" if chosen and wanted else ""
        raise ConfigError(
            f"this thread has {most >> 10} KiB of stack left for a guest{than}: start it with a larger one "
            "(threading.stack_size, ulimit -s), or give a smaller max_stack"
        )
    return most - most % _STEP if most > _STEP else 1 << most.bit_length() - 1


def check(given: int, nested: int) -> None:
    """TrapError if the calling thread has less left than the guest was given. `nested` is the number of guests that the
    thread has already entered."""
    if not nested and given <= _here.ample:
        return
    most = usable()
    if most is not None and most < given:
        raise TrapError(
            f"wasm trap: call stack exhausted: the guest may use {given >> 10} KiB of its thread's stack, "
            f"which has {most >> 10} left for it",
            "stack overflow",
        )


# -- the system ----------------------------------------------------------------------------------------------------


@cache
def _functions() -> tuple[ctypes.PyDLL, int] | None:
    """The C library and the address of its `memmove`; None on systems without the functions below."""
    try:
        library = ctypes.PyDLL(None)
        library.dl_iterate_phdr.argtypes = ctypes.c_void_p, ctypes.c_void_p
        library.pthread_self.restype = ctypes.c_void_p
        library.pthread_getattr_np.argtypes = ctypes.c_void_p, ctypes.c_void_p
        library.pthread_attr_getstack.argtypes = (ctypes.c_void_p,) * 3
        library.pthread_attr_destroy.argtypes = (ctypes.c_void_p,)
        return library, ctypes.cast(library.memmove, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):
        return None


def _near() -> int:
    """The lower half of an address near the top of the stack. `dl_iterate_phdr` calls a function with the address of a
    variable of its own, and returns what that does; `memmove` of nothing returns where it should have gone."""
    functions = _functions()
    assert functions
    found: int = functions[0].dl_iterate_phdr(functions[1], None)
    return found


def _bounds() -> tuple[int, int] | None:
    functions = _functions()
    if functions is None:
        return None
    library, lowest, size = functions[0], ctypes.c_size_t(), ctypes.c_size_t()
    about = ctypes.create_string_buffer(256)  # a pthread_attr_t, of 64 bytes or less
    if library.pthread_getattr_np(library.pthread_self(), about):
        return None  # the main thread, without /proc
    failed = library.pthread_attr_getstack(about, ctypes.byref(lowest), ctypes.byref(size))
    library.pthread_attr_destroy(about)
    return None if failed or size.value >= 1 << 32 else (lowest.value, size.value)


def require_stack(levels: int) -> None:
    """Raise RecursionError now if fewer than `levels` frames are left: inside a callback it could not propagate."""
    if levels:
        require_stack(levels - 1)
