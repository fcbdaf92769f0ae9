"""Tells the extension where the engine's functions are, and what its door needs of this package; once a process."""

import ctypes

from wasihost.common import forking
from wasihost.engines.exclusive import BUSY
from wasihost.engines.slots import pack_results
from wasihost.engines.wasmtime import signals
from wasihost.engines.wasmtime.deferred_signals import in_main_thread, signals_may_interrupt
from wasihost.engines.wasmtime.epoch import epoch_thread
from wasihost.engines.wasmtime.instance import CLOSED
from wasihost.engines.wasmtime.library import load
from wasihost.engines.wasmtime.memory import EMPTY, no_memory
from wasihost.native import _native

_done = False


def connect() -> None:
    """Do it, if it has not been done. ConfigError where there is no engine."""
    global _done
    if not _done:
        library = load().with_gil
        addresses = [ctypes.cast(library[name], ctypes.c_void_p).value or 0 for name in _native.engine_functions()]
        _native.connect(
            tuple(addresses),
            (
                EMPTY,
                no_memory,
                BUSY,
                CLOSED,
                pack_results,
                in_main_thread,
                signals_may_interrupt,
                epoch_thread.enter,
                epoch_thread.running,
                signals.to_front,
                signals.put_back,
                forking.inside_engine,
                forking.forking_thread,
                forking.wait_for_fork,
            ),
        )
        _done = True
