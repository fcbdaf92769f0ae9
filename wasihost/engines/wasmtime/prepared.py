"""What every instance of a module shares on our own door in C: a linker with a callback for each import.

A callback finds the instance that calls through the engine, so one linker serves all runs and all threads at once. The
engine resolves the imports once (`wasmtime_instance_pre_t`), unless the module imports a memory, which is each
instance's own.
"""

from __future__ import annotations

from wasihost.engines.values import Item
from wasihost.engines.wasmtime.engine import WasmtimeEngine
from wasihost.engines.wasmtime.ffi import c, instance_pre, take_error
from wasihost.errors import LinkError
from wasihost.native import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Linker:
    """A linker of the C library, deleted with the last reference to this object."""

    __slots__ = ("_delete", "ptr")

    def __init__(self, engine: WasmtimeEngine, imports: Sequence[Item]) -> None:
        self._delete = c.wasmtime_linker_delete  # at exit, `c` may be gone before the last linker
        self.ptr: int = c.wasmtime_linker_new(engine.ptr)
        enter = _native.callback()
        for index, item in enumerate(dict.fromkeys(one for one in imports if one.kind == "func")):
            first, second = item.module.encode(), item.name.encode()
            functype = engine.functype(item.params, item.results)
            error = c.wasmtime_linker_define_func_unchecked(
                self.ptr, first, len(first), second, len(second), functype, enter, index, None
            )
            if error:
                raise LinkError(f"import {item.module}.{item.name}: {take_error(error)}")

    def __del__(self) -> None:
        if hasattr(self, "ptr"):  # a signal may have interrupted `__init__` anywhere
            self._delete(self.ptr)


class Prepared:
    """A module whose imports are resolved: `ready` is the address of its `wasmtime_instance_pre_t`, None for a module
    that imports a memory."""

    __slots__ = ("_delete", "_engine", "_imports", "passing", "ready")

    def __init__(self, engine: WasmtimeEngine, module: int, imports: Sequence[Item]) -> None:
        self.ready: int | None = None
        self.passing: dict[str, tuple[str, str, Callable[..., bytes]]] = {}
        """By export, how its numbers are passed: what `refusing` returns."""
        self._delete = c.wasmtime_instance_pre_delete  # as in Linker
        self._engine, self._imports = engine, imports
        if any(item.memory for item in imports):
            return
        linker = self.new_linker()  # a name, so that it lives until the call has returned
        self.ready = instance_pre(linker.ptr, module)

    def new_linker(self) -> Linker:
        """A linker for one instance, which lacks the memories."""
        return Linker(self._engine, self._imports)

    def __del__(self) -> None:
        if getattr(self, "ready", None) is not None:
            self._delete(self.ready)
