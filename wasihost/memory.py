"""A guest's linear memory for Python code: bytes in and out by pointer, bounds checked."""

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
    """Reads and writes at pointers, which are addresses in bytes; a negative one is the same 32 bits unsigned.

    BadPointer, an IndexError, for what is not all inside. `alloc` and `free` are the guest's own: those that
    `instantiate` was told, or that are found by their names (see `engines.allocator`).
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
        """Its size in bytes; it never shrinks."""
        return len(self._view())

    def view(self) -> memoryview:
        """All of it, writable. Bytes that it gains later are in a new view."""
        return self._view()

    def _range(self, pointer: int, size: int) -> memoryview:
        view, start = self._view(), pointer & 0xFFFF_FFFF
        if size < 0 or start + size > len(view):
            raise BadPointer(f"{size} bytes at {start} are not in the guest's memory of {len(view)} bytes", FAULT)
        return view[start : start + size]

    def read_bytes(self, pointer: int, size: int) -> bytes:
        """A copy of `size` bytes."""
        return bytes(self._range(pointer, size))

    def write_bytes(self, pointer: int, data: bytes | bytearray | memoryview) -> None:
        """Put all of `data` there."""
        self._range(pointer, len(data))[:] = data

    def read_cstr(self, pointer: int, limit: int = 1 << 20) -> bytes:
        """The bytes before the next NUL. BadText, a ValueError, if there is none within `limit` bytes or to the end."""
        start = pointer & 0xFFFF_FFFF
        part = bytes(self._range(start, max(0, min(limit, len(self) - start))))
        end = part.find(b"\0")
        if end < 0:
            raise BadText(f"no NUL in the {len(part)} bytes at {start}", FAULT)
        return part[:end]

    def alloc(self, what: int | bytes | bytearray | memoryview) -> int:
        """Room for so many bytes, or for these, which are put there: the pointer. It is the guest's to free.

        LinkError if the guest exports no allocator that is known, AllocationFailed, a MemoryError, if that has nothing
        to give, or gives what is not in the guest's memory.
        """
        size = what if isinstance(what, int) else len(what)
        return self.put(self.allocator, size, b"" if isinstance(what, int) else what)

    def put(self, allocator: Allocator, size: int, data: bytes | bytearray | memoryview, **kind: int) -> int:
        """Room for so many bytes of this allocator, `data` in it."""
        pointer = allocator.take(self._call, size, **kind)
        try:
            self._range(pointer, size)[: len(data)] = data
        except BadPointer as error:
            raise AllocationFailed(f"{allocator.malloc} gave the guest's host a bad pointer: {error}", FAULT) from error
        return pointer

    def free(self, pointer: int, size: int = 0) -> None:
        """Give it back, to a `free` that takes the size too if the guest's does; nothing if it exports none."""
        self.allocator.give_back(self._call, pointer, size)

    @property
    def allocator(self) -> Allocator:
        """The guest's own. LinkError where there is none that is known."""
        return self._find()

    def with_allocator(self, malloc: str, free: str | None = None) -> Memory:
        """The same memory, with these exports for its allocator: `memory.with_allocator("get", "put").alloc(8)`."""
        from wasihost.engines.allocator import find

        found = find(self._exports(), malloc, free)
        return Memory(self._view, self._call, self._exports, lambda: found)

    def has(self, name: str) -> bool:
        """Whether the guest exports something of this name."""
        return name in self._exports()

    @contextmanager
    def allocated(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Pointer and size of a copy of `data`, freed after the block."""
        pointer = self.alloc(data)
        try:
            yield pointer, len(data)
        finally:
            self.free(pointer, len(data))

    given = allocated
    """The former name of `allocated`."""
