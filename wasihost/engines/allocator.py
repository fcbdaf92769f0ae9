"""The guest's own allocator: finds its exports, and knows how to call them.

Rules of this file: an allocator is used only if it is certain to be one: a known name, or a pair of names with the same
prefix (`prova_alloc`, `prova_free`), and types that fit. Otherwise the user must name it.

| exports | called with |
| --- | --- |
| `malloc`, `allocate`, `alloc`, `_malloc`, `PREFIX_alloc` ... | size; or size and alignment |
| `__wbindgen_malloc` | size; or size and alignment. The called function frees its arguments |
| `__new` (AssemblyScript) | size and class (ArrayBuffer or String); the object is pinned until it is freed |
| `cabi_realloc` | 0, 0, alignment and size |
| `free`, `deallocate`, `dealloc` ... | pointer; or pointer and size; or pointer, size and alignment |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from wasihost.common.names import listed, near, shown
from wasihost.errors import AllocationFailed, LinkError

if TYPE_CHECKING:
    from wasihost.engines.values import Item

_FREES: Final[Mapping[str, tuple[str, ...]]] = {
    "malloc": ("free",),
    "allocate": ("deallocate", "free"),
    "alloc": ("dealloc", "deallocate", "free"),
    "_malloc": ("_free",),
    "__wbindgen_malloc": ("__wbindgen_free",),
    "__new": ("__unpin",),
}
"""Known allocators, and the exports that free their memory. `cabi_realloc` is used if there is none of them."""

_WORDS: Final = ("malloc", "allocate", "alloc")
_FREE_WORDS: Final = ("free", "deallocate", "dealloc")
_ALIGNED: Final = 8
ARRAY_BUFFER: Final = 1
STRING: Final = 2
"""Class ids of AssemblyScript, the same in every program."""


class Allocator:
    """An exported function that allocates, and maybe one that frees. LinkError if they are missing or misfit."""

    def __init__(self, exports: Mapping[str, Item], malloc: str, free: str | None) -> None:
        self.malloc = malloc
        self.free = free
        self.assemblyscript: bool = malloc == "__new"
        self.callee_frees: bool = malloc.startswith("__wbindgen_")
        self._count = _count(exports, malloc, (1, 2, 4), 1, "malloc")
        self._free_count = _count(exports, free, (1, 2, 3), None, "free") if free is not None else 0
        self._align = 1 if self.callee_frees else _ALIGNED
        self._pins = self.assemblyscript and "__pin" in exports and _count(exports, "__pin", (1,), 1, "pin") == 1

    def take(self, call: Callable[..., Any], size: int, kind: int = ARRAY_BUFFER) -> int:
        """Allocate `size` bytes and return the pointer. AllocationFailed if the guest has no memory left."""
        if not 0 <= size < 1 << 32:
            raise AllocationFailed(f"{size} bytes cannot be had in a memory of 32 bits", "allocation failed")
        if self._count == 4:
            pointer = call(self.malloc, 0, 0, self._align, size)
        elif self._count == 2:
            pointer = call(self.malloc, size, kind if self.assemblyscript else self._align)
        else:
            pointer = call(self.malloc, size)
        pointer = int(pointer) & 0xFFFF_FFFF
        if not pointer and size:
            raise AllocationFailed(f"the guest has no {size} bytes to give", "allocation failed")
        if self._pins:
            call("__pin", pointer)
        return pointer

    def give_back(self, call: Callable[..., Any], pointer: int, size: int) -> None:
        """Free memory, if the guest exports a function for that."""
        if self.free is not None:
            call(self.free, *(pointer, size, self._align)[: self._free_count])


def _count(exports: Mapping[str, Item], name: str, counts: tuple[int, ...], results: int | None, option: str) -> int:
    """Check an export's type and return how many parameters it has."""
    item = exports.get(name)
    functions = [one.name for one in exports.values() if one.kind == "func"]
    if item is None or item.kind != "func":
        meant = near(name, functions)
        raise LinkError(
            f"{option}={name!r}: the module exports no such function"
            + (f"; did you mean {shown(meant)}?" if meant else f", but {listed(functions, 10) or 'none at all'}")
        )
    integers = all(one in ("i32", "i64") for one in item.params + item.results)
    if not integers or len(item.params) not in counts or (results is not None and len(item.results) != results):
        what = "size, or size and alignment" if option == "malloc" else "a pointer, or pointer and size"
        raise LinkError(
            f"{option}={name!r}: its type is ({', '.join(item.params)}) -> ({', '.join(item.results)}), which cannot "
            f"be called with {what}"
        )
    return len(item.params)


def find(exports: Mapping[str, Item], malloc: str | None = None, free: str | None = None) -> Allocator:
    """Return the allocator of this name, or else the guest's only one. LinkError if there is none, or several."""
    if malloc is not None:
        return Allocator(exports, malloc, free if free is not None else _free_of(exports, malloc))
    functions = [one.name for one in exports.values() if one.kind == "func"]
    known = [name for name in _FREES if name in functions and _fits(exports[name])]
    if "malloc" in known:
        known = ["malloc"]
    if not known and "cabi_realloc" in functions:
        return Allocator(exports, "cabi_realloc", free if free is not None else _first(exports, ("free",)))
    if not known:
        known = [name for name in functions if _fits(exports[name]) and _free_of(exports, name)]
    if len(known) == 1:
        return Allocator(exports, known[0], free if free is not None else _free_of(exports, known[0]))
    if known:
        raise LinkError(
            f"the guest exports several allocators ({listed(known)}): name one, malloc={known[0]!r}, where it is "
            "instantiated"
        )
    alike = [name for name in functions if "alloc" in name.lower() and _fits(exports[name])]
    raise LinkError(
        "the guest exports no allocator that is known (malloc, allocate, alloc, cabi_realloc, __wbindgen_malloc, "
        "__new): name it where it is instantiated, malloc='NAME', free='NAME'"
        + (f"; it could be {listed(alike)}" if alike else "")
    )


def _fits(item: Item) -> bool:
    """Return whether the export can be called with a size and returns a pointer."""
    return (
        item.kind == "func"
        and len(item.params) in (1, 2)
        and len(item.results) == 1
        and all(one in ("i32", "i64") for one in item.params + item.results)
    )


def _free_of(exports: Mapping[str, Item], malloc: str) -> str | None:
    """Return the export that frees an allocator's memory: a known one, or one with the same prefix."""
    if malloc in _FREES:
        return _first(exports, _FREES[malloc])
    for word in _WORDS:
        if malloc.endswith(word):
            start = malloc.removesuffix(word)
            if start and (start.endswith(("_", "-", ".")) or start in ("wasm", "guest", "my")):
                return _first(exports, (start + one for one in _FREE_WORDS))
    return None


def _first(exports: Mapping[str, Item], names: Iterable[str]) -> str | None:
    return next((name for name in names if name in exports and exports[name].kind == "func"), None)
