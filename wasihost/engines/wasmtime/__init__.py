"""The wasmtime engine: the only package that knows it.

Two doors. The functions below are `wasihost.engines.base.Engine`: they drive the C library inside the wasmtime wheel
through declarations of our own, without `import wasmtime`. `linker.define` puts a State into a `wasmtime.Linker` of the
user's. A function is loaded with its module when it is first used, so that a cold start imports only what it needs.

    library           finds and loads the C library
    ffi               its functions, declared on first use
    engine            the engines of this process, and their settings
    features          features of WebAssembly: what can be switched, what a module lacks
    module            from a file or bytes to a compiled module
    module_limits     what a module may have to be compiled within this process
    compiling         what goes with compiling
    compile_process   compiling in a process of its own
    compile_lock      one compilation at a time for each key
    cache             compiled modules on disk
    file_keys         which content a file had when it was last read
    artifact          a compiled module for a process that may not write to the cache
    precompiled       compiled modules as files of the user's, and into the cache
    outline           what the heads of a module's sections say
    function_types    function types, read from a module's own sections
    loops             how many loops its functions have
    instance          our own door: an instance, its exports, and what it uses
    native_instance   its calls and its end, by the extension in C
    prepared          what the instances of a module share there
    connecting        what the extension has to know of the engine and of us
    python_instance   its calls and its end, where there is no extension
    bindings          linkers and callbacks there, used by one instance after another
    run               one run of a command
    linker            the second door: a `wasmtime.Linker` of the user's
    define_func       its slow binding, by wasmtime-py's own function
    trampolines       from a wasm import to a stub: the hot path of every call
    exported_globals  exported globals
    memory            views of a guest's memory
    memory_limits     how its limit is kept
    stack             how much of its thread's stack a guest may use
    nesting           guests within guests
    epoch             ends guests that compute
    traps             how a guest ended
    profiler          samples of a guest's stack
    signals           the engine's signal handlers come first while a guest runs
    deferred_signals  Python's are put off until what they raise can be caught
    tracing           debuggers and profilers while a guest runs
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from wasihost.engines.wasmtime.artifact import from_artifact, to_artifact
    from wasihost.engines.wasmtime.cache import LIMIT as CACHE_LIMIT
    from wasihost.engines.wasmtime.cache import clear as clear_cache
    from wasihost.engines.wasmtime.cache import entries as cache_entries
    from wasihost.engines.wasmtime.compiling import check_module
    from wasihost.engines.wasmtime.deferred_signals import signals_may_interrupt
    from wasihost.engines.wasmtime.engine import compile_mode, start_engines
    from wasihost.engines.wasmtime.epoch import deadline_changed, interrupt, stop_threads
    from wasihost.engines.wasmtime.features import canonical as canonical_features
    from wasihost.engines.wasmtime.ffi import load_library
    from wasihost.engines.wasmtime.module import assemble, load
    from wasihost.engines.wasmtime.precompiled import code_kind, fill_cache, library_path, load_code, precompile
    from wasihost.engines.wasmtime.profiler import StackProfiler as stack_profiler
    from wasihost.engines.wasmtime.run import execute, instantiate
    from wasihost.engines.wasmtime.traps import symbolizer

__all__ = [
    "CACHE_LIMIT",
    "LACKS",
    "NAME",
    "WHEN_ASKED",
    "WHEN_RUN",
    "assemble",
    "cache_entries",
    "canonical_features",
    "check_module",
    "clear_cache",
    "code_kind",
    "compile_mode",
    "deadline_changed",
    "execute",
    "fill_cache",
    "from_artifact",
    "instantiate",
    "interrupt",
    "library_path",
    "load",
    "load_code",
    "load_library",
    "precompile",
    "signals_may_interrupt",
    "stack_profiler",
    "start_engines",
    "stop_threads",
    "symbolizer",
    "to_artifact",
]

_WHERE: Final = {
    "CACHE_LIMIT": "cache.LIMIT",
    "assemble": "module.assemble",
    "cache_entries": "cache.entries",
    "canonical_features": "features.canonical",
    "check_module": "compiling.check_module",
    "clear_cache": "cache.clear",
    "code_kind": "precompiled.code_kind",
    "compile_mode": "engine.compile_mode",
    "deadline_changed": "epoch.deadline_changed",
    "execute": "run.execute",
    "fill_cache": "precompiled.fill_cache",
    "from_artifact": "artifact.from_artifact",
    "instantiate": "run.instantiate",
    "interrupt": "epoch.interrupt",
    "library_path": "precompiled.library_path",
    "load": "module.load",
    "load_code": "precompiled.load_code",
    "load_library": "ffi.load_library",
    "precompile": "precompiled.precompile",
    "signals_may_interrupt": "deferred_signals.signals_may_interrupt",
    "stack_profiler": "profiler.StackProfiler",
    "start_engines": "engine.start_engines",
    "stop_threads": "epoch.stop_threads",
    "symbolizer": "traps.symbolizer",
    "to_artifact": "artifact.to_artifact",
}

NAME: str = "wasmtime"
LACKS: dict[str, str] = {}
WHEN_RUN: tuple[str, ...] = tuple(
    f"{__name__}.{name}"
    for name in (
        "compile_lock",
        "compiling",
        "epoch",
        "exported_globals",
        "instance",
        "loops",
        "module",
        "module_limits",
        "run",
    )
)
"""Modules of this package that any run may import: `wasihost.guest.preloading` imports them before the first run."""
WHEN_ASKED: tuple[str, ...] = tuple(
    f"{__name__}.{name}" for name in ("artifact", "compile_process", "features", "linker", "precompiled", "profiler")
)
"""Those that few runs import."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(".")
    __import__(f"{__name__}.{module}")  # `import_module` is in a package that a start does without
    found = globals()[name] = getattr(sys.modules[f"{__name__}.{module}"], attribute)
    return found
