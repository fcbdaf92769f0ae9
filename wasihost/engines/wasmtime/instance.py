"""Our own door: an instance of a module, its calls, and its end.

An instance belongs to one State and is used by one thread at a time; it shares only the compiled module with others.
Whatever ends a call (a handler's exception, a deadline, a trap) is kept here and raised from here.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from wasihost.common import interrupts
from wasihost.common.names import shown
from wasihost.common.unpatched import check, threading
from wasihost.engines.values import NO_LIMITS, EngineLimits, Usage
from wasihost.engines.wasmtime import deferred_signals, memory, nesting, signals, stack, tracing
from wasihost.engines.wasmtime.checks import match
from wasihost.engines.wasmtime.epoch import epoch_thread
from wasihost.engines.wasmtime.exclusive import BUSY, Exclusive, check_free
from wasihost.engines.wasmtime.export_slots import masked, passing
from wasihost.engines.wasmtime.ffi import Extern, array, c, new_memorytype, take_error
from wasihost.engines.wasmtime.memory_limits import Room, nearly_full, room, too_much, usage
from wasihost.engines.wasmtime.module import WasmtimeModule
from wasihost.engines.wasmtime.nesting import nested
from wasihost.engines.wasmtime.stack import require_stack
from wasihost.engines.wasmtime.trampolines import (
    CALLBACK,
    CALLER_CALLBACK,
    EPOCH_CALLBACK,
    TRAP_TEXT,
    define,
    epoch_trampoline,
    new_trap,
    trampoline,
)
from wasihost.engines.wasmtime.traps import raise_end
from wasihost.errors import EndRun, LinkError
from wasihost.outcomes import printable

if TYPE_CHECKING:
    from wasihost.binary.backtrace import Origin
    from wasihost.engines.base import CancelCheck, HostState, Offered

_CLOSED = "this instance is closed"
_ANY = -1  # tells the engine: no limit


class WasmtimeInstance:
    """A module with the imports of `state`, in its own store.

    `start` is the export that the module must have, if any. `scope` can end its calls, if the module was compiled to
    be interruptible. Raises LinkError, in which the module is called `label`, if module and host do not fit.

    The constructor runs no guest code: `open` does, and `close` must follow. A signal handler may raise between any two
    steps, so the caller of `open` first restores `state.guest` by a plain assignment, and `__del__` does the rest.
    """

    def __init__(
        self,
        module: WasmtimeModule,
        state: "HostState",
        start: str | None = None,
        *,
        scope: "CancelCheck | None" = None,
        limits: EngineLimits = NO_LIMITS,
        label: str = "guest",
        offered: "Offered | None" = None,
    ) -> None:
        check()
        self._linker: int | None = None
        # At exit, `c` may be gone before the last instance.
        self._delete = c.wasmtime_linker_delete, c.wasm_trap_delete, c.wasmtime_error_delete
        self._wanted = match(module, state.imports(), start, label, offered)
        self._limits = limits
        self.module = module
        self.origin: Origin | None = module.origin
        self._state = state
        self.before: Callable[[], Any] = state.guest.memory
        self._raised: list[BaseException] = []
        self._callbacks: list[object] = []  # kept alive: the engine holds only their addresses
        self._trampolines: list[FunctionType] = []  # the functions behind them
        self._handle = array(ctypes.c_uint64, 2)()
        self._functions: dict[str, Callable[..., Any]] = {}
        self.depth: int = 0
        self._one = threading.RLock()
        self._made = False
        self._scope = scope if module.engine.mode.interruptible else None
        self._spare_trap, self._spare_error = [0], [0]
        self.memory: memory.GuestMemory = memory.GuestMemory(module.engine)
        self.room: Room | None = None
        self._given: list[Extern] = []  # memories made for its imports
        self.before_entry: Callable[[], object] | None = None  # called before any code of the guest runs

    def open(self) -> None:
        """Make the instance. The guest's start section may run, so it raises what `call` raises."""
        guest = self._state.guest
        if isinstance(guest.memory, memory.GuestMemory):
            raise RuntimeError("this State has a guest running already: make a State for each run")
        guest.view, guest.memory = memory.EMPTY, self.memory
        signals.look()
        self._linker = c.wasmtime_linker_new(self.module.engine.ptr)
        self._renew()
        self._provide()
        self._limit(self._limits)
        self._give_memories()
        if self.before_entry:
            self.before_entry()
        self._instantiate()

    def _provide(self) -> None:
        """Put a callback for each import into the linker."""
        finder = None
        if self.module.starts:
            finder = memory.StartSectionMemory(self.memory, partial(setattr, self._state.guest, "view"))
        kind = CALLER_CALLBACK if finder else CALLBACK
        for item, signature, stub in self._wanted:
            functype = self.module.engine.functype(item.params, item.results)
            enter = trampoline(signature, stub, self._raised, self._spare_trap, finder)
            self._trampolines.append(enter)
            self._callbacks.append(callback := kind(enter))
            if problem := define(self._linker or 0, item.module, item.name, functype, callback):
                raise LinkError(f"import {item.module}.{item.name}: {problem}")

    def _limit(self, limits: EngineLimits) -> None:
        store = self.memory.store
        assert store
        if limits.memory is not None:
            self.room = room(self.module, limits.memory)
            c.wasmtime_store_limiter(store.ptr, *self.room.at_first, _ANY, _ANY, _ANY)
        if self.module.engine.mode.fuel:
            self.set_fuel(limits.fuel if limits.fuel is not None else (1 << 63) - 1)
        if self._scope:
            self._trampolines.append(enter := epoch_trampoline(self._scope, self._raised, self._spare_error))
            self._callbacks.append(callback := EPOCH_CALLBACK(enter))
            c.wasmtime_store_epoch_deadline_callback(store.ptr, callback, None, None)
        if self.module.engine.mode.interruptible:
            c.wasmtime_context_set_epoch_deadline(store.context, 1 if self._scope else 1 << 62)

    def _give_memories(self) -> None:
        """Make the memories that the module imports. The first is the guest's, unless it exports one as `memory`."""
        store = self.memory.store
        assert store
        for item in dict.fromkeys(item for item in self.module.imports if item.memory):
            assert item.memory
            made, type_ = Extern(Extern.MEMORY), new_memorytype(item.memory)
            error = c.wasmtime_memory_new(store.context, type_, made.item)
            c.wasm_memorytype_delete(type_)
            if error:
                raise too_much(take_error(error), self._limits.memory)
            first, second = item.module.encode(), item.name.encode()
            error = c.wasmtime_linker_define(
                self._linker, store.context, first, len(first), second, len(second), made.block
            )
            if error:
                raise LinkError(f"import {shown(item.module)}.{shown(item.name)}: {printable(take_error(error))}")
            self._given.append(made)
            if self.memory.export is None:
                self._state.guest.view = self.memory.bind(made)

    def _instantiate(self) -> None:
        linker, module, handle = self._linker, self.module.ptr, self._handle

        def instantiate(context: int, trap: object) -> int | None:
            error: int | None = c.wasmtime_linker_instantiate(linker, context, module, handle, trap)
            return error

        self._enter(instantiate)
        self._made = True
        if self.room and self.room.at_first != self.room[:2]:
            assert self.memory.store
            c.wasmtime_store_limiter(self.memory.store.ptr, *self.room[:2], _ANY, _ANY, _ANY)
        exported = self.module.exports.get("memory")
        if exported is not None and exported.kind == "memory":
            assert self.memory.store
            found = self._export(self.memory.store.context, "memory", Extern.MEMORY)
            self._state.guest.view = self.memory.bind(found)

    # -- calling ---------------------------------------------------------------------------------------------------

    def function(self, name: str) -> Callable[..., Any]:
        """The exported function of this name, called with numbers; see `call`. LinkError if there is none."""
        found = self._functions.get(name)
        if found is None:
            with self.exclusive():
                found = self._functions[name] = self._bound(name)
        return found

    def call(self, name: str, *numbers: int | float) -> Any:
        """Call an export. Returns its result (integers are signed), None if it has none, a tuple if it has several.

        Raises what a stub raised (ExitError for `proc_exit`; a handler's exception unchanged, with its traceback), what
        ended the guest, TrapError for a trap or a guest fault, TypeError for wrong arguments.
        """
        return self.function(name)(*numbers)

    def _bound(self, name: str) -> Callable[..., Any]:
        item = self.module.exports.get(name)
        if item is None or item.kind != "func":
            raise LinkError(f"export {shown(name)}: missing, or no function")
        if self.memory.store is None:
            raise RuntimeError(_CLOSED)
        if not self._made:
            raise RuntimeError(
                f"export {name}: the instance is still being made; it can be called after its start section"
            )
        take, masks, give = passing(name, item.params, item.results)
        count = max(len(item.params), len(item.results))
        extern = self._export(self.memory.store.context, name, Extern.FUNC)

        def function(*numbers: int | float) -> Any:
            if len(numbers) != len(masks):
                raise TypeError(
                    f"{shown(name)} takes {len(masks)} numbers ({', '.join(item.params)}), {len(numbers)} were given"
                )
            slots = array(ctypes.c_uint64, 2 * max(count, 1))()
            passed = (one if mask is None else masked(one, mask) for one, mask in zip(numbers, masks, strict=True))
            take.pack_into(slots, 0, *passed)

            def call(context: int, trap: object) -> int | None:
                error: int | None = c.wasmtime_func_call_unchecked(context, extern.item, slots, count, trap)
                return error

            self._enter(call)
            results = give.unpack_from(slots)
            return results if len(results) > 1 else results[0] if results else None

        return function

    def exclusive(self) -> Exclusive:
        """A context manager that raises RuntimeError where another thread is in this instance."""
        return Exclusive(self._one)

    def check_ended(self) -> None:
        """ConfigError if the guest was ended, continues in another thread, and cannot be interrupted."""
        own = self._one._is_owned()  # type: ignore[attr-defined]  # what `threading.Condition` asks, too
        if not self.interruptible and not own:
            check_free(lambda: self.depth)

    def _enter(self, call: Callable[[int, object], int | None]) -> None:
        """Call the engine with the context and a place for a trap. Raises what ended the guest."""
        try:
            self._entered(call)
        except EndRun as end:  # before the guest was entered; else it is in `_raised`
            raise end.reason from None

    def _entered(self, call: Callable[[int, object], int | None]) -> None:
        if self.memory.store is None:
            raise RuntimeError(_CLOSED)
        require_stack(8)
        stack.check(self.module.engine.mode.stack, nested.count)
        if nested.count:
            nesting.check(not self.depth, WasmtimeInstance._entered.__code__)
        trap = ctypes.c_void_p()
        main = deferred_signals.hold(id(self))
        quiet = tracing.watched()
        if quiet:
            tracing.suspend(self._trampolines)
        # From here on only what is called may raise.
        held = inside = first = watched = False
        try:
            held = self._one.acquire(blocking=False)  # `exclusive` does the same at twice the cost
            if not held:
                raise RuntimeError(BUSY)
            if self.memory.store is None:
                raise RuntimeError(_CLOSED)
            first = not self.depth
            context = self.memory.store.context  # no local name for the store: a kept traceback would keep it
            inside = True
            self.depth += 1
            nested.count += first
            if first:
                signals.before_run()
            if first and self._scope is not None:
                watched = True
                epoch_thread.enter(self, self.module.engine, self._scope, main)
                self._scope.check()  # it may have been ended before the thread could call it back
            error = call(context, ctypes.byref(trap))
            module = self.module
            raise_end(self._state, self._raised, error, trap.value, self.origin, module.places, self.depth)
        finally:
            if inside:
                self.depth -= 1
                nested.count -= first
                if watched:
                    epoch_thread.leave(self)
                if first:
                    signals.after_run()
                self._renew()
            if held:
                self._one.release()
            if quiet:
                tracing.resume()

    interrupts.BUSY.add(_entered.__code__)

    def _renew(self) -> None:
        """Make new spares for those that a callback has passed to the engine."""
        if not self._spare_trap[0]:
            self._spare_trap[0] = new_trap()
        if self._scope and not self._spare_error[0]:
            self._spare_error[0] = c.wasmtime_error_new(TRAP_TEXT)

    def _find_export(self, context: int, name: str, kind: int) -> Extern | None:
        export, encoded = Extern(), name.encode()
        found = c.wasmtime_instance_export_get(context, self._handle, encoded, len(encoded), export.block)
        return export if found and export.kind == kind else None

    def _export(self, context: int, name: str, kind: int) -> Extern:
        export = self._find_export(context, name, kind)
        if export is None:
            raise LinkError(f"export {name}: of a kind that this host cannot use (a shared memory?)")
        return export

    # -- what it uses ----------------------------------------------------------------------------------------------

    def view(self) -> memoryview:
        """The linear memory as it is now. Empty for a module without one."""
        return self.memory() if self.memory.export is not None else memory.EMPTY

    def get_global(self, name: str) -> int | float:
        from wasihost.engines.wasmtime.exported_globals import read

        with self.exclusive():
            return read(*self._global(name), name)

    def set_global(self, name: str, value: int | float) -> None:
        from wasihost.engines.wasmtime.exported_globals import write

        with self.exclusive():
            write(*self._global(name), name, value)

    def _global(self, name: str) -> tuple[int, Extern]:
        if self.memory.store is None:
            raise RuntimeError(_CLOSED)
        return self.memory.store.context, self._export(self.memory.store.context, name, Extern.GLOBAL)

    def usage(self) -> Usage:
        """What its memories and tables use, while it is open."""
        if not self._made or self.module.only_memory is not None:
            size = len(self.view())
            return Usage(size, self.room is not None and nearly_full(size, self.room.memory))
        assert self.memory.store
        context = self.memory.store.context
        return usage(self.module, self.room, self._given, partial(self._find_export, context), context)

    @property
    def interruptible(self) -> bool:
        """Whether a guest that computes can be ended."""
        return self._scope is not None

    @property
    def is_open(self) -> bool:
        return self.memory.store is not None

    def set_fuel(self, fuel: int) -> None:
        """Set the units of fuel. The module must be compiled with `fuel`."""
        assert self.memory.store
        if error := c.wasmtime_context_set_fuel(self.memory.store.context, fuel):
            raise LinkError(take_error(error))

    def fuel(self) -> int:
        """Units of fuel that are left."""
        assert self.memory.store
        left = ctypes.c_uint64()
        if error := c.wasmtime_context_get_fuel(self.memory.store.context, ctypes.byref(left)):
            raise LinkError(take_error(error))
        return left.value

    def close(self) -> None:
        """Release everything; views of the memory stay valid. RuntimeError while the guest runs."""
        with self.exclusive():
            if self.depth:
                raise RuntimeError("the guest is running: end it, and close it when its call has returned")
            self._close()
        deferred_signals.release(id(self))

    def _close(self) -> None:
        guest = self._state.guest
        if guest.memory is self.memory:
            guest.view, guest.memory = memory.EMPTY, self.before
        self._functions.clear()
        self.memory.close()
        linker, self._linker = self._linker, None
        if linker:
            self._delete[0](linker)
        trap, self._spare_trap[0] = self._spare_trap[0], 0
        if trap:
            self._delete[1](trap)
        error, self._spare_error[0] = self._spare_error[0], 0
        if error:
            self._delete[2](error)

    def __del__(self) -> None:
        if hasattr(self, "memory"):
            deferred_signals.forget(id(self))
            self._close()  # whatever `depth` says (a signal may have come between two steps), no thread is inside now


instantiate = WasmtimeInstance
