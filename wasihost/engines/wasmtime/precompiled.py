"""Modules that are compiled ahead of time: as code in files of the user's, and into the cache.

Rules of this file: compiled code runs as it is, so whoever calls `load_code` has made sure that it may. The engine
checks that code and process have the same version and settings, and that this processor has the features it needs; it
cannot check that the code came from a compiler.
"""

from __future__ import annotations

import ctypes
import os
import sys

from wasihost.common import auditing
from wasihost.common.cache_folder import folder, private_folder
from wasihost.engines.values import CompileMode, OnCompile
from wasihost.engines.wasmtime import cache as disk
from wasihost.engines.wasmtime.engine import SETTINGS, engine
from wasihost.engines.wasmtime.ffi import Vec, c, take_error
from wasihost.engines.wasmtime.library import load, machine
from wasihost.engines.wasmtime.module import WasmtimeModule, assemble, compile_wasm
from wasihost.engines.wasmtime.outline import outline
from wasihost.errors import ConfigError, ModuleError

_MAGIC = b"\0asm"
_OTHER_PROCESSOR = ("incompatible with native host", "not available on the host", "not compatible with the native host")


def code_kind() -> str:
    """Return which engine and machine compiled code is for."""
    return f"wasmtime {load().version} on {sys.platform} {machine()}; {SETTINGS}"


def library_path() -> str:
    """Return the path of the C library, which lies in a folder named by system and machine."""
    return load().path


def precompile(
    code: bytes, label: str, mode: CompileMode, *, on_compile: OnCompile | None = None
) -> tuple[bytes, bytes]:
    """Compile a module in binary or text form. Returns it in binary form, and the compiled code."""
    if not code.startswith(_MAGIC):
        code = assemble(code, label)
    module = compile_wasm(code, label, mode, on_compile)
    artifact = Vec()
    if error := c.wasmtime_module_serialize(module.ptr, ctypes.byref(artifact)):
        raise ModuleError(f"{label}: {take_error(error)}")
    try:
        return code, artifact.text()
    finally:
        c.wasm_byte_vec_delete(ctypes.byref(artifact))


def load_code(path: str, module: str, mode: CompileMode, label: str) -> WasmtimeModule:
    """Return the module of a file with compiled code; `module` is the path of its binary form."""
    owner, ptr = engine(mode), ctypes.c_void_p()
    auditing.cached("load", path)
    with open(module, "rb") as file:
        about = os.fstat(file.fileno())
        if error := c.wasmtime_module_deserialize_file(owner.ptr, os.fsencode(path), ctypes.byref(ptr)):
            text = " ".join(take_error(error).split())
            if any(words in text for words in _OTHER_PROCESSOR):
                raise ModuleError(
                    f"{label}: compiled for a processor with other features ({text}): compile it on this machine, or "
                    "with --cpu baseline"
                )
            raise ModuleError(f"{label}: the engine refuses this compiled code ({text}): compile it again")
        assert ptr.value
        made = WasmtimeModule(owner, ptr.value, outline(file))
    made.origin = os.path.abspath(module), about
    return made


def fill_cache(
    code: bytes, label: str, mode: CompileMode, *, again: bool, on_compile: OnCompile | None = None
) -> tuple[str, int, bool]:
    """Compile a module into the cache. Returns path and bytes of its entry, and whether it was compiled now."""
    place = _usable_folder()
    owner = engine(mode)
    name = disk.key(code, owner.identity)
    path = os.path.join(place, f"{name}{disk.SUFFIX}")
    kept = None if again else disk.fetch(name, owner)
    if kept is None:
        module = compile_wasm(code, label, mode, on_compile)
        disk.store(name, module.ptr)
    else:
        c.wasmtime_module_delete(kept)
    try:
        return path, os.stat(path).st_size, kept is None
    except OSError as error:
        raise ConfigError(f"{label}: cannot be kept in {place}: is the disk full?") from error


def _usable_folder() -> str:
    where = folder()
    if where is None:
        raise ConfigError("there is no folder for compiled modules: set WASIHOST_CACHE_DIR, or HOME")
    try:
        place = private_folder(make=True)
    except OSError as error:
        raise ConfigError(f"compiled modules cannot be kept in {where}: {error.strerror}") from error
    if place is None:
        raise ConfigError(
            f"compiled modules cannot be kept in {where}: it has to be a folder that belongs to this user, and that "
            "no other user may write to"
        )
    return place
