"""pywasm's machine with bounds: steps that are counted, a memory with a limit, a call stack that ends.

The interpreter's loop takes the innermost label from the stack of labels once for each step, so a stack of labels that
counts is where a guest can be ended, without a loop of our own. Calls, branches and accesses to memory are methods of
pywasm's machine, which are replaced here: its own copy the stacks at each branch.

Rules of this file: it knows no State and no config. One machine belongs to one instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pywasm import core

from wasihost.engines.limits import ELEMENT, FREE, shown, too_much
from wasihost.engines.pywasm.memory import PAGE, LinearMemory, reserve
from wasihost.engines.pywasm.traps import EXHAUSTED, INVALID, OUTSIDE, Trap
from wasihost.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasihost.engines.base import CancelCheck
    from wasihost.engines.pywasm.decoding import Code, Decoded
    from wasihost.engines.pywasm.expressions import Instruction

STEPS = 256
"""Steps between two looks at the clock: about a millisecond."""
CALLS = 4096
"""Calls, one within another, that a guest may have."""
_VALUES = 1_000_000
"""Values and local variables that these may have together."""
_MANY = 256
"""Local variables of one function from which on they are counted."""
_PAGES = 1 << 16
_REFUSED = -1
_at = list.__getitem__


class Labels(list[Any]):
    """The stack of labels. Taking one is a step."""

    __slots__ = ("grant", "left")

    def __init__(self, grant: Callable[[Labels], None]) -> None:
        super().__init__()
        self.left: int = 0
        self.grant: Callable[[Labels], None] = grant

    def __getitem__(self, index: Any) -> Any:
        if not self.left:
            self.grant(self)
        self.left -= 1
        return _at(self, index)


class Frame(core.Frame):
    """A call that is running: of the function with this index."""

    number: int


class _Store(core.Store):
    """A store whose memories and tables count against a limit."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # pywasm's
        self._machine = machine

    def allocate_memory(self, type: core.MemType) -> int:
        self.mems.append(self._machine.new_memory(type))
        return len(self.mems) - 1

    def allocate_table(self, type: core.TableType) -> int:
        self.tabl.append(self._machine.new_table(type))
        return len(self.tabl) - 1


