"""An instance: a module with the imports of a State, in a machine of its own.

Whatever ends a call is raised as the exception that it was (of a handler, a deadline, a signal handler), or as a
TrapError. It is all Python, so an exception needs no way around foreign code.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any

from pywasm import core

from wasihost.common.names import shown
from wasihost.common.unpatched import check, threading
from wasihost.engines.checks import match
from wasihost.engines.exclusive import BUSY, Exclusive
from wasihost.engines.pywasm.machine import Machine, current
from wasihost.engines.pywasm.memory import EMPTY
from wasihost.engines.pywasm.mended import FUNCTIONS
from wasihost.engines.pywasm.reader import TYPES
from wasihost.engines.pywasm.traps import EXHAUSTED, INVALID, SENTENCES, Trap, frames_of, kind_of
from wasihost.engines.slots import apart, masked, passing, wrong_count
from wasihost.engines.values import NO_LIMITS, EngineLimits, Usage
from wasihost.errors import EndRun, Frame, LinkError, TrapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasihost.engines.base import CancelCheck, HostState, Offered, Signature, Stub
    from wasihost.engines.pywasm.module import PywasmModule

_SLOT = core.ValInst.blen
_CODES = {str(type): type for type in TYPES.values()}
_NUMBERS = {"i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d"}
_SPARE = bytes(4)
_CLOSED = "this instance is closed"
_OF_STRUCT = {"i": "i32", "I": "i32", "q": "i64", "Q": "i64", "f": "f32", "d": "f64"}


class PywasmInstance:
    """An instance; see `wasihost.engines.base.EngineInstance`."""

    interruptible: bool = True

    def __init__(
        self,
        module: PywasmModule,
        state: HostState,
        start: str | None = None,
        *,
        scope: CancelCheck | None = None,
        limits: EngineLimits = NO_LIMITS,
        label: str = "guest",
        offered: Offered | None = None,
    ) -> None:
        check()
        match(module, state.imports(), start, label, offered)
        self.module = module
        self._state = state
        self._scope = scope
        self._limits = limits
        self.before: Callable[[], Any] = state.guest.memory
        self._machine: Machine | None = None
        self._exports: dict[str, int] = {}
        self._made = False
        self._closed = False
        self._kept = EMPTY
        self._one = threading.RLock()
        self._functions: dict[str, Callable[..., Any]] = {}
        self.before_entry: Callable[[], object] | None = None

    @property
    def depth(self) -> int:
        return self._machine.depth if self._machine is not None else 0

    @property
    def is_open(self) -> bool:
        return self._machine is not None

    @property
    def machine(self) -> Machine:
        """The machine of an open instance."""
        if self._machine is None:
            raise RuntimeError(_CLOSED)
        return self._machine

    def open(self) -> None:
        guest, decoded = self._state.guest, self.module.decoded
        if getattr(guest.memory, "__func__", None) is PywasmInstance.view:
            raise RuntimeError("this State has a guest running already: make a State for each run")
        self._machine = machine = Machine(decoded, self._scope, self._limits.memory, self._limits.fuel)
        guest.view, guest.memory = EMPTY, self.view
        if self.before_entry:
            self.before_entry()
        with self.exclusive():
            made = self._enter(machine, partial(self._instantiate, machine))
            self._exports = {one.name: one.data.data for one in made.exps}
            guest.view = self.view()
            if decoded.start >= 0:
                self._enter(machine, partial(machine.invoke, made.func[decoded.start], []))
        self._made = True

    def _instantiate(self, machine: Machine) -> core.ModuleInst:
        """The instance, whose start section has not run."""
        decoded, provided = self.module.decoded, self._state.imports()
        externs = []
        given: dict[tuple[str, str], int] = {}
        for one in decoded.imports:
            if one.kind == 0:
                signature, stub = provided[one.module][one.name]
                host = core.FuncHost(decoded.types[one.desc], _calling(signature, stub))
                address = machine.store.allocate_func_host(host)
            else:  # a memory: nothing else is linked
                key = one.module, one.name
                if key not in given:
                    given[key] = machine.store.allocate_memory(one.desc)
                address = given[key]
            externs.append(core.Extern(one.kind, address))
        data = [
            core.DataDesc(one.kind, one.midx, one.offset, one.init.copy()) for one in decoded.data
        ]  # it empties them
        made = machine.make(
            core.ModuleDesc(
                decoded.types,
                [*decoded.codes],
                decoded.own_tables,
                decoded.own_memories,
                decoded.initial,
                decoded.elements,
                data,
                -1,
                decoded.imports,
                decoded.exports,
            ),
            externs,
        )
        nothing = core.FuncType([], [])
        made.func += [machine.store.allocate_func_host(core.FuncHost(nothing, one)) for one in FUNCTIONS]
        return made

    def close(self) -> None:
        with self.exclusive():
            if self.depth:
                raise RuntimeError("the guest is running: end it, and close it when its call has returned")
            guest = self._state.guest
            if guest.memory == self.view:
                guest.view, guest.memory = EMPTY, self.before
            self._functions.clear()
            self._machine = None

    def exclusive(self) -> Exclusive:
        return Exclusive(self._one)

    def check_ended(self) -> None:
        """Every guest looks at the clock."""

    # -- calling ---------------------------------------------------------------------------------------------------

    def function(self, name: str) -> Callable[..., Any]:
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = self._bound(name)
        return found

    def call(self, name: str, *numbers: int | float) -> Any:
        return self.function(name)(*numbers)

    def _bound(self, name: str) -> Callable[..., Any]:
        item = self.module.exports.get(name)
        if item is None or item.kind != "func":
            raise LinkError(f"export {shown(name)}: missing, or no function")
        machine = self.machine
        if not self._made:
            raise RuntimeError(
                f"export {name}: the instance is still being made; it can be called after its start section"
            )
        take, masks, give = passing(name, item.params, item.results)
        address, types = self._exports[name], [_CODES[one] for one in item.params]

        def function(*numbers: int | float) -> Any:
            if len(numbers) != len(masks):
                raise wrong_count(name, item.params, len(numbers))
            slots = take.pack(
                *(one if mask is None else masked(one, mask) for one, mask in zip(numbers, masks, strict=True))
            )
            passed = [
                core.ValInst(type, bytearray(slots[_SLOT * place : _SLOT * place + _SLOT]))
                for place, type in enumerate(types)
            ]
            if self._machine is not machine:
                raise RuntimeError(_CLOSED)
            if not self._one.acquire(blocking=False):
                raise RuntimeError(BUSY)
            try:
                returned = self._enter(machine, partial(machine.invoke, address, passed))
            finally:
                self._one.release()
            results = give.unpack(b"".join(one.data for one in returned))
            return results if len(results) > 1 else results[0] if results else None

        return function

    def _enter(self, machine: Machine, call: Callable[[], Any]) -> Any:
        """Call what runs code of the guest. Raises what ended it."""
        if self._scope is not None:
            self._scope.check()
        try:
            return call()
        except BaseException as error:
            reason, cause = self._end(machine, error)
            if reason is error:
                raise
            raise reason from cause
        finally:
            machine.failed = machine.raised = None

    def _end(self, machine: Machine, error: BaseException) -> tuple[BaseException, BaseException | None]:
        """What to raise for an exception, and its cause."""
        stack = machine.failed if machine.failed is not None else machine.stack
        if error is not machine.raised:
            kind = kind_of(error, current(stack))
            if kind is None:
                return error, None
            return self._trap(f"wasm trap: {SENTENCES[kind]}", kind, stack), None
        if isinstance(error, self._state.faults):
            return self._trap(str(error), "guest fault", stack), error
        if isinstance(error, EndRun):
            return error.reason, None
        if isinstance(error, RecursionError) and machine.depth:
            text = "wasm trap: call stack exhausted: guest and host call each other too deeply"
            return self._trap(text, EXHAUSTED, stack), error
        if isinstance(error, TrapError) and not error.traced and stack.frame:
            return self._trap(error.message, error.kind, stack), None
        return error, None

    def _trap(self, message: str, kind: str, stack: core.Stack) -> TrapError:
        frames, omitted = frames_of(stack)
        return TrapError(message, kind, frames, omitted, look=symbolizer(self.module))

    # -- what it uses ----------------------------------------------------------------------------------------------

    def view(self) -> memoryview:
        if self._machine is None:
            return EMPTY
        memory = self._machine.memory
        if len(self._kept) != memory.used:
            self._kept = memory.view()
        return self._kept

    def usage(self) -> Usage:
        machine = self.machine
        return Usage(machine.used(), machine.full)

    def fuel(self) -> int:
        return self.machine.fuel()

    def get_global(self, name: str) -> int | float:
        with self.exclusive():
            held, type = self._global(name)
            value: int | float = struct.unpack_from(_NUMBERS[type], held.data.data)[0]
            return value

    def set_global(self, name: str, value: int | float) -> None:
        with self.exclusive():
            held, type = self._global(name)
            if not isinstance(value, int if type[0] == "i" else (int, float)):
                raise TypeError(f"the global {name} is an {type}: it cannot be {value!r}")
            if type[0] == "i":
                bits = int(type[1:])
                if not -(1 << bits - 1) <= value < 1 << bits:
                    raise OverflowError(f"{value} does not fit the global {name}, which is an {type}")
                value = int(value) & (1 << bits) - 1
            if not held.mut:
                raise TypeError(f"the global {name} is immutable: the module lets nobody set it")
            packed = struct.pack(_NUMBERS[type].upper() if type[0] == "i" else _NUMBERS[type], value)
            held.data = core.ValInst(held.data.type, bytearray(packed.ljust(_SLOT, b"\0")))

    def _global(self, name: str) -> tuple[core.GlobalInst, str]:
        machine = self.machine
        item = self.module.exports.get(name)
        if item is None or item.kind != "global":
            raise LinkError(f"export {name}: of a kind that this host cannot use (a shared memory?)")
        held = machine.store.glob[self._exports[name]]
        if str(held.data.type) not in _NUMBERS:
            raise TypeError(f"the global {name} holds no number, but a reference or a vector")
        return held, str(held.data.type)


def _calling(signature: Signature, stub: Stub) -> Callable[[Machine], None]:
    """What a call of an import does: numbers from the stack of the machine to the stub, its results back."""
    count = len(signature.slots)
    get = apart(signature.slots + "I").unpack  # one more, so that the last slot is whole, too
    put = apart(signature.result_slots).pack
    types = [_CODES[_OF_STRUCT[one]] for one in signature.result_slots]

    def call(machine: Machine) -> None:
        values = machine.stack.value
        start = len(values) - count
        if start < machine.stack.frame[-1].value:
            raise Trap(INVALID)
        try:
            slots = b"".join([one.data for one in values[start:]]) + _SPARE
            del values[start:]
            returned = stub(*get(slots)[:count])
            if types:
                results: Any = returned if len(types) > 1 else (returned,)
                made = put(*results).ljust(_SLOT * len(types), b"\0")
                values += [
                    core.ValInst(type, bytearray(made[_SLOT * place : _SLOT * place + _SLOT]))
                    for place, type in enumerate(types)
                ]
        except BaseException as error:
            machine.raised = error
            raise

    return call


def symbolizer(module: PywasmModule) -> Callable[[tuple[Frame, ...]], tuple[Frame, ...]]:
    """A function that adds readable names and source lines to frames of this module."""

    def look(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
        from wasihost.binary.backtrace import resolve
        from wasihost.binary.function_names import FunctionNames

        names = FunctionNames(module.decoded.code).find(frame.number for frame in frames)
        frames = tuple(frame._replace(symbol=names.get(frame.number)) for frame in frames)
        return resolve(module.origin, module.places, frames)

    return look


def execute(
    module: PywasmModule,
    state: HostState,
    start: str = "_start",
    *,
    scope: CancelCheck | None = None,
    limits: EngineLimits = NO_LIMITS,
    label: str = "guest",
) -> None:
    """Make an instance and call its export `start`, a `() -> ()`."""
    instance = PywasmInstance(module, state, start, scope=scope, limits=limits, label=label)
    try:
        instance.open()
        if start in module.exports:
            instance.call(start)
    finally:
        instance.close()
