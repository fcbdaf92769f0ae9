"""The instructions of a function, or of a constant expression, from their bytes.

Rules of this file: no Python call for a nested block, as modules choose how deep they nest. Indices and depths of
branches are checked. A `return` becomes the branch that it is, and what `mended` does in place of pywasm a call of it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pywasm import core, opcode

from wasihost.engines.pywasm.reader import NOT_HERE, VALUE_TYPES, Reader
from wasihost.errors import ModuleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Spaces(Protocol):
        """The lists of a module that indices of instructions are for."""

        @property
        def types(self) -> Sequence[object]: ...
        @property
        def functions(self) -> Sequence[object]: ...
        @property
        def tables(self) -> Sequence[object]: ...
        @property
        def memories(self) -> Sequence[object]: ...
        @property
        def globals(self) -> Sequence[object]: ...


_ROUNDED = ("ceil", "floor", "trunc", "nearest", "min", "max")
_MENDED = (
    opcode.memory_grow,
    opcode.memory_fill,
    opcode.table_grow,
    opcode.table_fill,
    opcode.i64_div_u,
    opcode.f32_convert_i64_s,
    opcode.f32_convert_i64_u,
    *(number for number, name in opcode.name.items() if name[:4] in ("f32.", "f64.") and name[4:] in _ROUNDED),
)
MENDED: dict[int, int] = {number: place for place, number in enumerate(_MENDED)}
"""Instructions that `mended` does, and where in its functions."""


class Instruction(core.Inst):
    """An instruction, with its place in the module in bytes, and the code that the module has for it."""

    def __init__(self, code: int, args: list[Any], offset: int, written: int | None = None) -> None:
        self.opcode = code
        self.args = args
        self.offset = offset
        self.written: int = code if written is None else written


_BLOCKS = {opcode.block, opcode.loop, opcode.if_then}
_EMPTY = 0x40
_VECTOR = 0xFD00
_LANES = {"8x16": 16, "16x8": 8, "32x4": 4, "64x2": 2}
_DEPTHS, _LOCALS, _ONE, _TWO, _MEMORY, _LANE_OF_MEMORY, _LANE, _BYTE, _ZERO_BYTES = range(9)


def _operands() -> dict[int, tuple[int, int]]:
    """For each instruction with plain operands: what these are, and a number that belongs to it."""
    found: dict[int, tuple[int, int]] = {}
    for code, name in opcode.name.items():
        shape, _, rest = name.partition(".")
        if "load" in name or "store" in name:
            lane = rest.endswith("_lane")
            bits = "".join(one for one in rest.split("load")[-1].split("store")[-1].split("_")[0] if one.isdigit())
            found[code] = (_LANE_OF_MEMORY, 128 // int(bits)) if lane else (_MEMORY, 0)
        elif "extract_lane" in name or "replace_lane" in name:
            found[code] = _LANE, _LANES[shape[1:]]
    found |= dict.fromkeys((opcode.br, opcode.br_if), (_DEPTHS, 0))
    found |= dict.fromkeys((opcode.local_get, opcode.local_set, opcode.local_tee), (_LOCALS, 0))
    return found


_OPERANDS = _operands()
_INDEXED = {
    opcode.call: ("functions",),
    opcode.global_get: ("globals",),
    opcode.global_set: ("globals",),
    opcode.table_get: ("tables",),
    opcode.table_set: ("tables",),
    opcode.table_grow: ("tables",),
    opcode.table_size: ("tables",),
    opcode.table_fill: ("tables",),
    opcode.ref_func: ("functions",),
    opcode.call_indirect: ("types", "tables"),
    opcode.table_init: (None, "tables"),
    opcode.table_copy: ("tables", "tables"),
    opcode.elem_drop: (None,),
    opcode.data_drop: (None,),
    opcode.memory_init: (None, 0),
    opcode.memory_copy: (0, 0),
    opcode.memory_fill: (0,),
    opcode.memory_size: (0,),
    opcode.memory_grow: (0,),
}
"""Instructions whose operands are indices: into which lists of the module; None for one that is checked when it is
used, 0 for a byte that has to be zero and is no operand for pywasm."""
_OF_MEMORY = {opcode.memory_size, opcode.memory_grow, opcode.memory_fill, opcode.memory_copy, opcode.memory_init}
_F32, _F64 = struct.Struct("<i"), struct.Struct("<q")


def expression(reader: Reader, module: Spaces, count: int) -> list[core.Inst]:
    """Read instructions up to the `end` that belongs to them. `count` is how many local variables there are."""
    body: list[core.Inst] = []
    outer: list[list[core.Inst]] = []
    conditions: list[Instruction | None] = []
    names = opcode.name
    while True:
        at = reader.at
        number = reader.byte()
        if number == opcode.end:
            if not outer:
                return body
            body = outer.pop()
            conditions.pop()
            continue
        if number == opcode.else_fi:
            if not conditions or (condition := conditions[-1]) is None or body is not condition.args[1]:
                raise ModuleError("an else without an if")
            body = condition.args[2]
            continue
        if number >= 0xFC:
            number = int.from_bytes(bytes([number]) + _leb128(reader.number()), "big")
        if number not in names:
            raise ModuleError(f"it needs {NOT_HERE}: the instruction {number:#x}")
        if number in _BLOCKS:
            args: list[Any] = [_block_type(reader, module), []]
            one = Instruction(number, args, at)
            body.append(one)
            if number == opcode.if_then:
                args.append([])
            conditions.append(one if number == opcode.if_then else None)
            outer.append(body)
            body = args[1]
            continue
        args = _read(number, reader, module, len(outer), count)
        if number == opcode.return_call:  # pywasm's name of `return`
            body.append(Instruction(opcode.br, [len(outer)], at, number))
        elif number in MENDED:
            body.append(Instruction(opcode.call, [len(module.functions) + MENDED[number], *args], at, number))
        else:
            body.append(Instruction(number, args, at))


def _leb128(number: int) -> bytes:
    return bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, *_leb128(number >> 7)))


def _block_type(reader: Reader, module: Spaces) -> core.Bype:
    code = reader.code[reader.at] if reader.at < reader.end else 0
    if code == _EMPTY or code in VALUE_TYPES:
        reader.at += 1
        return core.Bype(int(code != _EMPTY), code)
    index = reader.signed(33)
    if not 0 <= index < len(module.types):
        raise ModuleError(f"there is no type {index}")
    return core.Bype(2, index)


def _read(number: int, reader: Reader, module: Spaces, depth: int, count: int) -> list[Any]:
    """The operands of an instruction that is no block, as pywasm has them."""
    if number in _OPERANDS:
        what, about = _OPERANDS[number]
        first = reader.byte() if what == _LANE else reader.number()
        if what == _LOCALS:
            if first >= count:
                raise ModuleError(f"there is no local variable {first}")
            return [first]
        if what == _DEPTHS:
            return [_branch(first, depth)]
        if what == _LANE:
            return [_lane(first, about)]
        _needs_memory(module)
        if first > 4:
            raise ModuleError("an alignment that cannot be")
        offset = reader.number()
        return [first, offset, _lane(reader.byte(), about)] if what == _LANE_OF_MEMORY else [first, offset]
    if number in _INDEXED:
        if number in _OF_MEMORY:
            _needs_memory(module)
        args = []
        for kind in _INDEXED[number]:
            if kind == 0:
                if reader.byte():
                    raise ModuleError(f"it needs {NOT_HERE}: several memories")
            elif kind is None:
                args.append(reader.number())
            else:
                args.append(reader.index(getattr(module, str(kind)), str(kind)))
        return args
    match number:
        case opcode.i32_const:
            return [reader.signed(32)]
        case opcode.i64_const:
            return [reader.signed(64)]
        case opcode.f32_const:
            return [*_F32.unpack(reader.take(4))]
        case opcode.f64_const:
            return [*_F64.unpack(reader.take(8))]
        case opcode.br_table:
            depths = [_branch(reader.number(), depth) for _ in range(reader.count())]
            return [depths, _branch(reader.number(), depth)]
        case opcode.select_type:
            return [[reader.value_type() for _ in range(reader.count())]]
        case opcode.ref_null:
            return [reader.value_type()]
        case opcode.v128_const:
            return [bytearray(reader.take(16))]
        case opcode.i8x16_shuffle:
            return [_lane(one, 32) for one in reader.take(16)]
    return []


def _needs_memory(module: Spaces) -> None:
    if not module.memories:
        raise ModuleError("it uses a memory, and has none")


def _branch(label: int, depth: int) -> int:
    if label > depth:
        raise ModuleError(f"a branch out of {label} blocks, of {depth}")
    return label


def _lane(number: int, lanes: int) -> int:
    if number >= lanes:
        raise ModuleError(f"there is no lane {number}")
    return number
