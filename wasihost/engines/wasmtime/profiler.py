"""Samples of a guest's call stack, taken by the engine's guest profiler.

A thread increments the engine's epoch at each interval, so the guest is called back and its `CancelCheck` runs, in
which `sample` may be called; also in a function of the host. Stacks are the indices of functions.

Rules of this file: the profiler makes every name of a module readable, without limit, so the module must be compiled
with indices as names (`binary.function_names`). It also keeps whole stacks, however deep, until it is finished: `take`
is to be called often, and it cuts them.
"""

from __future__ import annotations

import ctypes
import json
import os
import re

from wasihost.common.threads import start_thread
from wasihost.common.unpatched import threading, time
from wasihost.engines.values import CUT
from wasihost.engines.wasmtime.ffi import Vec, array, c, take_error
from wasihost.engines.wasmtime.library import load
from wasihost.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wasihost.engines.wasmtime.instance import WasmtimeInstance
    from wasihost.engines.wasmtime.module import WasmtimeModule

_ENDS = 64
"""How many frames of each end of a stack are kept."""
_GRACE = 0.1
"""Seconds without a guest after which the thread ends: Python warns of forks beside threads."""
_DECLARED = re.compile(r"\b_wasmtime_guestprofiler_new\.argtypes = \[(.*)\]")


class StackProfiler:
    """Takes samples of one instance's stack. `start` and `stop` surround the time in which the guest runs.

    `interval` is in ns, and may be changed.
    """

    def __init__(self, instance: WasmtimeInstance, interval: int) -> None:
        self.interval = interval
        self.readable: bool = True
        self._instance = instance
        self._delete = c.wasmtime_guestprofiler_delete  # at exit, `c` may be gone before the last profiler
        self._sample = c.wasmtime_guestprofiler_sample
        _takes_engine()
        self._ptr = 0  # made for the first sample: that lists all functions of the module
        self._engine: int = instance.module.engine.ptr
        self._increment = c.wasmtime_engine_increment_epoch
        self._on = self._closed = False
        self._gate = threading.Lock()  # open: the thread is to look again
        self._gate.acquire()
        self._thread: dict[str, object] = {}  # what stands for the thread, if there is one

    # -- when ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """From now on have the guest called back at each interval."""
        self._on = True
        self._wake()
        if not self._thread:
            start_thread("wasihost-profile", self._tick)

    def stop(self) -> None:
        """Have it called back no longer."""
        self._on = False

    def _wake(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:  # it is open already
            pass

    def _tick(self) -> None:
        """The thread. Two may begin, and the second one ends at once."""
        this = object()
        while self._on and not self._closed and self._thread.setdefault("one", this) is this:
            try:
                while self._is_awaited():
                    if self._on:
                        time.sleep(self.interval / 1_000_000_000)
                        self._increment(self._engine)
            finally:
                self._thread.pop("one", None)
            # Look once more: a guest that came just now saw this thread, and started none.

    def _is_awaited(self) -> bool:
        """Whether there is a guest to call back, or one has come within the time of grace."""
        return not self._closed and (self._on or self._gate.acquire(timeout=_GRACE))

    # -- what ------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Take a sample. Called by the guest's thread, in a `CancelCheck` or in a function of the host."""
        store = self._instance.memory.store
        assert store
        if not self._ptr:
            self._ptr = _new(self._instance.module, self.interval)
        self._sample(self._ptr, store.ptr, 0)

    def take(self) -> list[tuple[int, ...]]:
        """Return the stacks of the samples since the last call, in their order: indices of functions, outermost first.

        Of long ones there are both ends, with `CUT` between them. A stack that is not known is empty.
        """
        found = Vec()
        ptr, self._ptr = self._ptr, 0
        if not ptr:
            return []
        error = c.wasmtime_guestprofiler_finish(ptr, ctypes.byref(found))
        if error:
            take_error(error)
        text = found.text()
        if not error:
            c.wasm_byte_vec_delete(ctypes.byref(found))
        try:
            return _stacks(json.loads(text)) if text else []
        except (LookupError, TypeError, ValueError):
            self.readable = False
            return []

    def close(self) -> None:
        """Free what the engine has of it, and end the thread."""
        self._closed, self._on = True, False
        self._wake()
        until = time.monotonic() + 0.05
        while self._thread and time.monotonic() < until:
            time.sleep(0.0005)
        self._free()

    def _free(self) -> None:
        ptr, self._ptr = self._ptr, 0
        if ptr:
            self._delete(ptr)

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self._closed = True
            self._wake()
            self._free()


def _new(module: WasmtimeModule, interval: int) -> int:
    """A new `wasmtime_guestprofiler_t *`. Newer engines take themselves as the first argument."""
    label = ctypes.create_string_buffer(b"guest")
    name = Vec(5, ctypes.addressof(label))
    modules = array(ctypes.c_void_p, 2)(ctypes.addressof(name), module.ptr)
    first = (module.engine.ptr,) if _takes_engine() else ()
    function = load().without_gil["wasmtime_guestprofiler_new"]
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p] * (len(first) + 1) + [ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t]
    made: int = function(*first, ctypes.byref(name), interval, modules, 1)
    return made


