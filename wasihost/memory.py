"""A guest's linear memory for Python code: bytes in and out by pointer, bounds checked.

Rules of this file: every access looks at the memory anew, because it may have grown. No view outlives a call but that
of `Memory.view`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from wasihost.errors import AllocationFailed, BadPointer, BadText

if TYPE_CHECKING:
    from wasihost.engines.allocator import Allocator
    from wasihost.engines.values import Item

FAULT: Final = "guest fault"


class Memory:
    """The memory of one guest. Pointers are addresses in bytes; a negative one is the same 32 bits without a sign.

    Every access outside the memory raises BadPointer, which is an IndexError. `alloc` and `free` call the guest's own
    allocator: the exports that the options `malloc` and `free` name, or else those that are known by name, such as
    `malloc`, `cabi_realloc` and `__new`.
    """

    def __init__(
        self,
        view: Callable[[], memoryview],
        call: Callable[..., Any],
        exports: Callable[[], Mapping[str, Item]],
        find: Callable[[], Allocator],
    ) -> None:
        self._view = view
        self._call = call
        self._exports = exports
        self._find = find

    def __len__(self) -> int:
        """Return the size in bytes. It never shrinks."""
        return len(self._view())

    def view(self) -> memoryview:
        """Return all of it as a writable view. Bytes that the memory gains later are only in a new view."""
        return self._view()

    def _range(self, pointer: int, size: int) -> memoryview:
        view, start = self._view(), pointer & 0xFFFF_FFFF
        if size < 0 or start + size > len(view):
            raise BadPointer(f"{size} bytes at {start} are not in the guest's memory of {len(view)} bytes", FAULT)
        return view[start : start + size]

    def read_bytes(self, pointer: int, size: int) -> bytes:
        """Return a copy of `size` bytes.

        Raises:
            wasihost.errors.BadPointer: They are not all inside the memory.
        """
        return bytes(self._range(pointer, size))

    def write_bytes(self, pointer: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data` to `pointer`.

        Raises:
            wasihost.errors.BadPointer: There is no room for it. Nothing was written.
        """
        self._range(pointer, len(data))[:] = data

    def read_cstr(self, pointer: int, limit: int = 1 << 20) -> bytes:
        """Return the bytes before the next NUL.

        Raises:
            wasihost.errors.BadPointer: `pointer` is outside the memory.
            wasihost.errors.BadText: There is no NUL within `limit` bytes or before the end of the memory. It is a
                ValueError too.
        """
        start = pointer & 0xFFFF_FFFF
        part = bytes(self._range(start, max(0, min(limit, len(self) - start))))
        end = part.find(b"\0")
        if end < 0:
            raise BadText(f"no NUL in the {len(part)} bytes at {start}", FAULT)
        return part[:end]

    def alloc(self, what: int | bytes | bytearray | memoryview) -> int:
        """Allocate with the guest's allocator.

        Args:
            what: A size in bytes, or the bytes to copy in.

        Returns:
            The pointer. Free it with `free`, or pass it to a function that does.

        Raises:
            LinkError: The guest exports no allocator that is known.
            wasihost.errors.AllocationFailed: The allocator failed, or returned what is not in the memory. It is a
                MemoryError too.
        """
        size = what if isinstance(what, int) else len(what)
        return self.put(self.allocator, size, b"" if isinstance(what, int) else what)

    def put(self, allocator: Allocator, size: int, data: bytes | bytearray | memoryview, **kind: int) -> int:
        """Allocate `size` bytes with `allocator`, and copy `data` in."""
        pointer = allocator.take(self._call, size, **kind)
        try:
            self._range(pointer, size)[: len(data)] = data
        except BadPointer as error:
            raise AllocationFailed(f"{allocator.malloc} gave the guest's host a bad pointer: {error}", FAULT) from error
        return pointer

    def free(self, pointer: int, size: int = 0) -> None:
        """Free what `alloc` returned. Nothing happens where the guest exports no function for it.

        Args:
            pointer: What `alloc` returned.
            size: Its size in bytes, for allocators whose `free` takes it.
        """
        self.allocator.give_back(self._call, pointer, size)

    @property
    def allocator(self) -> Allocator:
        """The guest's allocator. Raises LinkError where the guest exports none that is known."""
        return self._find()

    def with_allocator(self, malloc: str, free: str | None = None) -> Memory:
        """Return the same memory with other exports as its allocator: `memory.with_allocator("get", "put").alloc(8)`.

        Args:
            malloc: Name of the export that allocates.
            free: Name of the export that frees, if there is one.

        Raises:
            LinkError: There is no such export, or its type is not that of an allocator.
        """
        from wasihost.engines.allocator import find

        found = find(self._exports(), malloc, free)
        return Memory(self._view, self._call, self._exports, lambda: found)

    def has(self, name: str) -> bool:
        """Return whether the guest exports something of this name."""
        return name in self._exports()

    @contextmanager
    def allocated(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Context manager: allocate a copy of `data`, return its pointer and size in bytes, free it after the block."""
        pointer = self.alloc(data)
        try:
            yield pointer, len(data)
        finally:
            self.free(pointer, len(data))

    given = allocated
    """The former name of `allocated`."""
