"""The one engine of this process: its settings, and what they promise.

Promise to `memory.py`: a 32-bit linear memory never moves. The engine reserves all 4 GiB that one can ever have, and is
told that memories may not move, so growing only makes more of the reserved pages usable and a view taken once stays
valid.

Fork: the compiler's threads do not live on in a forked child, where waiting for them would hang. The child gets an
engine of its own that compiles on the calling thread; modules compiled before the fork keep theirs and still run.

Signals: on Linux a guest's trap arrives as a signal that the engine's handler must see first. `faulthandler.enable()`
after the engine has started puts another handler before it, and the next trap would kill the process.
"""

import os
import sys
import threading

from wasihost.engines.wasmtime.ffi import c, has, new_functype
from wasihost.engines.wasmtime.library import load
from wasihost.errors import ConfigError

_RESERVED = 1 << 32  # all that 32 bits can address
SETTINGS = "core; 4 GiB reserved, memories do not move"  # part of the key of compiled modules: change both together


class Engine:
    """An engine of the C library, kept as long as a module or store needs it, and never freed: one per process."""

    __slots__ = ("_functypes", "identity", "ptr")

    def __init__(self, *, parallel: bool) -> None:
        config = c.wasm_config_new()
        if has("wasmtime_config_memory_reservation_set"):
            c.wasmtime_config_memory_reservation_set(config, _RESERVED)
        else:
            c.wasmtime_config_static_memory_maximum_size_set(config, _RESERVED)
        if has("wasmtime_config_memory_may_move_set"):
            c.wasmtime_config_memory_may_move_set(config, False)
        c.wasmtime_config_parallel_compilation_set(config, parallel)
        self.ptr: int = c.wasm_engine_new_with_config(config)
        self.identity = f"{load().identity}; {SETTINGS}"
        self._functypes: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}

    def functype(self, params: tuple[str, ...], results: tuple[str, ...]) -> int:
        """The `wasm_functype_t *` of a type, made once."""
        key = params, results
        if key not in self._functypes:
            self._functypes[key] = new_functype(params, results)
        return self._functypes[key]


_lock = threading.Lock()
_engine: Engine | None = None
_forked = False
_watched = False  # faulthandler was on before the first engine started, or cannot matter here


def _faulthandler_on() -> bool:
    module = sys.modules.get("faulthandler")
    return module is not None and bool(module.is_enabled())


def engine() -> Engine:
    """The engine, started at the first call in this process."""
    global _engine, _watched
    if _engine is not None:
        return _engine
    with _lock:
        if _engine is None:
            if not _forked:  # in a child the handlers are those of the parent
                _watched = sys.platform in ("darwin", "win32") or _faulthandler_on()
            _engine = Engine(parallel=not _forked)
    return _engine


def check_signals() -> None:
    """ConfigError where a trap of the guest would kill the process (see the head of this file)."""
    if not _watched and _faulthandler_on():
        raise ConfigError(
            "faulthandler was enabled after the wasm engine had started: a trap of the guest would kill this process. "
            "Call faulthandler.enable() before the first guest is loaded, or faulthandler.disable() before this run."
        )


def _after_fork() -> None:
    global _engine, _forked, _lock
    _engine, _forked, _lock = None, True, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
