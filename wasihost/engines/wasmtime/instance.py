"""What both kinds of instances have in common: what a module gets, its exports and globals, what it uses.

`python_instance` enters guests by ctypes, `native_instance` by the extension in C. An instance belongs to one State and
is used by one thread at a time; it shares only the compiled module with others.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from functools import partial

from wasihost.common.names import shown
from wasihost.common.unpatched import check
from wasihost.engines.checks import match
from wasihost.engines.limits import too_much
from wasihost.engines.values import NO_LIMITS, EngineLimits, Usage
from wasihost.engines.wasmtime import memory
from wasihost.engines.wasmtime.ffi import Extern, c, new_memorytype, take_error
from wasihost.engines.wasmtime.memory_limits import Room, nearly_full, usage
from wasihost.engines.wasmtime.module import WasmtimeModule
from wasihost.errors import LinkError
from wasihost.outcomes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    from wasihost.binary.backtrace import Origin
    from wasihost.engines.base import CancelCheck, HostState, Offered
    from wasihost.engines.values import Item

    class _Store(Protocol):
        """A store of the engine, by the addresses of it and of its context."""

        @property
        def ptr(self) -> int: ...
        @property
        def context(self) -> int: ...

    class _Memory(Protocol):
        """The guest's memory, and the store that it is in; None when that is closed."""

        @property
        def store(self) -> _Store | None: ...
        @property
        def has_memory(self) -> bool: ...
        def __call__(self) -> memoryview: ...


CLOSED = "this instance is closed"
ANY = -1
"""Tells the engine: no limit."""


def unusable(name: str) -> LinkError:
    """The error for an export that is there and cannot be used."""
    return LinkError(f"export {name}: of a kind that this host cannot use (a shared memory?)")


class WasmtimeInstance(ABC):
    """A module with the imports of `state`, in its own store.

    `start` is the export that the module must have, if any. `scope` can end its calls, if the module was compiled to
    be interruptible. Raises LinkError, in which the module is called `label`, if module and host do not fit.

    The constructor runs no guest code: `open` does, and `close` must follow. A signal handler may raise between any two
    steps, so the caller of `open` first restores `state.guest` by a plain assignment, and `__del__` does the rest.
    """

    memory: _Memory
    _handle: Any
    """Its `wasmtime_instance_t`, or the address of it."""

    def __init__(
        self,
        module: WasmtimeModule,
        state: HostState,
        start: str | None = None,
        *,
        scope: CancelCheck | None = None,
        limits: EngineLimits = NO_LIMITS,
        label: str = "guest",
        offered: Offered | None = None,
    ) -> None:
        check()
        self._wanted = match(module, state.imports(), start, label, offered)
        self._limits = limits
        self.module = module
        self.origin: Origin | None = module.origin
        self._state = state
        self.before: Callable[[], Any] = state.guest.memory
        self._functions: dict[str, Callable[..., Any]] = {}
        self._made = False
        self._scope = scope if module.engine.mode.interruptible else None
        self.room: Room | None = None
        self._given: list[Extern] = []  # memories made for its imports
        self.before_entry: Callable[[], object] | None = None  # called before any code of the guest runs
        self._set_up()

    @abstractmethod
    def _set_up(self) -> None:
        """The last part of the constructor: what only one kind of instance has. Sets `memory`."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """How many calls of this guest are running, one within another."""

    @abstractmethod
    def open(self) -> None:
        """Make the instance. The guest's start section may run, so it raises what `call` raises."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; views of the memory stay valid. RuntimeError while the guest runs."""

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """A context manager that raises RuntimeError where another thread is in this instance."""

    @abstractmethod
    def check_ended(self) -> None:
        """ConfigError if the guest was ended, continues in another thread, and cannot be interrupted."""

    @abstractmethod
    def _bound(self, name: str) -> Callable[..., Any]:
        """The exported function of this name."""

    @abstractmethod
    def _show(self, given: Extern) -> None:
        """Let the stubs see a memory as the guest's."""

    def _define(self, linker: int, store: _Store, name: tuple[str, str], item: Extern) -> None:
        first, second = name[0].encode(), name[1].encode()
        error = c.wasmtime_linker_define(linker, store.context, first, len(first), second, len(second), item.block)
        if error:
            raise LinkError(f"import {shown(name[0])}.{shown(name[1])}: {printable(take_error(error))}")

    def _give_memories(self, linker: int) -> None:
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
            self._define(linker, store, (item.module, item.name), made)
            self._given.append(made)
            if not self.memory.has_memory:
                self._show(made)

    def _finish(self) -> None:
        """The instance is made: from now on its memories may grow up to the limit."""
        self._made = True
        if self.room and self.room.at_first != self.room[:2]:
            assert self.memory.store
            c.wasmtime_store_limiter(self.memory.store.ptr, *self.room[:2], ANY, ANY, ANY)

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

    def _callable(self, name: str, *, closed: bool) -> Item:
        """The type of the exported function of this name. LinkError if there is none; RuntimeError if the instance is
        closed or not made yet."""
        item = self.module.exports.get(name)
        if item is None or item.kind != "func":
            raise LinkError(f"export {shown(name)}: missing, or no function")
        if closed:
            raise RuntimeError(CLOSED)
        if not self._made:
            raise RuntimeError(
                f"export {name}: the instance is still being made; it can be called after its start section"
            )
        return item

    def _find_export(self, context: int, name: str, kind: int) -> Extern | None:
        export, encoded = Extern(), name.encode()
        found = c.wasmtime_instance_export_get(context, self._handle, encoded, len(encoded), export.block)
        return export if found and export.kind == kind else None

    def _export(self, context: int, name: str, kind: int) -> Extern:
        export = self._find_export(context, name, kind)
        if export is None:
            raise unusable(name)
        return export

    # -- what it uses ----------------------------------------------------------------------------------------------

    def view(self) -> memoryview:
        """The linear memory as it is now. Empty for a module without one."""
        return self.memory() if self.memory.has_memory else memory.EMPTY

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
            raise RuntimeError(CLOSED)
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

    def _fill_up(self) -> None:
        """Set the fuel of a new instance: that of its limits, or nearly endless fuel."""
        fuel = self._limits.fuel
        self.set_fuel(fuel if fuel is not None else (1 << 63) - 1)

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
