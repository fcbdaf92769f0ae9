"""Instructions that pywasm does otherwise than the specification, or without an end: each is a function of ours here.

| instruction | pywasm |
| --- | --- |
| `memory.grow`, `table.grow` | stop at 64 MiB and 1,024 elements; know no limit of ours |
| `memory.fill`, `table.fill` | a loop of Python, up to seconds long, in which a guest cannot be ended |
| numbers | see `numeric` |

`expressions` makes a call of them. A function here takes its operands from the stack of the machine, and leaves its
result there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywasm import core, opcode

from wasihost.engines.pywasm.expressions import MENDED
from wasihost.engines.pywasm.numeric import NUMERIC
from wasihost.engines.pywasm.traps import OUTSIDE, OUTSIDE_TABLE, Trap

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wasihost.engines.pywasm.machine import Machine

_REFUSED = -1


def _memory_grow(machine: Machine) -> None:
    values = machine.stack.value
    pages = values.pop().into_u32()
    values.append(core.ValInst.from_i32(machine.grow_memory(pages)))


def _memory_fill(machine: Machine) -> None:
    values = machine.stack.value
    count, byte, start = values.pop().into_u32(), values.pop().data[0], values.pop().into_u32()
    memory = machine.memory
    if start + count > len(memory):
        raise Trap(OUTSIDE)
    memory[start : start + count] = bytes((byte,)) * count


def _table_grow(machine: Machine) -> None:
    values = machine.stack.value
    count, value = values.pop().into_u32(), values.pop()
    values.append(core.ValInst.from_i32(machine.grow_table(_table(machine), count, value)))


def _table_fill(machine: Machine) -> None:
    values = machine.stack.value
    count, value, start = values.pop().into_u32(), values.pop(), values.pop().into_u32()
    elements = _table(machine).elem
    if start + count > len(elements):
        raise Trap(OUTSIDE_TABLE)
    elements[start : start + count] = [value] * count


def _table(machine: Machine) -> core.TableInst:
    label: Any = list.__getitem__(machine.stack.label, -1)
    index: int = label.instr[label.index - 1].args[1]
    return machine.store.tabl[machine.stack.frame[-1].module.tabl[index]]


_FUNCTIONS: dict[int, Callable[[Machine], None]] = {
    opcode.memory_grow: _memory_grow,
    opcode.memory_fill: _memory_fill,
    opcode.table_grow: _table_grow,
    opcode.table_fill: _table_fill,
    **NUMERIC,
}
FUNCTIONS = tuple(_FUNCTIONS[number] for number in MENDED)
