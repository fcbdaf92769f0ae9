"""How a guest ended: makes the caller's exception from the engine's trap, or from what the host raised."""

from __future__ import annotations

import ctypes
from functools import partial

from wasihost.engines.wasmtime.ffi import Vec, c, has, name_at, take_error
from wasihost.errors import (
    FIRST_FRAMES,
    LAST_FRAMES,
    EndRun,
    Frame,
    GuestError,
    LimitExceeded,
    LinkError,
    Place,
    TrapError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wasihost.binary.backtrace import Origin
    from wasihost.engines.base import HostState
    from wasihost.engines.wasmtime.module import WasmtimeModule

# By wasmtime_trap_code_t: our word for the kind, and the engine's sentence. Later codes have other numbers in other
# versions: for those, the engine is asked.
_KINDS = (
    ("stack overflow", "call stack exhausted"),
    ("out of bounds memory access", "out of bounds memory access"),
    ("misaligned atomic access", "unaligned atomic"),
    ("out of bounds table access", "undefined element: out of bounds table access"),
    ("indirect call to null", "uninitialized element"),
    ("indirect call type mismatch", "indirect call type mismatch"),
    ("integer overflow", "integer overflow"),
    ("integer division by zero", "integer divide by zero"),
    ("invalid conversion to integer", "invalid conversion to integer"),
    ("unreachable", "wasm `unreachable` instruction executed"),
    ("interrupt", "interrupt"),
)
_FRAMES_KEPT = 20
"""Most frames that newer versions of the engine keep."""
_LONGEST_NAME = 4096
_THROWN = "thrown Wasm exception"
"""Message of the only kind of trap that has no code."""
_FUEL = "all fuel consumed by WebAssembly"
_NO_ROOM = ("GC heap out of memory", "out of memory (", "exceeds memory limits", "exceeds table limits")
"""Parts of the engine's messages when a memory, a table or its own heap would exceed the limit."""


def _sentence(text: str) -> str:
    """Return the engine's sentence, without the backtrace and the numbered causes around it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    trap = next((line for line in lines if "wasm trap: " in line), None)
    if trap is not None:
        return trap[trap.find("wasm trap: ") :]
    if "Caused by:" in lines[:-1]:
        return lines[-1]
    return lines[0] if lines else "trap"


def _message(trap: int, code: int | None, frames: Iterable[Frame]) -> str:
    """Return the message of a trap with a code that is not known here.

    The engine's text contains demangled function names of any length: 400 bytes of a name can expand to terabytes. So
    the engine is asked for a text without frames; or, where that is not possible, only if no name looks like C++.
    """
    copy = 0
    if code is not None and has("wasmtime_trap_new_code"):
        trap = copy = c.wasmtime_trap_new_code(code)
    elif any("_Z" in (frame.symbol or "") for frame in frames):
        return _THROWN if code is None else f"wasm trap: number {code}"
    vec = Vec()
    c.wasm_trap_message(trap, ctypes.byref(vec))
    text = vec.text().rstrip(b"\0").decode("utf-8", "replace")
    c.wasm_byte_vec_delete(ctypes.byref(vec))
    if copy:
        c.wasm_trap_delete(copy)
    return _sentence(text)


def _frames(trap: int | None, error: int | None = None) -> tuple[tuple[Frame, ...], int | None]:
    """Return the wasm stack of a trap or an error (the engine returns a host's trap as an error), and a count.

    A long stack is cut to its two ends. The count is how many frames are left out; None if the engine did not keep all.
    """
    vec = Vec()
    if trap:
        c.wasm_trap_trace(trap, ctypes.byref(vec))
    elif error:
        c.wasmtime_error_wasm_trace(error, ctypes.byref(vec))
    pointers = vec.pointers()
    omitted: int | None = max(0, len(pointers) - FIRST_FRAMES - LAST_FRAMES)
    if omitted:
        pointers[FIRST_FRAMES:-LAST_FRAMES] = []
    elif len(pointers) == _FRAMES_KEPT:
        omitted = None
    frames = tuple(_frame(pointer) for pointer in pointers)
    c.wasm_frame_vec_delete(ctypes.byref(vec))
    return frames, omitted


def _frame(pointer: int) -> Frame:
    name = name_at(c.wasmtime_frame_func_name(pointer), _LONGEST_NAME)
    return Frame(
        name,
        c.wasm_frame_func_index(pointer),
        name_at(c.wasmtime_frame_module_name(pointer), _LONGEST_NAME),
        c.wasm_frame_module_offset(pointer),
        name,
    )


def _look(origin: Origin | None, places: dict[int, tuple[Place, ...]], frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    from wasihost.binary.backtrace import resolve

    return resolve(origin, places, frames)


def symbolizer(module: WasmtimeModule) -> Callable[[tuple[Frame, ...]], tuple[Frame, ...]]:
    """Return a function that adds readable names and source lines to frames of this module."""
    return partial(_look, module.origin, module.places)


def _trap_error(trap: int, look: Callable[[tuple[Frame, ...]], tuple[Frame, ...]]) -> TrapError:
    number = ctypes.c_ubyte()
    code = number.value if c.wasmtime_trap_code(trap, ctypes.byref(number)) else None
    frames, omitted = _frames(trap)
    if code is not None and code < len(_KINDS):
        kind, sentence = _KINDS[code]
        message = f"wasm trap: {sentence}"
    else:
        message = _message(trap, code, frames)
        kind = "uncaught exception" if message == _THROWN else message.removeprefix("wasm trap: ")
    return TrapError(message, kind, frames, omitted, look=look)


def _error_end(error: int, look: Callable[[tuple[Frame, ...]], tuple[Frame, ...]]) -> GuestError | LinkError:
    """Return the exception for an error of the engine, and free the error; see `_message` about names.

    With wasm frames, the guest was already running, so the module did fit: it is never a LinkError.
    """
    frames, omitted = _frames(None, error)
    if any("_Z" in (frame.symbol or "") for frame in frames):
        c.wasmtime_error_delete(error)
        text = "it ended by an error of the engine's that is no trap"
    else:
        text = _sentence(take_error(error))
    if any(part in text for part in _NO_ROOM):
        return LimitExceeded("memory", f"the guest wants more memory than it is given: {text}; see max_memory")
    if text == _THROWN:
        return TrapError(text, "uncaught exception", frames, omitted, look=look)
    if frames:
        return TrapError(text, "engine error", frames, omitted, look=look)
    return LinkError(f"the engine cannot run this module here: {text}")


def raise_end(
    state: HostState,
    raised: list[BaseException],
    error: int | None,
    trap: int | None,
    origin: Origin | None = None,
    places: dict[int, tuple[Place, ...]] | None = None,
    depth: int = 1,
) -> None:
    """Raise the exception for the guest's end, and free the engine's objects; return if the guest returned normally.

    A fault of the guest (`state.faults`) becomes the cause of a TrapError. A TrapError that the host raised gets the
    guest's backtrace. Every other exception in `raised` is raised unchanged. `origin` is the file of the module's
    bytes, read only if a backtrace is looked at; `places` caches what was found there. `depth` is the number of nested
    calls of this guest: if it called itself through the host until Python's stack was full, that is the guest's trap.
    """
    if not (raised or error or trap):
        return
    look = partial(_look, origin, places if places is not None else {})
    bare = raised and (
        isinstance(raised[0], state.faults) or (isinstance(raised[0], TrapError) and not raised[0].traced)
    )
    frames, omitted = _frames(trap, error) if bare else ((), 0)
    trap_error = _trap_error(trap, look) if trap and not raised else None
    if trap:
        c.wasm_trap_delete(trap)
    engine_error = _error_end(error, look) if error and not raised else None
    if error and raised:
        c.wasmtime_error_delete(error)
    try:
        if raised:
            if isinstance(raised[0], state.faults):
                raise TrapError(str(raised[0]), "guest fault", frames, omitted, look=look) from raised[0]
            if isinstance(raised[0], EndRun):
                raise raised[0].reason
            if isinstance(raised[0], RecursionError) and depth > 1:
                text = "wasm trap: call stack exhausted: guest and host call each other too deeply"
                raise TrapError(text, "stack overflow", frames, omitted, look=look) from raised[0]
            if isinstance(raised[0], TrapError) and frames:  # raised by a host function, which has no guest frames
                raise TrapError(raised[0].message, raised[0].kind, frames, omitted, look=look)
            raise raised[0]  # no local name for it: its traceback holds this frame
        if trap_error:
            if trap_error.kind == _FUEL:
                raise LimitExceeded("fuel", "the guest used up its fuel") from trap_error
            raise trap_error
        if engine_error:
            raise engine_error
    finally:
        raised.clear()
        del trap_error, engine_error
