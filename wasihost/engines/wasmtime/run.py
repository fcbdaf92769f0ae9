"""Our own door: one run of a module, from instance to end.

A run is made and taken down in one call: nothing of it is shared with other runs or threads but the compiled module.
"""

import ctypes
from typing import TYPE_CHECKING

from wasihost.engines.wasmtime import memory
from wasihost.engines.wasmtime.calls import CALLBACK, TRAP_TEXT, define, entry
from wasihost.engines.wasmtime.engine import check_signals
from wasihost.engines.wasmtime.ffi import Extern, c
from wasihost.engines.wasmtime.link import match
from wasihost.engines.wasmtime.module import Item, Module
from wasihost.engines.wasmtime.traps import raise_end
from wasihost.errors import LinkError

if TYPE_CHECKING:
    from wasihost.engines.base import HostState, Signature, Stub


def execute(module: Module, state: "HostState", start: str = "_start") -> None:
    """Make an instance of the module with the imports of `state` and call its export `start`, a `() -> ()`.

    Returns when the guest does. Raises what its stubs raised (ExitError for `proc_exit`; a handler's exception as it
    is, with its traceback), TrapError for a trap or a guest fault, LinkError where module and host do not fit, and
    ConfigError where a trap could not be survived. One run of a State at a time (RuntimeError otherwise); any number
    of States at once.
    """
    wanted = match(module, state.imports(), start)
    check_signals()
    _deep(8)
    guest, kept = state.guest, list[BaseException]()
    before = guest.memory
    if isinstance(before, memory.Memory):
        raise RuntimeError("this State has a guest running already: make a State for each run")
    linker = c.wasmtime_linker_new(module.engine.ptr)
    owner = memory.Memory(module.engine)
    stop = c.wasmtime_trap_new(TRAP_TEXT, len(TRAP_TEXT))
    callbacks: list[object] = []  # the engine holds only their addresses
    guest.view, guest.memory = memory.EMPTY, owner
    try:  # no loop in here: what a signal handler raises at the end of a round passes by `finally` (CPython 3.13)
        _provide(module, linker, wanted, kept, stop, callbacks)
        error, trap = _enter(module, linker, state, owner, start)
    finally:
        guest.view, guest.memory = memory.EMPTY, before
        owner.close()
        c.wasmtime_linker_delete(linker)
        if not kept:
            c.wasm_trap_delete(stop)
    raise_end(state, kept, error, trap)


def _provide(
    module: Module,
    linker: int,
    wanted: "list[tuple[Item, Signature, Stub]]",
    kept: list[BaseException],
    stop: int,
    callbacks: list[object],
) -> None:
    """Put a callback for each import into the linker, and into `callbacks`."""
    for item, signature, stub in wanted:
        functype = module.engine.functype(item.params, item.results)
        callback = CALLBACK(entry(signature, stub, kept, stop))
        callbacks.append(callback)
        if problem := define(linker, item.module, item.name, functype, callback):
            raise LinkError(f"import {item.module}.{item.name}: {problem}")


def _enter(
    module: Module, linker: int, state: "HostState", owner: memory.Memory, start: str
) -> tuple[int | None, int | None]:
    """Instantiate and call. The engine's error and trap, if any: what they mean, the caller decides."""
    assert owner.store
    context = owner.store.context
    instance, trap = (ctypes.c_uint64 * 2)(), ctypes.c_void_p()
    error = c.wasmtime_linker_instantiate(linker, context, module.ptr, instance, ctypes.byref(trap))
    if not (error or trap):
        state.guest.view = owner.bind(_export(context, instance, "memory", Extern.MEMORY))
        function = _export(context, instance, start, Extern.FUNC)
        error = c.wasmtime_func_call(context, function.item, None, 0, None, 0, ctypes.byref(trap))
    return error, trap.value


def _export(context: int, instance: "ctypes.Array[ctypes.c_uint64]", name: str, kind: int) -> Extern:
    export, encoded = Extern(), name.encode()
    found = c.wasmtime_instance_export_get(context, instance, encoded, len(encoded), export.block)
    if not found or export.kind != kind:
        raise LinkError(f"export {name}: of a kind that this host cannot use (a shared memory?)")
    return export


def _deep(levels: int) -> None:
    """RecursionError here and now, where it is an ordinary exception, rather than on entering a callback."""
    if levels:
        _deep(levels - 1)
