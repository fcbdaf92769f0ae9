"""Makes a compiled module from a file or bytes: refuses what is not a core module, and reads its imports and exports.

A module may be used from many threads at once and for any number of runs. `load` looks in memory, then on disk, then
compiles.
"""

from __future__ import annotations

import ctypes
import io
import os
from collections import OrderedDict

from wasihost.common.cached import cached_property
from wasihost.engines.limits import FREE
from wasihost.engines.values import CompileMode, Item, OnCompile
from wasihost.engines.wasmtime import cache as disk
from wasihost.engines.wasmtime import file_keys
from wasihost.engines.wasmtime.engine import PLAIN, WasmtimeEngine, engine
from wasihost.engines.wasmtime.ffi import Vec, c, functype_at, memorytype_at, name_at, take_error
from wasihost.engines.wasmtime.outline import Outline, Storage, outline
from wasihost.errors import ModuleError, Place
from wasihost.outcomes import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, TypeAlias

    from wasihost.binary.backtrace import Origin
    from wasihost.engines.values import CompileBounds
    from wasihost.engines.wasmtime.function_types import Type
    from wasihost.engines.wasmtime.prepared import Prepared

Source: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]

_MAGIC = b"\0asm"
_CORE = b"\x01\0\0\0"
_KINDS = {0: "func", 1: "global", 2: "table", 3: "memory", 4: "tag"}
_SMALL = 1 << 20
"""Bytes of a file that is not too large."""
_KEPT, _KEPT_BYTES = 16, 64 << 20
"""How many compiled modules are kept in memory, and how many bytes of wasm they may have; the newest is always kept."""


class WasmtimeModule:
    """A compiled module with its imports and exports.

    `starts`: it has a start section, which runs while the instance is being made. `storage` is its memories and tables,
    `size` is its bytes of wasm. `origin` is the file of its bytes, if known; `places` caches what was found there for
    backtraces.
    """

    def __init__(self, owner: WasmtimeEngine, ptr: int, found: Outline) -> None:
        self._delete = c.wasmtime_module_delete  # at exit, `c` may be gone before the last module
        self.engine = owner
        self.ptr = ptr
        self.outline = found
        self._types = found.types
        self.starts: bool = found.starts
        self.storage: Storage = found.storage
        self.size: int = found.size
        self.origin: Origin | None = None
        self.places: dict[int, tuple[Place, ...]] = {}
        self.bindings: list[Any] = []  # those that no instance uses, on our own door in Python
        self.prepared: Prepared | None = None  # what its instances share on our own door in C

    def __del__(self) -> None:
        self._delete(self.ptr)

    @cached_property
    def only_memory(self) -> int | None:
        """Initial bytes of its memory, if that is exported and nothing else counts against the memory limit; else None.

        Nearly all modules have such a memory.
        """
        memories, tables, collected, growing, _ = self.storage
        item = self.exports.get("memory")
        more = collected or growing or sum(one.least for one in tables) > FREE
        if more or len(memories) != 1 or item is None or not item.memory or any(one.memory for one in self.imports):
            return None
        return memories[0].least

    @cached_property
    def imports(self) -> tuple[Item, ...]:
        vec = Vec()
        c.wasmtime_module_imports(self.ptr, ctypes.byref(vec))
        known = iter(self._types.imports) if self._types else None
        items = tuple(
            _item(
                c.wasm_importtype_module(one),
                c.wasm_importtype_name(one),
                c.wasm_importtype_type(one),
                (lambda _: next(known)) if known else None,
            )
            for one in vec.pointers()
        )
        c.wasm_importtype_vec_delete(ctypes.byref(vec))
        return items

    @cached_property
    def exports(self) -> dict[str, Item]:
        vec = Vec()
        c.wasmtime_module_exports(self.ptr, ctypes.byref(vec))
        known = self._types.exports.__getitem__ if self._types else None
        items = [_item(None, c.wasm_exporttype_name(one), c.wasm_exporttype_type(one), known) for one in vec.pointers()]
        c.wasm_exporttype_vec_delete(ctypes.byref(vec))
        return {item.name: item for item in items}