_known: dict[str, bool] = {}


def _takes_engine() -> bool:
    """Whether this version's `wasmtime_guestprofiler_new` takes the engine. The wheel's own declaration says it.

    ConfigError for a version that takes anything else.
    """
    path = os.path.join(os.path.dirname(os.path.dirname(load().path)), "_bindings.py")
    if path not in _known:
        try:
            with open(path, encoding="utf-8") as file:
                declared = _DECLARED.search(file.read())
        except (OSError, UnicodeError):
            declared = None
        kinds = declared[1].split(", ") if declared else []
        if len(kinds) not in (4, 5) or (len(kinds) == 5) != ("wasm_engine_t" in kinds[0]):
            raise ConfigError(
                f"wasmtime {load().version} has no guest profiler that is known here: profile cannot work"
            )
        _known[path] = len(kinds) == 5
    return _known[path]


def _stacks(profile: Any) -> list[tuple[int, ...]]:
    """The stack of each sample of a profile that the engine has written."""
    thread = profile["threads"][0]
    shared = profile.get("shared", {})  # newer forms of the format have the tables there

    def table(name: str) -> Any:
        return thread[name] if name in thread else shared[name]

    strings = table("stringArray")
    functions = [_index(strings[name]) for name in table("funcTable")["name"]]
    frames = [functions[function] for function in table("frameTable")["func"]]
    stacks = table("stackTable")
    of = [frames[frame] for frame in stacks["frame"]]
    prefixes: list[int | None] = (
        stacks["prefix"]
        if "prefix" in stacks
        else [at - offset if offset else None for at, offset in enumerate(stacks["prefixOffset"])]
    )
    depths: list[int] = []
    begins: list[int] = []  # of each stack, its frame at depth `_ENDS`, or itself
    for at, prefix in enumerate(prefixes):
        depth = 1 if prefix is None else depths[prefix] + 1
        depths.append(depth)
        begins.append(at if depth <= _ENDS or prefix is None else begins[prefix])

    def up(at: int | None, most: int) -> list[int]:
        found: list[int] = []
        while at is not None and len(found) < most:
            found.append(of[at])
            at = prefixes[at]
        return found[::-1]

    made: dict[int, tuple[int, ...]] = {}
    for at in set(thread["samples"]["stack"]) - {None}:
        whole = depths[at] <= 2 * _ENDS
        made[at] = tuple(up(at, 2 * _ENDS) if whole else [*up(begins[at], _ENDS), CUT, *up(at, _ENDS)])
    return [made.get(at, ()) for at in thread["samples"]["stack"]]


def _index(name: str) -> int:
    return int(name) if name.isdigit() else CUT
