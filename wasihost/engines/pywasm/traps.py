"""What goes wrong in the interpreter, as traps of WebAssembly.

pywasm says so by whatever Python raises: an `assert` without a text, IndexError, struct.error. Which trap it is follows
from the instruction that was being done. What fits no trap is a module that is not valid: types of operands are not
checked before it runs, and every wrong use of a value is such an error in Python, which ends the guest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pywasm import opcode

from wasihost.errors import FIRST_FRAMES, LAST_FRAMES, Frame

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from pywasm import core

    from wasihost.engines.pywasm.expressions import Instruction

EXHAUSTED: Final = "stack overflow"
OUTSIDE: Final = "out of bounds memory access"
OUTSIDE_TABLE: Final = "out of bounds table access"
INVALID: Final = "invalid code"
SENTENCES: Final = {
    EXHAUSTED: "call stack exhausted",
    OUTSIDE: OUTSIDE,
    OUTSIDE_TABLE: "undefined element: out of bounds table access",
    "indirect call to null": "uninitialized element",
    "indirect call type mismatch": "indirect call type mismatch",
    "integer overflow": "integer overflow",
    "integer division by zero": "integer divide by zero",
    "invalid conversion to integer": "invalid conversion to integer",
    "unreachable": "wasm `unreachable` instruction executed",
    INVALID: "the module is not valid: an instruction has operands of other types than it takes",
}
_WRONG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


class Trap(Exception):
    """A trap, by its kind."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def kind_of(error: BaseException, instruction: Instruction | None) -> str | None:
    """The kind of trap that an exception out of the interpreter is; None if it is none."""
    if isinstance(error, Trap):
        return error.kind
    where = _last(error.__traceback__)
    if not isinstance(error, _WRONG) or not where[0].startswith(("pywasm.", __package__)):
        return None  # of a signal handler
    number = instruction.written if instruction is not None else opcode.nop
    name = opcode.name.get(number, "")
    if number == opcode.unreachable:
        return "unreachable"
    if name in ("memory.init", "memory.copy"):
        return OUTSIDE if isinstance(error, AssertionError) else INVALID
    if name.startswith("table."):
        return OUTSIDE_TABLE
    if number == opcode.call_indirect:
        if isinstance(error, IndexError):
            return OUTSIDE_TABLE
        return "indirect call to null" if where[1] == "into_ref" else "indirect call type mismatch"
    if ".div_" in name or ".rem_" in name:
        return "integer division by zero" if isinstance(error, ZeroDivisionError) else "integer overflow"
    if ".trunc_f" in name:
        return "invalid conversion to integer" if "NaN" in str(error) else "integer overflow"
    return INVALID


def _last(traceback: TracebackType | None) -> tuple[str, str]:
    """The module and the function in which an exception was raised."""
    if traceback is None:
        return "", ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    return str(frame.f_globals.get("__name__")), frame.f_code.co_name


def frames_of(stack: core.Stack) -> tuple[tuple[Frame, ...], int]:
    """The frames of the guest, innermost first, without the middle of a long stack; and how many are left out."""
    every: list[Any] = stack.frame[1:]
    omitted = max(0, len(every) - FIRST_FRAMES - LAST_FRAMES)
    found = []
    above = len(stack.label)
    for depth in range(len(every) - 1, -1, -1):
        frame = every[depth]
        if depth < LAST_FRAMES or depth >= len(every) - FIRST_FRAMES or not omitted:
            label: Any = list.__getitem__(stack.label, above - 1) if above else None
            at = label.instr[label.index - 1].offset if label is not None and label.instr else 0
            found.append(Frame(None, frame.number, None, at))
        above = frame.label
    return tuple(found), omitted
