"""How much of its thread's stack a guest may use.

The engine stops a guest that has used up what it was given (a trap), but does not look whether the thread has so much:
one that has less ends the process. So what is left of the thread's stack is looked at before a guest is entered, and
guests on small stacks are given less.

Rules of this file: `room` alone knows the system. What it cannot find out is None, and nothing is refused then.
"""

import ctypes
from functools import cache
from typing import Literal

from wasihost.common.unpatched import threading
from wasihost.config.limits import STACK
from wasihost.errors import ConfigError, TrapError

LEAST = 16 << 10
"""With less no guest is entered."""
_HOST = 128 << 10  # for what guests call: Python and its C code
_LARGE = 4 << 20  # with a quarter of such a stack, nobody need look what else is on it
_STEP = 256 << 10  # each amount that is given is an engine of its own: so there are few


class _ThreadStack(threading.local):
    """The calling thread's stack: its lowest address and its size; False if that cannot be known. What
    a guest may have been given without a look at what is left."""

    bounds: tuple[int, int] | Literal[False] | None = None
    ample = 0


_here = _ThreadStack()


def room() -> int | None:
    """How many bytes of its stack the calling thread has left."""
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
    """How many of them a guest may use, so that enough is left for what it calls."""
    left = room()
    return None if left is None else left - min(_HOST, left // 2)


def granted(wanted: int | None, slower: bool) -> int:
    """What a guest is given that is entered by this thread, in bytes; None wants all that there is.

    `slower` code, which can be interrupted or is counted, needs up to twice as much to go as deep. The default is what
    the thread has, if that is less; ConfigError if it has less than somebody chose, or hardly anything.
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
    """TrapError if the calling thread has less left than the guest that is about to be entered was given; `nested` is
    in how many it is already."""
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
    """RecursionError here and now, where it is an ordinary exception, rather than on entering a callback."""
    if levels:
        require_stack(levels - 1)
