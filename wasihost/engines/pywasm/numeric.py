"""Numeric instructions that pywasm computes otherwise than the specification; see `mended`.

Rules of this file: operands are taken from the stack of the machine, the last one first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pywasm import core, opcode

from wasihost.engines.pywasm.traps import Trap

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasihost.engines.pywasm.machine import Machine

_F32_BITS = 24
"""Bits of a number that a float of 32 bits has."""


def _divide(machine: Machine) -> None:
    """`i64.div_u`: pywasm fails where the result has the highest bit."""
    values = machine.stack.value
    divisor, number = values.pop().into_u64(), values.pop().into_u64()
    if not divisor:
        raise Trap("integer division by zero")
    values.append(core.ValInst.from_u64(number // divisor))


def _rounding(bits: int, round_: Callable[[float], int]) -> Callable[[Machine], None]:
    """`ceil`, `floor`, `trunc` and `nearest`: pywasm makes 0 of what is -0."""
    make: Any = core.ValInst.from_f32 if bits == 32 else core.ValInst.from_f64

    def function(machine: Machine) -> None:
        values = machine.stack.value
        value = values.pop()
        number = value.into_f32() if bits == 32 else value.into_f64()
        values.append(make(math.copysign(round_(number), number)) if math.isfinite(number) else make(number))

    return function


def _extreme(bits: int, sign: int) -> Callable[[Machine], None]:
    """`min` (with the sign 1) and `max` (-1): to pywasm -0 and 0 are the same."""
    make: Any = core.ValInst.from_f32 if bits == 32 else core.ValInst.from_f64

    def function(machine: Machine) -> None:
        values = machine.stack.value
        taken = values.pop(), values.pop()
        one, other = (each.into_f32() if bits == 32 else each.into_f64() for each in taken)
        if math.isnan(one) or math.isnan(other):
            values.append(make(math.nan))
        elif one == other:
            values.append(make(one if math.copysign(1, one) == -sign else other))
        else:
            values.append(make(one if (one < other) == (sign > 0) else other))

    return function


def _converting(*, signed: bool) -> Callable[[Machine], None]:
    """`f32.convert_i64`: pywasm rounds twice, by way of a float of 64 bits."""

    def function(machine: Machine) -> None:
        values = machine.stack.value
        number = values.pop().into_i64() if signed else values.pop().into_u64()
        size = abs(number)
        left_over = max(size.bit_length() - _F32_BITS, 0)
        whole, rest = divmod(size, 1 << left_over)
        half = (1 << left_over) >> 1
        if rest > half or (rest == half and half and whole & 1):
            whole += 1
        values.append(core.ValInst.from_f32(math.copysign(whole << left_over, number)))

    return function


NUMERIC: dict[int, Callable[[Machine], None]] = {
    opcode.i64_div_u: _divide,
    opcode.f32_ceil: _rounding(32, math.ceil),
    opcode.f32_floor: _rounding(32, math.floor),
    opcode.f32_trunc: _rounding(32, math.trunc),
    opcode.f32_nearest: _rounding(32, round),
    opcode.f32_min: _extreme(32, 1),
    opcode.f32_max: _extreme(32, -1),
    opcode.f64_ceil: _rounding(64, math.ceil),
    opcode.f64_floor: _rounding(64, math.floor),
    opcode.f64_trunc: _rounding(64, math.trunc),
    opcode.f64_nearest: _rounding(64, round),
    opcode.f64_min: _extreme(64, 1),
    opcode.f64_max: _extreme(64, -1),
    opcode.f32_convert_i64_s: _converting(signed=True),
    opcode.f32_convert_i64_u: _converting(signed=False),
}
