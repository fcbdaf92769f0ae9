"""Every numeric instruction on pywasm and on the default engine, with numbers at the edges."""

from __future__ import annotations

import itertools
import math
import struct

import pytest
import pywasm.opcode

import wasihost
from wasihost.engines import default_engine

VALUES: dict[str, list[int] | list[float]] = {
    "i32": [0, 1, -1, 7, 33, 0x7FFFFFFF, -0x80000000, 0x12345678],
    "i64": [0, 1, -1, 7, 65, 2**63 - 1, -(2**63), 9007199791611905, -0x123456789ABCDEF],
    "f32": [0.0, -0.0, 0.5, -0.4, 2.5, -3.7, 2147483648.0, math.inf, math.nan],
    "f64": [0.0, -0.0, 0.5, -0.4, 2.5, -3.7, 2147483648.0, 1.8446744073709552e19, -math.inf, math.nan, 3.5e38],
}
BITS = {"f32": "i32", "f64": "i64"}
UNARY = {
    "eqz", "clz", "ctz", "popcnt", "abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt",
    "extend8_s", "extend16_s", "extend32_s",
}  # fmt: skip
TESTS = ["eqz", "eq", "ne", "lt", "gt", "le", "ge", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]


def instructions() -> list[tuple[str, list[str], str]]:
    """Name, types of operands, type of the result."""
    found = []
    for number, name in pywasm.opcode.name.items():
        if 0x45 <= number <= 0xC4 or 0xFC00 <= number <= 0xFC07:
            shape, _, rest = name.partition(".")
            source = next((part for part in rest.split("_") if part in VALUES), None)
            operands = [source] if source else [shape] * (1 if rest in UNARY else 2)
            found.append((name, operands, "i32" if rest in TESTS else shape))
    return found


def text() -> str:
    """A module with a function for each; floats go in and out as the bits that they are."""
    functions = []
    for name, operands, result in instructions():
        taken = [
            f"({kind}.reinterpret_{BITS[kind]} (local.get {place}))" if kind in BITS else f"(local.get {place})"
            for place, kind in enumerate(operands)
        ]
        body = f"({name} {' '.join(taken)})"
        body = f"({BITS[result]}.reinterpret_{result} {body})" if result in BITS else body
        params = " ".join(BITS.get(kind, kind) for kind in operands)
        functions.append(f'(func (export "{name}") (param {params}) (result {BITS.get(result, result)}) {body})')
    return f"(module {' '.join(functions)})"


def bits(kind: str, value: float) -> int | float:
    """An integer as it is, a float as its bits."""
    if kind not in BITS:
        return value
    return int(struct.unpack("<i" if kind == "f32" else "<q", struct.pack("<f" if kind == "f32" else "<d", value))[0])


def is_nan(kind: str, value: object) -> bool:
    """Whether the bits are those of a NaN: which, an engine may choose."""
    if kind not in BITS or not isinstance(value, int):
        return False
    return math.isnan(
        struct.unpack("<f" if kind == "f32" else "<d", struct.pack("<i" if kind == "f32" else "<q", value))[0]
    )


def call(guest: wasihost.Instance, name: str, numbers: list[int | float]) -> object:
    try:
        return guest.call(name, *numbers)
    except wasihost.TrapError as trap:
        return trap.kind


def test_every_instruction() -> None:
    code = default_engine().assemble(text().encode(), "numbers")
    different, calls = [], 0
    with wasihost.instantiate(code) as compiled, wasihost.instantiate(code, engine="pywasm") as interpreted:
        for name, operands, result in instructions():
            for values in itertools.product(*(VALUES[kind] for kind in operands)):
                numbers = [bits(kind, value) for kind, value in zip(operands, values, strict=True)]
                one, other = (call(guest, name, numbers) for guest in (compiled, interpreted))
                calls += 1
                if one != other and not (is_nan(result, one) and is_nan(result, other)):
                    different.append((name, values, one, other))
    assert calls > 5000
    assert different == []


VECTORS = """(module (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32)
    (i32x4.extract_lane 2 (i32x4.add (i32x4.splat (local.get 0)) (i32x4.splat (local.get 1)))))
  (func (export "shuffle") (result i32) (i32x4.extract_lane 0 (i8x16.shuffle 4 5 6 7 0 1 2 3 0 0 0 0 0 0 0 0
    (v128.const i32x4 1 2 3 4) (v128.const i32x4 5 6 7 8))))
  (func (export "load") (result i32) (v128.store (i32.const 16) (v128.const i32x4 1 2 3 4))
    (i32x4.extract_lane 1 (v128.load32_lane offset=24 1 (i32.const 0) (v128.load (i32.const 0)))))
  (func (export "outside") (drop (v128.load (i32.const 65521)))))"""


def test_vectors() -> None:
    code = default_engine().assemble(VECTORS.encode(), "vectors")
    with wasihost.instantiate(code, engine="pywasm") as guest:
        assert (guest.call("add", 3, 4), guest.call("shuffle"), guest.call("load")) == (7, 2, 3)
        with pytest.raises(wasihost.TrapError, match="out of bounds memory access"):
            guest.call("outside")
