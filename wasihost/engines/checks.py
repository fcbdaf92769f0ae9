"""Checks that a module fits the host, before anything runs. `link_errors` makes the message if it does not."""

from __future__ import annotations

from wasihost.engines.values import Item, MemoryType
from wasihost.errors import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wasihost.engines.base import CompiledModule, Imports, Offered, Signature, Stub

_SHOWN = 10  # names of exports
PAGE = 1 << 16
PLAIN = frozenset(("i32", "i64", "f32", "f64", "funcref", "externref"))


def passable(item: Item) -> bool:
    """Return whether all types of a function are plain ones, which every engine can name."""
    return all(one in PLAIN for one in item.params + item.results)


def match(
    module: CompiledModule,
    provided: Imports,
    entry: str | None,
    label: str = "guest",
    offered: Offered | None = None,
) -> list[tuple[Item, Signature, Stub]]:
    """Return each imported function, once, with its type and stub.

    Args:
        module: The module, which may import one function several times. A linker takes each name only once.
        provided: The stubs, by import module and name.
        entry: The export that must exist with the type `() -> ()`; None if there is none.
        label: Name of the module in the message.
        offered: Names of all functions in the user's imports, by import module; for "did you mean".

    Raises:
        LinkError: Names each import and export that does not fit.
    """
    wanted: list[tuple[Item, Signature, Stub]] = []
    fits = True
    for item in dict.fromkeys(module.imports):
        if item.kind == "func":
            try:
                signature, stub = provided[item.module][item.name]
            except KeyError:
                fits = False
                continue
            fits = fits and (item.params, item.results) == (signature.params, signature.results) and passable(item)
            wanted.append((item, signature, stub))
        else:
            fits = fits and item.memory is not None and not unfit_import("", item.memory)
    lacking = _missing(module, entry)
    if not fits or lacking:
        from wasihost.engines.link_errors import report

        raise LinkError(report(module, provided, lacking, label, offered or {}))
    return wanted


def unfit(name: str, memory: MemoryType) -> str:
    """Return what is wrong with a memory, or an empty text."""
    if memory.shared:
        return f"{name}: a shared memory; the guest was built for threads (`-pthread`), which this host does not have"
    if memory.wide:
        return f"{name}: a 64-bit memory; WASI's pointers have 32 bits: build the guest for wasm32"
    return ""


def unfit_import(name: str, memory: MemoryType) -> str:
    """Return what is wrong with a memory that the module imports, or an empty text."""
    if memory.page != PAGE:
        return f"{name}: a memory with pages of one byte; this host gives those with pages of 64 KiB"
    return unfit(name, memory)


def _missing(module: CompiledModule, entry: str | None) -> str:
    """Return what is wrong with the exports, or an empty text. A library that does not import WASI needs no memory."""
    memory, start = module.exports.get("memory"), module.exports.get(entry or "")
    if memory is not None and memory.memory and (text := unfit("export memory", memory.memory)):
        return text
    if entry is not None and not (start is None and module.starts):  # how programs began before `_start`
        if start is None or start.kind != "func":
            return _no_entry(module, entry)
        if start.params or start.results:
            return f"export {entry}: has type {signed_text(start.params, start.results)}, a command's is () -> ()"
    if (
        (memory is None or not memory.memory)
        and not any(item.memory for item in module.imports)
        and (entry is not None or any(item.module.startswith("wasi_") for item in module.imports))
    ):
        return "export memory: missing; a WASI guest exports its linear memory under this name, or imports it"
    return ""


def _no_entry(module: CompiledModule, entry: str) -> str:
    from wasihost.common.names import listed, shown

    if "_initialize" in module.exports and entry == "_start":
        what = "the module is a library (a reactor, with `_initialize`), not a command"
    else:
        functions = sorted(item.name for item in module.exports.values() if item.kind == "func")
        if not functions:
            both = "" if "memory" in module.exports else ", and export memory: missing"
            return f"export {shown(entry)}: missing{both}; the module exports no function"
        what = f"the module exports the functions {listed(functions, _SHOWN)}"
    return f"export {shown(entry)}: missing; {what}: call them by --invoke NAME, or by wasihost.instantiate"


def signed_text(params: Sequence[str], results: Sequence[str]) -> str:
    """A core wasm type as people write it: `(i32, i64) -> i32`."""
    return f"({', '.join(params)}) -> {', '.join(results) or '()'}"
