"""Our own door in Python and ctypes: used where there is no extension, see `wasihost.native`.

Whatever ends a call (a handler's exception, a deadline, a trap) is kept here and raised from here.
"""

from __future__ import annotations

import ctypes
from functools import partial

from wasihost.common import interrupts
from wasihost.common.unpatched import threading
from wasihost.engines.exclusive import BUSY, Exclusive, check_free
from wasihost.engines.slots import masked, passing, wrong_count
from wasihost.engines.wasmtime import bindings, deferred_signals, memory, nesting, signals, stack, tracing
from wasihost.engines.wasmtime.bindings import Binding
from wasihost.engines.wasmtime.epoch import epoch_thread
from wasihost.engines.wasmtime.ffi import Extern, array, c
from wasihost.engines.wasmtime.instance import ANY, CLOSED, WasmtimeInstance
from wasihost.engines.wasmtime.memory_limits import Room, room
from wasihost.engines.wasmtime.nesting import nested
from wasihost.engines.wasmtime.stack import require_stack
from wasihost.engines.wasmtime.traps import raise_end
from wasihost.errors import EndRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wasihost.engines.values import EngineLimits


class PythonInstance(WasmtimeInstance):
    """An instance whose imports are callbacks made by ctypes."""

    depth: int = 0

    def _set_up(self) -> None:
        self._binding: Binding | None = None
        self._handle = array(ctypes.c_uint64, 2)()
        self._one = threading.RLock()
        self.memory: memory.GuestMemory = memory.GuestMemory(self.module.engine)

    def open(self) -> None:
        """Make the instance. The guest's start section may run, so it raises what `call` raises."""
        guest = self._state.guest
        if isinstance(guest.memory, memory.GuestMemory):
            raise RuntimeError("this State has a guest running already: make a State for each run")
        guest.view, guest.memory = memory.EMPTY, self.memory
        signals.look()
        self._binding = binding = self._bind()
        binding.renew(interruptible=self._scope is not None)
        self._limit(self._limits)
        if not binding.ready:
            self._give_memories(binding.linker)
        if self.before_entry:
            self.before_entry()
        self._instantiate()

    def _bind(self) -> Binding:
        """The linker, with a callback for each import."""
        module = self.module
        if not module.starts and not any(item.memory for item in module.imports):
            return bindings.take(module, self._wanted)
        finder = None
        if module.starts:
            finder = memory.StartSectionMemory(self.memory, partial(setattr, self._state.guest, "view"))
        return Binding(module, self._wanted, finder)

    def _limit(self, limits: EngineLimits) -> None:
        store = self.memory.store
        assert store
        if limits.memory is not None:
            self.room: Room | None = room(self.module, limits.memory)
            c.wasmtime_store_limiter(store.ptr, *self.room.at_first, ANY, ANY, ANY)
        if self.module.engine.mode.fuel:
            self._fill_up()
        if self._scope:
            assert self._binding
            c.wasmtime_store_epoch_deadline_callback(store.ptr, self._binding.watch(self._scope), None, None)
        if self.module.engine.mode.interruptible:
            c.wasmtime_context_set_epoch_deadline(store.context, 1 if self._scope else 1 << 62)

    def _show(self, given: Extern) -> None:
        self._state.guest.view = self.memory.bind(given)

    def _instantiate(self) -> None:
        assert self._binding
        ready, linker, module, handle = self._binding.ready, self._binding.linker, self.module.ptr, self._handle

        def instantiate(context: int, trap: object) -> int | None:
            error: int | None
            if ready:
                error = c.wasmtime_instance_pre_instantiate(ready, context, handle, trap)
            else:
                error = c.wasmtime_linker_instantiate(linker, context, module, handle, trap)
            return error

        self._enter(instantiate)
        self._finish()
        exported = self.module.exports.get("memory")
        if exported is not None and exported.kind == "memory":
            assert self.memory.store
            found = self._export(self.memory.store.context, "memory", Extern.MEMORY)
            self._state.guest.view = self.memory.bind(found)

    # -- calling ---------------------------------------------------------------------------------------------------

    def _bound(self, name: str) -> Callable[..., Any]:
        item = self._callable(name, closed=self.memory.store is None)
        take, masks, give = passing(name, item.params, item.results)
        count = max(len(item.params), len(item.results))
        assert self.memory.store
        extern = self._export(self.memory.store.context, name, Extern.FUNC)

        def function(*numbers: int | float) -> Any:
            if len(numbers) != len(masks):
                raise wrong_count(name, item.params, len(numbers))
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
        except EndRun as end:  # before the guest was entered; else the binding has it
            raise end.reason from None

    def _entered(self, call: Callable[[int, object], int | None]) -> None:
        if self.memory.store is None:
            raise RuntimeError(CLOSED)
        require_stack(8)
        stack.check(self.module.engine.mode.stack, nested.count)
        if nested.count:
            nesting.check(not self.depth, (PythonInstance._entered.__code__,))
        trap = ctypes.c_void_p()
        main = deferred_signals.hold(id(self))
        quiet = tracing.watched()
        if quiet:
            tracing.suspend(self._binding.functions if self._binding is not None else [])
        # From here on only what is called may raise.
        held = inside = first = watched = False
        try:
            held = self._one.acquire(blocking=False)  # `exclusive` does the same at twice the cost
            if not held:
                raise RuntimeError(BUSY)
            if self.memory.store is None:
                raise RuntimeError(CLOSED)
            first = not self.depth
            assert self._binding is not None
            binding = self._binding
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
            raise_end(self._state, binding.raised, error, trap.value, self.origin, module.places, self.depth)
        finally:
            if inside:
                self.depth -= 1
                nested.count -= first
                if watched:
                    epoch_thread.leave(self)
                if first:
                    signals.after_run()
                binding.renew(interruptible=self._scope is not None)
            if held:
                self._one.release()
            if quiet:
                tracing.resume()

    interrupts.BUSY.add(_entered.__code__)

    def close(self) -> None:
        """Release everything; views of the memory stay valid. RuntimeError while the guest runs."""
        with self.exclusive():
            if self.depth:
                raise RuntimeError("the guest is running: end it, and close it when its call has returned")
            self._close()
            binding, self._binding = self._binding, None
            if binding is not None:
                bindings.give_back(self.module, binding)
        deferred_signals.release(id(self))

    def _close(self) -> None:
        guest = self._state.guest
        if guest.memory is self.memory:
            guest.view, guest.memory = memory.EMPTY, self.before
        self._functions.clear()
        self.memory.close()

    def __del__(self) -> None:
        if hasattr(self, "memory"):
            deferred_signals.forget(id(self))
            self._close()  # whatever `depth` says (a signal may have come between two steps), no thread is inside now
