"""The engines of this process: their settings, and what they promise.

One for each way that guests are compiled. A guest that can be interrupted while it computes looks at a counter in every
loop and function, which costs a tenth of an interpreter's time; one whose work is counted costs more. So the plain one
is taken wherever neither is asked for.

Promise to `memory.py`: a 32-bit linear memory never moves. The engine reserves all 4 GiB that one can ever have, and is
told that memories may not move, so growing only makes more of the reserved pages usable and a view taken once stays
valid.

Fork: the compiler's threads do not live on in a forked child, where waiting for them would hang. The child gets an
engine of its own that compiles on the calling thread; modules compiled before the fork keep theirs and still run.
"""

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.config.limits import STACK
from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime import signals, tracing
from wasihost.engines.wasmtime.ffi import c, has, new_functype
from wasihost.engines.wasmtime.library import load
from wasihost.engines.wasmtime.stack import granted

_RESERVED = 1 << 32  # all that 32 bits can address
SETTINGS = "core; 4 GiB reserved, memories do not move"  # part of the key of compiled modules: change both together


PLAIN = CompileMode()


def compile_mode(interruptible: bool, fuel: bool, stack: int | None, features: str) -> CompileMode:
    """The mode for a guest that the calling thread will run; `stack` is in bytes, None for all that the thread has."""
    return CompileMode(interruptible, fuel, granted(stack, interruptible or fuel), features)


def new_config(mode: CompileMode, *, parallel: bool) -> int:
    """A new `wasm_config_t *`, for one engine, which takes it. That ends the process where features do not go
    together: `wasihost.config.features` knows which."""
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
        if "-reference-types" in mode.features and has(_COMPONENTS):  # which need them, and are not used here
            getattr(c, _COMPONENTS)(config, False)
    if not has("wasmtime_trap_new_code"):  # wheels before 34 end the process when asked for the code of a wait's trap
        c.wasmtime_config_wasm_threads_set(config, False)
    return config


def feature_setter(name: str) -> str:
    """The function that switches a WebAssembly feature."""
    return f"wasmtime_config_wasm_{name.replace('-', '_')}_set"


_COMPONENTS = "wasmtime_config_wasm_component_model_async_set"


class WasmtimeEngine:
    """An engine of the C library, kept as long as a module or store needs it, and never freed."""

    __slots__ = ("_functypes", "identity", "mode", "ptr")

    def __init__(self, mode: CompileMode, *, parallel: bool) -> None:
        self.ptr: int = c.wasm_engine_new_with_config(new_config(mode, parallel=parallel))
        self.mode: CompileMode = mode
        self.identity: str = f"{load().identity}; {SETTINGS}; {mode[:2]}" + (mode.features and f"; {mode.features}")
        self._functypes: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}

    def functype(self, params: tuple[str, ...], results: tuple[str, ...]) -> int:
        """The `wasm_functype_t *` of a type, made once."""
        key = params, results
        if key not in self._functypes:
            self._functypes[key] = new_functype(params, results)
        return self._functypes[key]


_lock = threading.Lock()
_engines: dict[CompileMode, WasmtimeEngine] = {}
_forked = False


def engine(mode: CompileMode = PLAIN) -> WasmtimeEngine:
    """The engine of this mode, started when it is first asked for in this process."""
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
    """Start those that the first run may start."""
    for interruptible in (False, True):
        engine(CompileMode(interruptible))


@in_forked_child
def _after_fork() -> None:
    global _forked, _lock
    _engines.clear()
    _forked, _lock = True, threading.Lock()
