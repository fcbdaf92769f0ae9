"""Views of a guest's memory, and what keeps them valid.

A view is a `memoryview` (format "B") straight onto the engine's pages. On our own door its base never moves
(`engine.py` reserves all the room) and the view owns the store, so a view that is kept reads the guest's last
bytes, never freed ones. On a user's `Linker` we control neither; see `linker.py`.
"""

from __future__ import annotations

import ctypes

from wasihost.engines.wasmtime.engine import WasmtimeEngine
from wasihost.engines.wasmtime.ffi import Extern, array, c
from wasihost.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

EMPTY = memoryview(bytearray())


class Store:
    """A store of the C library, deleted with the last reference to this object."""

    __slots__ = ("_delete", "context", "ptr")

    def __init__(self, owner: WasmtimeEngine) -> None:
        self._delete = c.wasmtime_store_delete  # at exit, `c` may be gone before the last store
        self.ptr: int = c.wasmtime_store_new(owner.ptr, None, None)
        self.context: int = c.wasmtime_store_context(self.ptr)

    def __del__(self) -> None:
        if hasattr(self, "ptr"):  # a signal may have interrupted `__init__` anywhere
            self._delete(self.ptr)


def view(base: int, size: int, owner: object = None) -> memoryview:
    """A writable view of `size` bytes at `base` that keeps `owner` alive."""
    if not size:
        return EMPTY
    block = array(ctypes.c_ubyte, size).from_address(base)
    block.owner = owner  # ctypes arrays take attributes, and a view holds its array
    return memoryview(block).cast("B")


def no_memory() -> NoReturn:
    """Raise what a guest without a memory gets when a stub looks at it."""
    raise LinkError("the guest has no memory: it neither exports one under this name nor imports one")


class GuestMemory:
    """`GuestView.memory` of one run on our own door: reads the size again, and makes a new view if the memory has
    grown.

    `close` releases the store even if the frames of a kept exception still refer to this object.
    """

    __slots__ = ("base", "current", "export", "store")

    def __init__(self, owner: WasmtimeEngine) -> None:
        self.store: Store | None = Store(owner)
        self.export: Extern | None = None
        self.base: int = 0
        self.current: memoryview = EMPTY

    def bind(self, export: Extern) -> memoryview:
        """Set the instance's memory. Returns a view of it."""
        assert self.store
        self.export, self.current = export, EMPTY
        self.base = c.wasmtime_memory_data(self.store.context, export.item)
        return self()

    @property
    def has_memory(self) -> bool:
        """Whether the guest's memory is known."""
        return self.export is not None

    def __call__(self) -> memoryview:
        if self.store is None:
            return EMPTY
        if self.export is None:
            no_memory()
        size: int = c.wasmtime_memory_data_size(self.store.context, self.export.item)
        if size != len(self.current):
            self.current = view(self.base, size, self.store)
        return self.current

    def close(self) -> None:
        """Release the store; views that are still held keep it."""
        self.store, self.export, self.current = None, None, EMPTY


def export_of(caller: int) -> Extern | None:
    """The memory that the instance behind a `wasmtime_caller_t *` exports."""
    export = Extern()
    found = c.wasmtime_caller_export_get(caller, b"memory", 6, export.block)
    return export if found and export.kind == Extern.MEMORY else None


class StartSectionMemory:
    """Finds the memory of a guest that calls the host from its start section, before `instantiate` has returned.

    An exported memory is found in the first call; an imported one was known before.
    """

    def __init__(self, memory: GuestMemory, show: Callable[[memoryview], None]) -> None:
        self._memory = memory
        self._show = show
        self.stale: bool = True

    def find(self, caller: int) -> None:
        """See `trampolines.MemoryFinder`."""
        export = export_of(caller)
        if export is not None:
            self._show(self._memory.bind(export))
        self.stale = False