class Machine(core.Machine):
    """The machine of one instance. `limit` is in bytes, of its memory and tables; `fuel` in steps; None is no limit."""

    def __init__(self, module: Decoded, scope: CancelCheck | None, limit: int | None, fuel: int | None) -> None:
        super().__init__()
        self.store: core.Store = _Store(self)
        self.stack: core.Stack = self.new_stack()
        self.decoded = module
        self._scope = scope
        self._limit = limit
        self._fuel = fuel
        self._tables = 0
        self.full: bool = False
        """Whether something was refused because of the limit."""
        self.memory: LinearMemory = reserve(0, 0)
        self._instance: core.MemInst | None = None
        self.depth: int = 0
        self.raised: BaseException | None = None
        """What a function of the host raised last."""
        self.failed: core.Stack | None = None
        """The stack of the call that raised last."""

    # -- steps -----------------------------------------------------------------------------------------------------

    def _grant(self, labels: Labels) -> None:
        if self._scope is not None:
            self._scope.check()
        if len(self.stack.value) > _VALUES:
            raise Trap(EXHAUSTED)
        if self._fuel is None:
            labels.left = STEPS
        elif self._fuel > 0:
            labels.left = min(STEPS, self._fuel)
            self._fuel -= labels.left
        else:
            raise LimitExceeded("fuel", "the guest used up its fuel")

    def fuel(self) -> int:
        """Steps that are left."""
        left = self.stack.label.left if isinstance(self.stack.label, Labels) else 0
        return (self._fuel or 0) + left

    def new_stack(self) -> core.Stack:
        """An empty stack."""
        stack = core.Stack()
        stack.label = Labels(self._grant)
        return stack

    def _take_back(self, stack: core.Stack) -> None:
        """Count steps that were granted to a stack, and not taken, as left."""
        labels: Any = stack.label
        if self._fuel is not None:
            self._fuel += labels.left
        labels.left = 0

    def make(self, module: core.ModuleDesc, externs: list[core.Extern]) -> core.ModuleInst:
        """Make the instance: its globals, elements and data are computed by instructions."""
        self.stack = self.new_stack()
        try:
            return self.instance(module, externs)
        finally:
            self._take_back(self.stack)

    def invoke(self, address: int, arguments: list[core.ValInst]) -> list[core.ValInst]:
        """Call a function. May be called while another call of this guest waits for the host."""
        outer, stack = self.stack, self.new_stack()
        self.depth += 1
        try:
            self.stack = stack
            stack.value += arguments
            stack.frame.append(Frame(core.ModuleInst(), core.LocalsInst([]), 0, 0, 0))
            self.evaluate_call(address)
            self.evaluate()
            return stack.value
        except BaseException:
            self.failed = stack
            raise
        finally:
            self.depth -= 1
            self._take_back(stack)
            self.stack = outer

    # -- what pywasm's loop calls ----------------------------------------------------------------------------------

    def evaluate_call(self, addr: int) -> None:
        func: Any = self.store.func[addr]
        stack = self.stack
        if func.kind:
            func.hostcode(self)
            return
        values, frames = stack.value, stack.frame
        code: Code = func.code
        zeros = code.zeros if code.zeros is not None else code.read(self.decoded)
        start = len(values) - len(func.type.args)
        if start < frames[-1].value:
            raise Trap(INVALID)
        locals = core.LocalsInst(values[start:] + zeros)
        del values[start:]
        if len(frames) > CALLS or (len(zeros) > _MANY and _locals(frames) + len(zeros) > _VALUES):
            raise Trap(EXHAUSTED)
        results = len(func.type.rets)
        frame = Frame(func.module, locals, results, len(stack.label), start)
        frame.number = addr
        stack.label.append(core.Label(results, len(frames), start, 3, code.expr.data, 0))
        frames.append(frame)

    def evaluate_br(self, l: int) -> None:  # noqa: E741  # pywasm's name of the depth
        stack = self.stack
        labels, values = stack.label, stack.value
        place = len(labels) - 1 - l
        label = _at(labels, place)
        if label.arity:
            if len(values) < label.value + label.arity:
                raise Trap(INVALID)
            values[label.value :] = values[-label.arity :]
        else:
            del values[label.value :]
        del stack.frame[label.frame :]
        if label.carry & 1:
            del labels[place:]
        else:
            label.index = 0
            del labels[place + 1 :]

    def evaluate_mem_load(self, offset: int, size: int) -> bytearray:
        start = self.stack.value.pop().into_u32() + offset
        memory = self.memory
        if start + size > memory.used:
            raise Trap(OUTSIDE)
        return bytearray(memory[start : start + size])

    def evaluate_mem_save(self, offset: int, size: int) -> None:
        values = self.stack.value
        data = values.pop().data
        start = values.pop().into_u32() + offset
        memory = self.memory
        if start + size > memory.used:
            raise Trap(OUTSIDE)
        memory[start : start + size] = data[:size]

    # -- memories and tables ---------------------------------------------------------------------------------------

    def new_memory(self, type: core.MemType) -> Any:
        """The memory of the guest."""
        least, most = type.limits.n * PAGE, _most(type.limits, _PAGES) * PAGE
        if self._limit is not None:
            most = max(least, min(most, self._limit // PAGE * PAGE))
            if least > self._limit:
                raise too_much(f"it begins with {shown(least)}", self._limit)
        made: Any = core.MemInst(core.MemType(core.Limits(0, 0)))
        made.type, made.size = type, type.limits.n
        made.data = self.memory = reserve(least, most)
        self._instance = made
        return made

    def new_table(self, type: core.TableType) -> core.TableInst:
        """A table."""
        count = type.limits.n
        if not self._has_room(0, count * ELEMENT):
            raise too_much(f"a table begins with {shown(count * ELEMENT)}", self._limit)
        made = core.TableInst(core.TableType(type.type, core.Limits(0, 0)))
        made.type, made.size = type, count
        made.elem = [core.ValInst.zero(type.type)] * count
        self._tables += count * ELEMENT
        return made

    def grow_memory(self, pages: int) -> int:
        """Let the memory grow. Returns the number of pages that it had, or -1."""
        made = self._instance
        assert made is not None
        before = made.size
        if before + pages > _most(made.type.limits, _PAGES) or not self._has_room(pages * PAGE, 0):
            return _REFUSED
        made.size += pages
        self.memory.used = made.size * PAGE
        return int(before)

    def grow_table(self, table: core.TableInst, count: int, value: core.ValInst) -> int:
        """Let a table grow. Returns the number of elements that it had, or -1."""
        before = table.size
        if before + count > _most(table.type.limits, (1 << 32) - 1) or not self._has_room(0, count * ELEMENT):
            return _REFUSED
        table.elem += [value] * count
        table.size += count
        self._tables += count * ELEMENT
        return int(before)

    def used(self) -> int:
        """Bytes of the memory and of the tables that count."""
        return self.memory.used + max(0, self._tables - FREE)

    def _has_room(self, memory: int, tables: int) -> bool:
        wanted = self.memory.used + memory + max(0, self._tables + tables - FREE)
        if self._limit is not None and wanted > self._limit:
            self.full = True
        return self._limit is None or wanted <= self._limit


def _locals(frames: list[core.Frame]) -> int:
    return sum(len(frame.locals.data) for frame in frames)


def _most(limits: core.Limits, most: int) -> int:
    """The largest size, in pages or elements, that a memory or table may have."""
    return int(limits.m) if limits.m > 0 else most if limits.m == 0 else 0


def current(stack: core.Stack) -> Instruction | None:
    """The instruction that is being done."""
    if not stack.label:
        return None
    label: Any = _at(stack.label, -1)
    found: Instruction | None = label.instr[label.index - 1] if label.index else None
    return found
