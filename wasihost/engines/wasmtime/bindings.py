"""What an instance of our own door in Python needs beside its store: a linker, with a callback for each import.

They are made by ctypes, which takes longer than the rest of a short run. So they belong to a compiled module: an
instance takes one that is free or makes one, puts its own stubs into it, and gives it back when it is closed.

Rules of this file: a binding serves one instance at a time. What a run has left is removed before the next one gets it,
and one that a signal may have left in between two steps is dropped.
"""

from __future__ import annotations

from types import CellType, FunctionType

from wasihost.engines.wasmtime.ffi import c, instance_pre
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
from wasihost.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from wasihost.engines.base import CancelCheck, Signature, Stub
    from wasihost.engines.values import Item
    from wasihost.engines.wasmtime.module import WasmtimeModule
    from wasihost.engines.wasmtime.trampolines import MemoryFinder

    Wanted: TypeAlias = Sequence[tuple[Item, Signature, Stub]]

_KEPT = 8
"""How many bindings of a module wait for a run: as many as ran at the same time, up to this."""


class Binding:
    """A linker with callbacks for the imports of a module, and what they share with the instance that uses it.

    `raised` is what a callback has caught, `spare_trap` and `spare_error` what it returns to the engine then. `ready`
    is the `wasmtime_instance_pre_t`: the imports as the engine has resolved them; 0 if each instance does that itself.
    """

    __slots__ = (
        "_callbacks",
        "_cells",
        "_check",
        "_delete",
        "_epoch",
        "_signatures",
        "functions",
        "linker",
        "raised",
        "ready",
        "spare_error",
        "spare_trap",
    )

    def __init__(self, module: WasmtimeModule, wanted: Wanted, finder: MemoryFinder | None) -> None:
        # At exit, `c` may be gone before the last binding.
        self._delete: tuple[Any, ...] = (
            c.wasmtime_linker_delete,
            c.wasmtime_instance_pre_delete,
            c.wasm_trap_delete,
            c.wasmtime_error_delete,
        )
        self.ready: int = 0
        self.raised: list[BaseException] = []
        self.spare_trap: list[int] = [0]
        self.spare_error: list[int] = [0]
        self.functions: list[FunctionType] = []  # behind the callbacks
        self._callbacks: list[object] = []  # kept alive: the engine holds only their addresses
        self._cells: list[CellType] = []  # where the functions look for their stubs
        self._epoch: object = None
        self._check: CellType | None = None
        self._signatures = [signature for _, signature, _ in wanted]
        self.linker: int = c.wasmtime_linker_new(module.engine.ptr)
        kind = CALLER_CALLBACK if finder else CALLBACK
        for item, signature, stub in wanted:
            enter = trampoline(signature, stub, self.raised, self.spare_trap, finder)
            self.functions.append(enter)
            self._cells.append(_cell(enter, "stub"))
            self._callbacks.append(callback := kind(enter))
            functype = module.engine.functype(item.params, item.results)
            if problem := define(self.linker, item.module, item.name, functype, callback):
                raise LinkError(f"import {item.module}.{item.name}: {problem}")

    def fits(self, wanted: Wanted) -> bool:
        """Whether its callbacks have the types of these functions."""
        return self._signatures == [signature for _, signature, _ in wanted]

    def serve(self, wanted: Wanted) -> None:
        """Let the callbacks call these stubs."""
        for cell, (_, _, stub) in zip(self._cells, wanted, strict=True):
            cell.cell_contents = stub

    def watch(self, scope: CancelCheck) -> object:
        """The callback of the epoch, which asks `scope` whether the guest may go on."""
        if self._check is None:
            enter = epoch_trampoline(scope, self.raised, self.spare_error)
            self.functions.append(enter)
            self._epoch = EPOCH_CALLBACK(enter)
            self._check = _cell(enter, "check")
        else:
            self._check.cell_contents = scope.check
        return self._epoch

    def renew(self, *, interruptible: bool) -> None:
        """Make new spares for those that a callback has passed to the engine."""
        if not self.spare_trap[0]:
            self.spare_trap[0] = new_trap()
        if interruptible and not self.spare_error[0]:
            self.spare_error[0] = c.wasmtime_error_new(TRAP_TEXT)

    def forget(self) -> None:
        """Drop what belongs to the instance that has used it."""
        self.raised.clear()
        for cell in self._cells:
            cell.cell_contents = None
        if self._check is not None:
            self._check.cell_contents = None
        for function in self.functions:
            function.__dict__.clear()  # `tracing` notes there that it has wrapped the stub

    def __del__(self) -> None:
        if hasattr(self, "linker"):  # a signal may have interrupted `__init__` anywhere
            delete_linker, delete_ready, delete_trap, delete_error = self._delete
            if self.ready:
                delete_ready(self.ready)
            delete_linker(self.linker)
            if self.spare_trap[0]:
                delete_trap(self.spare_trap[0])
            if self.spare_error[0]:
                delete_error(self.spare_error[0])


def _cell(function: FunctionType, name: str) -> CellType:
    """The cell in which a closure keeps a variable."""
    assert function.__closure__
    return function.__closure__[function.__code__.co_freevars.index(name)]


def take(module: WasmtimeModule, wanted: Wanted) -> Binding:
    """Return a free binding of the module that fits, or a new one, which serves these functions."""
    binding: Binding | None = None
    try:
        binding = module.bindings.pop()  # one operation: another thread may do the same
    except IndexError:
        pass
    if binding is not None and binding.fits(wanted):
        binding.serve(wanted)
        return binding
    binding = Binding(module, wanted, None)
    binding.ready = instance_pre(binding.linker, module.ptr)
    return binding


def give_back(module: WasmtimeModule, binding: Binding) -> None:
    """Keep the binding for the next instance. No guest uses it any more."""
    binding.forget()
    if binding.ready and len(module.bindings) < _KEPT:
        module.bindings.append(binding)
