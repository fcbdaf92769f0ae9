"""Makes a module that the interpreter can run from a file or bytes: refuses what it cannot run.

Nothing is kept on disk, as reading a module is all that there is to it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from wasihost.engines.pywasm.decoding import Decoded
from wasihost.engines.pywasm.reader import VALUE_TYPES
from wasihost.engines.values import Compilation, CompileBounds, CompileMode, Item, MemoryType, OnCompile
from wasihost.errors import ConfigError, ModuleError, Place
from wasihost.outcomes import printable

if TYPE_CHECKING:
    from typing import Any

    from wasihost.binary.backtrace import Origin

_MAGIC = b"\0asm"
_CORE = b"\1\0\0\0"
_KINDS = ("func", "table", "memory", "global")
_SIZE = 512 << 20
MODE = CompileMode(interruptible=True, fuel=True)
"""Every module serves every run."""


class PywasmModule:
    """A module with its imports and exports. `origin` is the file of its bytes, for backtraces."""

    def __init__(self, decoded: Decoded, origin: Origin) -> None:
        self.decoded = decoded
        self.origin = origin
        self.places: dict[int, tuple[Place, ...]] = {}
        self.starts: bool = decoded.start >= 0
        self.imports: tuple[Item, ...] = tuple(
            self._item(one.module, one.name, one.kind, self._about(one.kind, one.desc)) for one in decoded.imports
        )
        lists = decoded.functions, decoded.tables, decoded.memories, decoded.globals
        self.exports: dict[str, Item] = {
            one.name: self._item("", one.name, one.kind, self._about(one.kind, lists[one.kind][one.desc]))
            for one in decoded.exports
        }

    def _about(self, kind: int, about: Any) -> Any:
        return self.decoded.types[about] if kind == 0 else about

    def _item(self, module: str, name: str, kind: int, about: Any) -> Item:
        params: tuple[str, ...] = ()
        results: tuple[str, ...] = ()
        memory = None
        if kind == 0:
            params = tuple(VALUE_TYPES[one.data] for one in about.args)
            results = tuple(VALUE_TYPES[one.data] for one in about.rets)
        elif kind == 2:
            limits = about.limits
            memory = MemoryType(limits.n, None if not limits.m else max(limits.m, 0), wide=False, shared=False)
        return Item(module, name, _KINDS[kind], params, results, memory)


def load(
    source: bytes | str | os.PathLike[str],
    *,
    cache: bool = True,
    mode: CompileMode = MODE,
    on_compile: OnCompile | None = None,
    bounds: CompileBounds | None = None,
) -> PywasmModule:
    """Read a module in binary form. ModuleError for what cannot be used, ConfigError for bounds."""
    if bounds is not None:
        raise ConfigError(
            "the engine pywasm has no compiler: leave out compile_timeout and compile_memory (--compile-timeout, "
            "--compile-memory)"
        )
    origin: Origin
    if isinstance(source, bytes):
        code, label, origin = source, "guest", source
    else:
        label = printable(os.path.basename(os.fspath(source)))
        with open(source, "rb") as file:
            about = os.fstat(file.fileno())
            code, origin = file.read(_SIZE + 1), (os.path.abspath(os.fspath(source)), about)
    begins = Compilation(label, len(code), interruptible=False, fuel=False)
    if on_compile is not None:
        on_compile(begins)
    begun = time.monotonic()
    module = PywasmModule(decode(code, label), origin)
    if on_compile is not None:
        on_compile(begins._replace(seconds=time.monotonic() - begun))
    return module


def decode(code: bytes, label: str) -> Decoded:
    """What the bytes of a module mean. ModuleError for what is no module, or one that this engine cannot run."""
    if code[:4] != _MAGIC:
        if code.lstrip().startswith((b"(", b";;")):
            assemble(code, label)
        from wasihost.config.mistakes import not_wasm

        raise ModuleError(f"{label}: not WebAssembly: {not_wasm(code)}")
    if code[4:8] != _CORE:
        what = "a component (WASI preview2), not a core module" if code[6:8] == b"\1\0" else "of an unknown version"
        raise ModuleError(f"{label}: {what}: build it for wasm32-wasip1")
    if len(code) > _SIZE:
        raise ModuleError(f"{label}: has more than {_SIZE:,} bytes")
    try:
        return Decoded(code)
    except ModuleError as error:
        text = str(error)
        raise ModuleError(
            f"{label}: this engine cannot run the module: {text}"
            if text.startswith("it needs")
            else f"{label}: not a valid module: {text}"
        ) from None


def assemble(text: bytes, label: str) -> bytes:
    """ModuleError: pywasm reads the binary form alone."""
    raise ModuleError(
        f"{label}: WebAssembly text, and the engine pywasm reads the binary form alone: convert it with wat2wasm, or "
        "take the default engine"
    )


def check_module(code: bytes, label: str, features: str) -> None:
    """ModuleError for a module that this engine would refuse."""
    decode(code, label)
