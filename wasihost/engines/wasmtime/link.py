"""Whether a module and a host fit, found out before anything runs; every misfit is named, with what to do about it."""

from typing import TYPE_CHECKING

from wasihost.engines.wasmtime.calls import signed_text
from wasihost.engines.wasmtime.ffi import MemoryType
from wasihost.engines.wasmtime.module import Item, Module
from wasihost.errors import LinkError

if TYPE_CHECKING:
    from wasihost.engines.base import Imports, Signature, Stub

_SHOWN = 10  # misfits in one message

# Modules of imports that guests are known to ask for and this host may not have.
_ADVICE = {
    "wasi": "the guest was built for wasi-threads, which this host does not have: build it for wasm32-wasip1",
    "env": "the guest was linked with undefined symbols, or built for Emscripten's JavaScript host "
    "(`emcc -sSTANDALONE_WASM` builds for WASI)",
    "a": "the guest looks built for Emscripten's JavaScript host (`emcc -sSTANDALONE_WASM` builds for WASI)",
    "GOT.mem": "the guest is a shared library that needs a dynamic linker: link it statically",
    "GOT.func": "the guest is a shared library that needs a dynamic linker: link it statically",
    "go": "the guest was built for Go's JavaScript host: build it with GOOS=wasip1",
    "gojs": "the guest was built for Go's JavaScript host: build it with GOOS=wasip1",
}


def _advice(module: str, provided: "Imports") -> str:
    if module in provided and module.startswith("wasi_"):
        return "the specification has no such function: is the guest built for another version of WASI?"
    if module.startswith("wasi:"):
        return "the guest was built for WASI preview2: build it for wasm32-wasip1"
    if module.startswith("__wbindgen"):
        return "the guest was built for a JavaScript host by wasm-bindgen: build it for wasm32-wasip1 without it"
    return _ADVICE.get(module, f"this host provides the modules {', '.join(sorted(provided))}")


def _misfit(item: Item, provided: "Imports") -> str:
    """What is wrong with an import, or an empty text."""
    name = f"{item.module}.{item.name}"
    if item.memory:
        return _unfit(f"import {name}", item.memory)
    if item.kind != "func":
        return f"import {name}: a {item.kind}; this host provides functions and memories: link the guest statically"
    try:
        signature, _ = provided[item.module][item.name]
    except KeyError:
        return f"import {name}: unknown; {_advice(item.module, provided)}"
    if (item.params, item.results) != (signature.params, signature.results):
        return (
            f"import {name}: has type {signed_text(item.params, item.results)}, "
            f"the specification says {signed_text(signature.params, signature.results)}"
        )
    return ""


def _unfit(name: str, memory: MemoryType) -> str:
    """What is wrong with a memory, or an empty text."""
    if memory.shared:
        return f"{name}: a shared memory; the guest was built for threads (`-pthread`), which this host does not have"
    if memory.wide:
        return f"{name}: a 64-bit memory; WASI's pointers have 32 bits: build the guest for wasm32"
    return ""


def _missing(module: Module, entry: str | None) -> str:
    """What is wrong with the exports, or an empty text. A library that has nothing to do with WASI needs no memory."""
    memory, start = module.exports.get("memory"), module.exports.get(entry or "")
    if memory is not None and memory.memory:
        if text := _unfit("export memory", memory.memory):
            return text
    elif not any(item.memory for item in module.imports) and (
        entry is not None or any(item.module.startswith("wasi_") for item in module.imports)
    ):
        return "export memory: missing; a WASI guest exports its linear memory under this name, or imports it"
    if entry is None or (start is None and module.starts):  # a start section is how programs began before `_start`
        return ""
    if start is None or start.kind != "func":
        if "_initialize" in module.exports and entry == "_start":
            return "export _start: missing; the module is a library (a reactor, with `_initialize`), not a command"
        functions = sorted(item.name for item in module.exports.values() if item.kind == "func")
        listed = ", ".join(functions[:_SHOWN]) + (", ..." if len(functions) > _SHOWN else "")
        return f"export {entry}: missing; " + (
            f"the module exports the functions {listed}" if functions else "the module exports no function"
        )
    if start.params or start.results:
        return f"export {entry}: has type {signed_text(start.params, start.results)}, a command's is () -> ()"
    return ""


def match(module: Module, provided: "Imports", entry: str | None) -> "list[tuple[Item, Signature, Stub]]":
    """Each imported function, once, with its type and stub. LinkError names every import and export that misfits.

    `entry` is the export that has to be there as a `() -> ()`, if any. A module may import one function several times;
    a name can be defined in a linker only once.
    """
    misfits = [text for item in module.imports if (text := _misfit(item, provided))]
    if text := _missing(module, entry):
        misfits.append(text)
    if misfits:
        if len(misfits) > _SHOWN:
            misfits[_SHOWN:] = [f"and {len(misfits) - _SHOWN} more"]
        raise LinkError("the module does not fit this host:\n  " + "\n  ".join(misfits) if misfits[1:] else misfits[0])
    return [(item, *provided[item.module][item.name]) for item in dict.fromkeys(module.imports) if item.kind == "func"]
