"""A guest's linear memory for Python code: bytes in and out by pointer, bounds checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wasihost.errors import LinkError


class Memory:
    """Reads and writes at pointers, which are addresses in bytes; a negative one is the same 32 bits unsigned.

    IndexError for what is not all inside. `alloc` and `free` are the guest's own `malloc` (or `allocate`, or
    `cabi_realloc`) and `free`.
    """

    def __init__(self, view: Callable[[], memoryview], call: Callable[..., Any], exports: Callable[[], Any]) -> None:
        self._view = view
        self._call = call
        self._exports = exports

    def __len__(self) -> int:
        """Its size in bytes; it never shrinks."""
        return len(self._view())

    def view(self) -> memoryview:
        """All of it, writable. Bytes that it gains later are in a new view."""
        return self._view()

    def _range(self, pointer: int, size: int) -> memoryview:
        view, start = self._view(), pointer & 0xFFFF_FFFF
        if size < 0 or start + size > len(view):
            raise IndexError(f"{size} bytes at {start} are not in the guest's memory of {len(view)} bytes")
        return view[start : start + size]

    def read_bytes(self, pointer: int, size: int) -> bytes:
        """A copy of `size` bytes."""
        return bytes(self._range(pointer, size))

    def write_bytes(self, pointer: int, data: bytes | bytearray | memoryview) -> None:
        """Put all of `data` there."""
        self._range(pointer, len(data))[:] = data

    def read_cstr(self, pointer: int, limit: int = 1 << 20) -> bytes:
        """The bytes before the next NUL. ValueError if there is none within `limit` bytes or to the end."""
        start = pointer & 0xFFFF_FFFF
        part = bytes(self._range(start, max(0, min(limit, len(self) - start))))
        end = part.find(b"\0")
        if end < 0:
            raise ValueError(f"no NUL in the {len(part)} bytes at {start}")
        return part[:end]

    def alloc(self, what: int | bytes | bytearray | memoryview) -> int:
        """Room for so many bytes, or for these, which are put there: the pointer. It is the guest's to free.

        LinkError if the guest exports no allocator, MemoryError if that has nothing to give.
        """
        size = what if isinstance(what, int) else len(what)
        exports = self._exports()
        if name := next((name for name in ("malloc", "allocate", "alloc") if name in exports), None):
            pointer = self._call(name, size)
        elif "cabi_realloc" in exports:
            pointer = self._call("cabi_realloc", 0, 0, 8, size)
        else:
            raise LinkError("the guest exports no allocator: malloc, allocate, alloc or cabi_realloc")
        pointer = int(pointer) & 0xFFFF_FFFF
        if not pointer and size:
            raise MemoryError(f"the guest has no {size} bytes to give")
        if not isinstance(what, int):
            self.write_bytes(pointer, what)
        return pointer

    def free(self, pointer: int, size: int = 0) -> None:
        """Give it back, to a `free` that takes the size too if the guest's does; nothing if it exports none."""
        item = self._exports().get("free")
        if item is not None:
            self._call("free", *(pointer, size)[: len(item.params)])

    @contextmanager
    def given(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Pointer and size of a copy of `data`, freed after the block."""
        pointer = self.alloc(data)
        try:
            yield pointer, len(data)
        finally:
            self.free(pointer, len(data))