def _item(module: int | None, name: int, externtype: int, known: Callable[[str], Type] | None) -> Item:
    """`known` returns the types of functions, if the engine must not be asked for them."""
    kind = _KINDS.get(c.wasm_externtype_kind(externtype), "unknown")
    params: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    if kind == "func" and known:
        params, results = known(name_at(name) or "")
    elif kind == "func":
        params, results = functype_at(c.wasm_externtype_as_functype_const(externtype))
    memory = memorytype_at(c.wasm_externtype_as_memorytype_const(externtype)) if kind == "memory" else None
    return Item(name_at(module) or "", name_at(name) or "", kind, params, results, memory)


def compile_wasm(
    code: bytes,
    label: str = "guest",
    mode: CompileMode = PLAIN,
    on_compile: OnCompile | None = None,
    bounds: CompileBounds | None = None,
) -> WasmtimeModule:
    """Compile a core module in binary or text form. ModuleError if it is not valid."""
    from wasihost.engines.wasmtime.compiling import around, compiled, validate

    if not code.startswith(_MAGIC):
        code = assemble(code, label)
    if code[4:8] != _CORE:
        _refuse_version(code, label)
    owner = engine(mode)
    validate(code, label, owner, bounds)
    with around(label, len(code), mode, on_compile):
        ptr = compiled(code, label, owner, bounds)
    return WasmtimeModule(owner, ptr, outline(io.BytesIO(code)))


def _binary(content: BinaryIO) -> BinaryIO:
    """Return a module in the binary format. It was found valid before."""
    content.seek(0)
    if content.read(4) == _MAGIC:
        return content
    content.seek(0)
    return io.BytesIO(assemble(content.read(), "guest"))


def assemble(text: bytes, label: str) -> bytes:
    """Convert WebAssembly text to the binary format. ModuleError if it is not valid."""
    if not text.lstrip().startswith((b"(", b";;")):
        from wasihost.config.mistakes import not_wasm

        raise ModuleError(f"{label}: not WebAssembly: {not_wasm(text)}")
    from wasihost.engines.wasmtime.compiling import check_size

    check_size(len(text), label, text=True)
    binary = Vec()
    if error := c.wasmtime_wat2wasm(text, len(text), ctypes.byref(binary)):
        what, arrow, where = take_error(error).partition("\n     -->")
        lines = [printable(what), *map(printable, (arrow + where).splitlines()[1:])]
        raise ModuleError(f"{label}: not valid WebAssembly text: " + "\n".join(lines))
    code = binary.text()
    c.wasm_byte_vec_delete(ctypes.byref(binary))
    return code


def _refuse_version(code: bytes, label: str) -> None:
    if code[6:8] == b"\x01\0":
        raise ModuleError(
            f"{label}: a component (WASI preview2), not a core module: build it for wasm32-wasip1, "
            "or take the core module out of it with `wasm-tools component unbundle`"
        )
    raise ModuleError(f"{label}: unknown WebAssembly version {code[4:8].hex()}, expected {_CORE.hex()}")


class _ModuleMemory:
    """Compiled modules by content key, the least recently used dropped first; and the last known key of each file.

    It has no lock: a signal handler that raises in `with lock` may leave it held in Python 3.14, and every later run of
    the process would wait for it. Each step is one operation of a dict; what other threads do between two is harmless.
    """

    def __init__(self) -> None:
        self.modules: OrderedDict[str, WasmtimeModule] = OrderedDict()
        self.files: OrderedDict[tuple[object, ...], str] = OrderedDict()

    def get(self, key: str) -> WasmtimeModule | None:
        module = self.modules.get(key)
        if module is not None:
            try:
                self.modules.move_to_end(key)
            except KeyError:  # another thread has dropped it just now
                pass
        return module

    def put(self, key: str, module: WasmtimeModule) -> None:
        self.modules[key] = module
        size = sum(one.size for one in tuple(self.modules.values()))
        while len(self.modules) > 1 and (len(self.modules) > _KEPT or size > _KEPT_BYTES):
            try:
                size -= self.modules.popitem(last=False)[1].size
            except KeyError:
                break

    def key_of(self, file: tuple[object, ...]) -> str | None:
        return self.files.get(file)

    def remember(self, file: tuple[object, ...], key: str) -> None:
        self.files[file] = key
        while len(self.files) > 4 * _KEPT:
            try:
                self.files.popitem(last=False)
            except KeyError:
                break


