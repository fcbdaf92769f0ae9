"""Our own door in C (`wasihost/native/door.h`): used where there is an extension, see `wasihost.native`.

The linker and its callbacks are those of the module (`prepared`); what belongs to one instance is a `Door`. It keeps
whatever ends a call, and this module raises it. Tracers need not be suspended, because callbacks are no Python code:
what is raised in their stubs goes into the door. Signal handlers are deferred where Python would lose what they raise.
"""

from __future__ import annotations

from wasihost.engines.exclusive import check_free
from wasihost.engines.slots import refusing
from wasihost.engines.wasmtime import deferred_signals, nesting, signals, stack, tracing
from wasihost.engines.wasmtime.connecting import connect
from wasihost.engines.wasmtime.ffi import Extern
from wasihost.engines.wasmtime.instance import WasmtimeInstance, unusable
from wasihost.engines.wasmtime.memory import EMPTY
from wasihost.engines.wasmtime.memory_limits import Room, room
from wasihost.engines.wasmtime.prepared import Linker, Prepared
from wasihost.engines.wasmtime.traps import raise_end
from wasihost.errors import EndRun
from wasihost.native import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_ENDED = _native.ENDED
_NEVER = 1 << 62
"""Ticks of the epoch until a guest that nothing can end is called back."""


class NativeInstance(WasmtimeInstance):
    """An instance that is entered, and calls the host, through the extension."""

    memory: _native.Door

    def _set_up(self) -> None:
        connect()
        self.memory = _native.Door()
        self._handle = self.memory.instance
        self._linker: Linker | None = None  # of its own, if it is given memories

    @property
    def depth(self) -> int:
        return self.memory.depth

    def open(self) -> None:
        guest, module = self._state.guest, self.module
        if isinstance(guest.memory, _native.Door):
            raise RuntimeError("this State has a guest running already: make a State for each run")
        guest.view, guest.memory = EMPTY, self.memory
        signals.look()
        deferred_signals.hold(id(self))
        if tracing.watched():
            tracing.expect()
        mode, limits = module.engine.mode, self._limits
        most = -1, -1
        if limits.memory is not None:
            self.room: Room | None = room(module, limits.memory)
            most = self.room.at_first
        plain: Any = getattr(self._state, "plain", None) if self._wanted else None
        ticks = (1 if self._scope else _NEVER) if mode.interruptible else 0
        self.memory.open(
            module.engine.ptr, guest, self._wanted, module.engine, self._scope, ticks, *most, module.starts, plain
        )
        if mode.fuel:
            self._fill_up()
        prepared = module.prepared
        if prepared is None:
            prepared = module.prepared = Prepared(module.engine, module.ptr, module.imports)
        linker = 0
        if prepared.ready is None:
            self._linker = prepared.new_linker()
            linker = self._linker.ptr
            self._give_memories(linker)
        if self.before_entry:
            self.before_entry()
        self._instantiate(prepared.ready or 0, linker)

    def _show(self, given: Extern) -> None:
        self.memory.bind(given.address)

    def _instantiate(self, ready: int, linker: int) -> None:
        exported = self.module.exports.get("memory")
        has_memory = exported is not None and exported.kind == "memory"
        stack.check(self.module.engine.mode.stack, _native.get_nested())
        if _native.get_nested():
            nesting.check(True, _ENTERING)
        try:
            returned = self.memory.instantiate(ready, linker, self.module.ptr, has_memory)
        except EndRun as end:  # before the guest was entered; else it is in the door
            raise end.reason from None
        if not returned:
            self._raise_end()
        self._finish()

    def _bound(self, name: str) -> Callable[..., Any]:
        door, given, key = self.memory, self.module.engine.mode.stack, id(self)
        item = self._callable(name, closed=door.store is None and self._made)
        known = self.module.prepared.passing if self.module.prepared else {}
        passing = known.get(name)
        if passing is None:
            passing = known[name] = refusing(name, item.params, item.results)
        export = door.export(name, *passing)
        if export is None:
            raise unusable(name)

        def function(*numbers: int | float) -> Any:
            deferred_signals.hold(key)
            inside = _native.get_nested()
            stack.check(given, inside)
            if inside:
                nesting.check(not door.depth, _ENTERING)
            try:
                result = export(*numbers)
            except EndRun as end:  # before the guest was entered; else it is in the door
                raise end.reason from None
            if result is _ENDED:
                self._raise_end()
            return result

        _ENTERING.add(function.__code__)
        return function

    def _raise_end(self) -> None:
        """Raise why the guest ended."""
        raised, error, trap = self.memory.take_end()
        module = self.module
        raise_end(self._state, raised, error, trap, self.origin, module.places, self.memory.depth + 1)

    def exclusive(self) -> _native.Door:
        return self.memory

    def check_ended(self) -> None:
        if not self.interruptible and not self.memory.is_mine():
            check_free(lambda: self.depth)

    def close(self) -> None:
        guest = self._state.guest
        with self.memory:
            if not self.memory.depth and guest.memory is self.memory:
                guest.view, guest.memory = EMPTY, self.before
            self.memory.close()
            self._functions.clear()
            self._linker = None
        deferred_signals.release(id(self))

    def __del__(self) -> None:
        if hasattr(self, "memory"):
            deferred_signals.forget(id(self))
            guest = self._state.guest
            if guest.memory is self.memory:
                guest.view, guest.memory = EMPTY, self.before
            self.memory.close()


_ENTERING = {NativeInstance._instantiate.__code__}
"""The functions that enter guests, as `nesting` looks for them."""
