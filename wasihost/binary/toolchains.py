"""Which other host a module was made for, recognized by its imports.

Rules of this file: only clear evidence counts: an import from `env` or `go` alone is not enough. Names in, a sentence
out, so that the report of `inspect` and the error of a run say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple


class MadeFor(NamedTuple):
    """The host that a module's imports belong to, and what to do about it."""

    host: str
    advice: str


_WASI: Final = "build it for WASI (wasm32-wasip1)"
_BINDGEN: Final = MadeFor("wasm-bindgen's JavaScript host", f"{_WASI}, without wasm-bindgen")
_GO: Final = MadeFor("Go's JavaScript host", "build it with GOOS=wasip1 GOARCH=wasm, or TinyGo's -target=wasip1")
_EMSCRIPTEN: Final = MadeFor("Emscripten's JavaScript host", "`emcc -sSTANDALONE_WASM` builds for WASI")
_NAPI: Final = MadeFor("Node.js and its Node-API", "it is an addon of Node's: build the program itself for WASI")
_DYNAMIC: Final = MadeFor("a dynamic linker", "it is a shared library: link it statically")
_THREADS: Final = MadeFor("wasi-threads", "there are no threads here: build it for wasm32-wasip1")
_PREVIEW2: Final = MadeFor("WASI preview2", "build it for wasm32-wasip1")
_WASIX: Final = MadeFor("WASIX", f"only Wasmer has it: {_WASI}")

_BINDGEN_NAMES: Final = re.compile(r"__wbindgen_\w+|__wbg_\w+")
_GO_NAMES: Final = re.compile(r"(runtime|syscall|syscall/js)\.\w+")
_NAPI_NAMES: Final = re.compile(r"(napi|node_api|emnapi|_emnapi)_\w+")
_EMSCRIPTEN_NAMES: Final = re.compile(
    r"_?emscripten_\w+|_emval_\w+|_embind_\w+|invoke_[a-z]+|__syscall_\w+|__asyncjs__\w+|_\w+_js|proxy_posix_\w+"
)
_MINIFIED: Final = re.compile(r"[A-Za-z_$]{1,2}")


def made_for(module: str, names: Sequence[str]) -> MadeFor | None:
    """The host that provides `names` in import module `module`; None if it is not recognized."""
    if module.startswith(("__wbindgen_", "__wbg_")) or _any(_BINDGEN_NAMES, names):
        return _BINDGEN
    if module in ("go", "gojs", "env") and _any(_GO_NAMES, names):
        return _GO
    if module in ("env", "napi", "emnapi") and _any(_NAPI_NAMES, names):
        return _NAPI
    if module in ("GOT.mem", "GOT.func") or (module == "env" and "__memory_base" in names):
        return _DYNAMIC
    if module == "env" and _any(_EMSCRIPTEN_NAMES, names):
        return _EMSCRIPTEN
    if module == "a" and "a" in names and all(_MINIFIED.fullmatch(name) for name in names):  # minified by `emcc -O3`
        return _EMSCRIPTEN
    if module == "wasi" and "thread-spawn" in names:
        return _THREADS
    if module.startswith("wasi:"):
        return _PREVIEW2
    return _WASIX if module.startswith("wasix_") else None


def _any(pattern: re.Pattern[str], names: Iterable[str]) -> bool:
    return any(pattern.fullmatch(name) for name in names)
