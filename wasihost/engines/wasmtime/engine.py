"""The engines of this process: their settings, and what other modules may rely on.

There is one engine per way to compile guests. A guest that can be interrupted while it computes checks a counter in
each loop and function, which costs an interpreter a tenth of its time; counting fuel costs more. So the plain engine is
used unless one of these is needed.

Guarantee to `memory`: a 32-bit linear memory never moves. The engine reserves all 4 GiB that a memory can ever have,
and is configured not to move memories. Growing only makes more of the reserved pages usable: a view stays valid.

Fork: the compiler's threads do not exist in a forked child, and waiting for them would hang. So the child starts
engines of its own, which compile on the calling thread. Modules compiled before the fork keep their engine and still
run.
"""

import sys

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.config.limits import STACK
from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime import signals, tracing
from wasihost.engines.wasmtime.ffi import c, has, new_functype, take_error
from wasihost.engines.wasmtime.library import load, machine
from wasihost.engines.wasmtime.stack import granted
from wasihost.errors import ConfigError

_RESERVED = 1 << 32  # bytes: all that 32 bits can address
SETTINGS = "core; 4 GiB reserved, memories do not move"  # part of the key of compiled modules: change both together


PLAIN = CompileMode()


def compile_mode(interruptible: bool, fuel: bool, stack: int | None, features: str) -> CompileMode:
    """Return the mode for a guest that the calling thread will run.

    `stack` is in bytes; None is as much as the thread has.
    """
    return CompileMode(interruptible, fuel, granted(stack, interruptible or fuel), features)


def new_config(mode: CompileMode, *, parallel: bool) -> int:
    """Return a new `wasm_config_t *` for one engine, which takes ownership.

    That engine aborts the process if features do not fit together: `wasihost.config.features` must have checked them.
    """
    config: int = c.wasm_config_new()
    if has("wasmtime_config_memory_reservation_set"):
        c.wasmtime_config_memory_reservation_set(config, _RESERVED)
    else:
        c.wasmtime_config_static_memory_maximum_size_set(config, _RESERVED)
    if has("wasmtime_config_memory_may_move_set"):
        c.wasmtime_config_memory_may_move_set(config, False)
    c.wasmtime_config_parallel_compilation_set(config, parallel)
    c.wasmtime_config_epoch_interruption_set(config, mode.interruptible)
    c.wasmtime_config_consume_fuel_set(config, mode.fuel)
    if has("wasmtime_config_async_stack_size_set"):  # not used here, but may not be smaller
        c.wasmtime_config_async_stack_size_set(config, mode.stack + (1 << 20))
    c.wasmtime_config_max_wasm_stack_set(config, mode.stack)
    if mode.features:
        for item in mode.features.split(","):
            getattr(c, feature_setter(item[1:]))(config, item[0] == "+")
        if "-reference-types" in mode.features and has(_COMPONENTS):  # components need them, and are not used here
            getattr(c, _COMPONENTS)(config, False)
    if mode.baseline:
        here = sys.platform, machine()
        if here not in _TARGETS:
            raise ConfigError(f"code for every processor of a kind cannot be made for {' on '.join(here)}")
        if error := c.wasmtime_config_target_set(config, _TARGETS[here]):
            raise ConfigError(take_error(error))
    if not has("wasmtime_trap_new_code"):  # wheels before 34 abort when asked for the code of an atomic wait's trap
        c.wasmtime_config_wasm_threads_set(config, False)
    return config


_TARGETS = {
    ("linux", "x86_64"): b"x86_64-unknown-linux-gnu",
    ("linux", "aarch64"): b"aarch64-unknown-linux-gnu",
    ("darwin", "x86_64"): b"x86_64-apple-darwin",
    ("darwin", "aarch64"): b"aarch64-apple-darwin",
}
"""What the library of a wheel is built for, by system and machine. An engine whose target is named uses no features
that only some processors have."""


def feature_setter(name: str) -> str:
    """Return the name of the C function that switches a WebAssembly feature."""
    return f"wasmtime_config_wasm_{name.replace('-', '_')}_set"


_COMPONENTS = "wasmtime_config_wasm_component_model_async_set"


class WasmtimeEngine:
    """An engine of the C library. It is never freed."""

    __slots__ = ("_functypes", "identity", "mode", "ptr")

    def __init__(self, mode: CompileMode, *, parallel: bool) -> None:
        self.ptr: int = c.wasm_engine_new_with_config(new_config(mode, parallel=parallel))
        self.mode: CompileMode = mode
        self.identity: str = f"{load().identity}; {SETTINGS}; {mode[:2]}" + (mode.features and f"; {mode.features}")
        self._functypes: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}

    def functype(self, params: tuple[str, ...], results: tuple[str, ...]) -> int:
        """Return the `wasm_functype_t *` of a type; each is made once."""
        key = params, results
        if key not in self._functypes:
            self._functypes[key] = new_functype(params, results)
        return self._functypes[key]


_lock = threading.Lock()
_engines: dict[CompileMode, WasmtimeEngine] = {}
_forked = False


def engine(mode: CompileMode = PLAIN) -> WasmtimeEngine:
    """Return this process's engine of this mode. It is started at the first call."""
    if not mode.stack:
        mode = mode._replace(stack=granted(STACK, mode.slower))
    found = _engines.get(mode)
    if found is None:
        with _lock:
            found = _engines.get(mode)
            if found is None:
                found = _engines[mode] = WasmtimeEngine(mode, parallel=not _forked)
                signals.engine_started()
                tracing.notice()
    return found


def start_engines() -> None:
    """Start the engines that a first run may need."""
    for interruptible in (False, True):
        engine(CompileMode(interruptible))


@in_forked_child
def _after_fork() -> None:
    global _forked, _lock
    _engines.clear()
    _forked, _lock = True, threading.Lock()
