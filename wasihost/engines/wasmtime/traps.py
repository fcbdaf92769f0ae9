"""How a guest ended: from the engine's trap, or what the host kept, to the exception that the caller gets."""

import ctypes
from typing import TYPE_CHECKING

from wasihost.engines.wasmtime.ffi import Vec, c, name_at, take_error
from wasihost.errors import Ended, Frame, LimitExceeded, LinkError, TrapError

if TYPE_CHECKING:
    from wasihost.engines.base import HostState

# By wasmtime_trap_code_t. Later codes moved between versions; for those the engine's own words are taken.
_KINDS = (
    "stack overflow",
    "out of bounds memory access",
    "misaligned atomic access",
    "out of bounds table access",
    "indirect call to null",
    "indirect call type mismatch",
    "integer overflow",
    "integer division by zero",
    "invalid conversion to integer",
    "unreachable",
    "interrupt",
)


def _message(trap: int) -> str:
    """The engine's sentence, without the backtrace and the numbered causes that it puts around it."""
    vec = Vec()
    c.wasm_trap_message(trap, ctypes.byref(vec))
    text = vec.text().rstrip(b"\0").decode("utf-8", "replace")
    c.wasm_byte_vec_delete(ctypes.byref(vec))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = next((line for line in lines if "wasm trap: " in line), lines[0] if lines else "trap")
    return told[told.find("wasm trap: ") :] if "wasm trap: " in told else told


def _frames(trap: int | None, error: int | None = None) -> tuple[Frame, ...]:
    """The wasm stack of a trap, or of an error: a trap that the host made comes back as one."""
    vec = Vec()
    if trap:
        c.wasm_trap_trace(trap, ctypes.byref(vec))
    elif error:
        c.wasmtime_error_wasm_trace(error, ctypes.byref(vec))
    frames = tuple(
        Frame(
            name_at(c.wasmtime_frame_func_name(frame)),
            c.wasm_frame_func_index(frame),
            name_at(c.wasmtime_frame_module_name(frame)),
            c.wasm_frame_module_offset(frame),
        )
        for frame in vec.pointers()
    )
    c.wasm_frame_vec_delete(ctypes.byref(vec))
    return frames


def _told(trap: int) -> TrapError:
    message, code = _message(trap), ctypes.c_ubyte()
    if c.wasmtime_trap_code(trap, ctypes.byref(code)) and code.value < len(_KINDS):
        kind = _KINDS[code.value]
    else:
        kind = message.removeprefix("wasm trap: ")
    return TrapError(message, kind, _frames(trap))


def raise_end(state: "HostState", kept: list[BaseException], error: int | None, trap: int | None) -> None:
    """Raise why the guest ended, free what the engine gave, and forget what was kept; return if it just returned.

    A fault of the guest (`state.faults`) becomes a TrapError that it is the cause of, a host's own TrapError gets the
    guest's backtrace; everything else that was kept is raised as it is.
    """
    bare = kept and (isinstance(kept[0], state.faults) or (isinstance(kept[0], TrapError) and not kept[0].backtrace))
    frames = _frames(trap, error) if bare else ()
    told = _told(trap) if trap and not kept else None
    if trap:
        c.wasm_trap_delete(trap)
    text = take_error(error) if error and not kept else ""
    if error and kept:
        c.wasmtime_error_delete(error)
    try:
        if kept:
            if isinstance(kept[0], state.faults):
                raise TrapError(str(kept[0]), "guest fault", frames) from kept[0]
            if isinstance(kept[0], Ended):
                raise kept[0].reason
            if isinstance(kept[0], TrapError) and frames:  # of a host function, which does not know where it was called
                raise TrapError(kept[0].message, kept[0].kind, frames)
            raise kept[0]  # no local name for it: its traceback holds this frame
        if told:
            if told.kind == "all fuel consumed by WebAssembly":
                raise LimitExceeded("fuel", "the guest used up its fuel") from told
            raise told
        if error:
            raise LinkError(f"the engine cannot run this module here: {text}")
    finally:
        kept.clear()
        del told