_memory = _ModuleMemory()


def clear_memory() -> None:
    """Forget the modules kept in memory; those in use stay valid."""
    global _memory
    _memory = _ModuleMemory()


def load(
    source: Source,
    *,
    cache: bool = True,
    mode: CompileMode = PLAIN,
    on_compile: OnCompile | None = None,
    bounds: CompileBounds | None = None,
) -> WasmtimeModule:
    """Return the compiled module of a file (a path) or of bytes, in binary or text form, for this compile mode.

    With `cache`, an earlier compilation of the same content by the same engine is taken from memory or from disk, and a
    new one is kept.

    Raises:
        ModuleError: The content is not a module that can run here.
        OSError: The file cannot be read.
        ConfigError: The engine is not installed, or does not load.
    """
    owner = engine(mode)
    mode = owner.mode
    if isinstance(source, (bytes, bytearray, memoryview)):
        code = bytes(source)
        if not cache:
            return compile_wasm(code, mode=mode, on_compile=on_compile, bounds=bounds)
        key = disk.key(code, owner.identity)
        found = _find(key, owner, io.BytesIO(code))
        return found or _found_or_made(key, owner, code, "guest", on_compile, bounds)[1]
    path = os.fspath(source)
    label = printable(os.path.basename(path))
    with open(path, "rb") as file:
        about = os.fstat(file.fileno())
        origin = os.path.abspath(path), about
        if about.st_size > _SMALL:
            from wasihost.engines.wasmtime.compiling import check_size

            check_size(about.st_size, label)
        if not cache:
            made = compile_wasm(file.read(), label, mode, on_compile, bounds)
            made.origin = origin
            return made
        identity = (
            owner.identity,
            path,
            about.st_dev,
            about.st_ino,
            about.st_size,
            about.st_mtime_ns,
            about.st_ctime_ns,
        )
        known = _memory.key_of(identity) or file_keys.lookup(about, owner.identity)
        key = known or disk.key(file, owner.identity)
        module = _find(key, owner, file)
        if module is None:
            file.seek(0)
            key, module = _found_or_made(key, owner, file.read(), label, on_compile, bounds)
    if key != known:
        file_keys.record(about, owner.identity, key)
    _memory.remember(identity, key)
    module.origin = origin
    return module


def _here(key: str, owner: WasmtimeEngine) -> str:
    """Return the key of a module in memory, which is for one engine. On disk, it serves engines of any stack size."""
    return f"{key} {owner.mode.stack}"


def _find(key: str, owner: WasmtimeEngine, content: BinaryIO) -> WasmtimeModule | None:
    """Return a module that was compiled earlier, by this process or another; or None."""
    module = _memory.get(_here(key, owner))
    if module is None and (ptr := disk.fetch(key, owner)):
        module = WasmtimeModule(owner, ptr, outline(_binary(content)))
        _memory.put(_here(key, owner), module)
    return module


def _found_or_made(
    key: str,
    owner: WasmtimeEngine,
    code: bytes,
    label: str,
    on_compile: OnCompile | None,
    bounds: CompileBounds | None,
) -> tuple[str, WasmtimeModule]:
    """Return key and module: one compiled earlier, one that another thread is compiling, or one compiled here."""

    def find() -> tuple[str, WasmtimeModule] | None:
        found = _find(key, owner, io.BytesIO(code))
        return None if found is None else (key, found)

    from wasihost.engines.wasmtime.compile_lock import once

    return once(key, find, lambda: _make(code, label, owner.mode, on_compile, bounds))


def _make(
    code: bytes, label: str, mode: CompileMode, on_compile: OnCompile | None, bounds: CompileBounds | None
) -> tuple[str, WasmtimeModule]:
    """Compile and store. The key is computed from the bytes that are compiled, not from the file."""
    module = compile_wasm(code, label, mode, on_compile, bounds)
    key = disk.key(code, module.engine.identity)
    disk.store(key, module.ptr)
    _memory.put(_here(key, module.engine), module)
    return key, module
