"""The second door: the imports of a State in a `wasmtime.Linker` that a user of wasmtime-py made.

    run = define(linker, state)
    instance = run.instantiate(store, module)
    code = run.start(store, instance)

`run.call(function, ...)` enters the guest by any export and raises what ended it: ExitError for `proc_exit`, a
handler's exception unchanged. wasmtime-py itself keeps the last exception of a host function in one place for the whole
process, where threads overwrite each other's; ours never go through it. A trap of the guest's own stays wasmtime-py's
Trap.

Rules of this door. The engine, the store and the memory are the user's, so the memory is looked up through the caller
when the guest first calls in a `run.call`, and again on every call unless it is proven not to move. The memory of a
guest that imports it cannot be looked up: it is the one that the State was made with, and `run.close` must be called at
the end. Enter the guest through `run.call` only, in one thread at a time per State; views of the memory are valid
during that call. A host function of the user's may call the guest again: directly, and then the engine's Trap says that
the guest was stopped; or by `run.call`, and then the reason is raised there. It may let the exception propagate, handle
it, or raise another one.

Two bindings with the same behaviour: unchecked callbacks, and wasmtime-py's public `Linker.define_func`, forty times
slower, for a library without the C function or if it is asked for. With the public one on old versions of wasmtime-py,
make and drop linkers in one thread only: their table of host functions has no lock.
"""

import ctypes
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from wasihost.common.forking import Locked
from wasihost.common.interrupts import FRAGILE
from wasihost.common.unpatched import threading
from wasihost.engines.wasmtime import deferred_signals, memory, signals, tracing
from wasihost.engines.wasmtime.define_func import STOPPED, Stopped, put_checked
from wasihost.engines.wasmtime.ffi import c, has, new_functype, without_stack
from wasihost.engines.wasmtime.trampolines import CALLER_CALLBACK, new_trap, trampoline
from wasihost.engines.wasmtime.trampolines import define as define_unchecked
from wasihost.errors import ConfigError, EndRun, ExitError, LinkError, TrapError

if TYPE_CHECKING:
    import wasmtime
    from typing_extensions import Buffer

    from wasihost.engines.base import HostState, Signature, Stub
    from wasihost.host.state import State  # which pyright does not see to be a HostState, for the slots of its guest

_P = ParamSpec("_P")
_R = TypeVar("_R")

_BINDING = "WASIHOST_BINDING"  # "define_func" asks for the public binding

# The callbacks that the engine holds, by the id it was given, until it drops them.
_alive: dict[int, object] = {}


def _drop(environment: int, alive: dict[int, object] = _alive) -> None:
    alive.pop(environment, None)  # at exit, the module may be empty before the last linker goes


_dropped = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_drop)
ctypes.pythonapi.Py_IncRef(
    ctypes.py_object(_dropped)
)  # permanently: a linker may be deleted after this module, at exit


class Run:
    """A State in a user's linker; `define` returns one."""

    def __init__(self, linker: "wasmtime.Linker", state: "HostState", put: "Callable[[wasmtime.Linker, Run], None]"):
        self._linker = weakref.ref(linker)  # which holds this
        self._put = put
        self._state = state
        self._given: Callable[[], Buffer] | None = None  # the State's own memory, while a guest runs
        self._thread = 0
        self.stale: bool = True  # the memory must be looked up (again)
        self.spare_trap: list[int] = [0]  # a trap for the next callback that has to stop the guest
        self.raised: list[BaseException] = []
        self._delete = c.wasm_trap_delete  # at exit, `c` may be gone before the last run

    def __del__(self) -> None:
        if self.spare_trap[0]:
            self._delete(self.spare_trap[0])

    def instantiate(self, store: "wasmtime.Store", module: "wasmtime.Module") -> "wasmtime.Instance":
        """Make an instance that uses this State, whichever State was defined in the linker last.

        Threads may do so with one linker at once, as they may not with `linker.instantiate`. Raises what `call` raises.
        """
        linker = self._linker()
        if linker is None:
            raise RuntimeError("the linker of this run is gone: keep it as long as instances are made")
        mine = _linkers[linker]
        with mine.lock:
            if mine.last != id(self):
                self._put(linker, self)
                mine.last = id(self)
            if not hasattr(linker, "instantiate_pre"):  # in old versions
                return self.call(linker.instantiate, store, module)
            ready = linker.instantiate_pre(module)
        return self.call(ready.instantiate, store)

    def start(self, store: "wasmtime.Store", instance: "wasmtime.Instance") -> int:
        """Run a command: call its `_start`, and return its exit status, 0 to 2**32-1.

        Guests in Go, and in C if they call `exit`, end by `proc_exit` even on success: `call` then raises ExitError,
        `start` returns 0. Raises LinkError if there is no `_start`, and otherwise what `call` raises.
        """
        try:
            start: Any = instance.exports(store)["_start"]
        except KeyError:
            raise LinkError("export _start: missing; the module is no command: call its exports by run.call") from None
        try:
            self.call(start, store)
        except ExitError as end:
            return end.code
        return 0

    def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return `function(*args, **kwargs)`, which may enter the guest.

        Host functions that the guest calls may call it again, by this method or directly.

        Raises:
            ExitError: The guest called `proc_exit`.
            TrapError: The guest broke the ABI (a pointer out of bounds).
            BaseException: What a handler or `function` raised, unchanged.
        """
        if self._given is not None:
            return self._call_again(function, *args, **kwargs)
        if tracing.watched():
            tracing.hide()
        ended_by: BaseException | None = None
        guest = self._state.guest
        self._given, self._thread = guest.memory, threading.get_ident()
        inside = False
        try:
            deferred_signals.hold(id(self))
            if signals.has_started():
                signals.look()
                inside = True
                signals.before_run()  # or the next trap goes to a faulthandler that was enabled after the engine
            self.raised.clear()  # from a guest that was entered without `call`
            if not self.spare_trap[0]:
                self.spare_trap[0] = new_trap()
            return function(*args, **kwargs)
        except BaseException as error:
            ended_by = error
        finally:
            guest.view, guest.memory = memory.EMPTY, self._given
            self._given, self.stale = None, True
            if inside:
                signals.after_run()
            deferred_signals.release(id(self))
        # Outside of the `except` block: raising in it would overwrite the cause or context that a handler set.
        try:
            raise self._end(ended_by, sys._getframe())
        finally:
            self.raised.clear()
            del ended_by  # its traceback holds this frame

    def _call_again(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """`call` by a host function of a guest that is running."""
        if self._thread != threading.get_ident():
            raise RuntimeError("this State has a guest running in another thread: one thread at a time")
        ended_by: BaseException | None = None
        guest = self._state.guest
        view, look = guest.view, guest.memory
        try:
            self.raised.clear()
            if not self.spare_trap[0]:
                self.spare_trap[0] = new_trap()
            return function(*args, **kwargs)
        except BaseException as error:
            ended_by = error
        finally:
            guest.view, guest.memory = view, look
            self.stale = True
        try:
            # If it leaves the host function, the outer call raises it again; see `_end`.
            self.raised[:] = (self._end(ended_by, sys._getframe()),)
            raise self.raised[0]
        finally:
            del ended_by

    FRAGILE.update((call.__code__, _call_again.__code__))

    def close(self) -> None:
        """Release the memory that the State was made with.

        Needed after `State(lambda: memory.get_buffer_ptr(store))`: the callable holds the store, whose imports hold the
        State, a cycle that Python's garbage collector cannot see.
        """
        self._state.guest.memory = bytearray

    def _end(self, ended_by: BaseException, entered: FrameType) -> BaseException:
        if self.raised and not self._is_own(ended_by, entered):
            reason = self.raised[0]
            if isinstance(reason, EndRun):
                return reason.reason
            if not isinstance(reason, self._state.faults):
                return reason
            fault = TrapError(str(reason), "guest fault")
            fault.__cause__ = reason
            return fault
        if isinstance(ended_by, Stopped):  # another thread's, from wasmtime-py's process-wide place
            return TrapError("the guest trapped; the end of another thread's guest hid the engine's report")
        return ended_by

    def _is_own(self, ended_by: BaseException, entered: FrameType) -> bool:
        """Whether the guest ended for another reason than `self.raised`: that stopped a call inside a host function,
        which handled it and continued.

        The engine's report of a trap says whether it was ours. An exception of Python's is a host function's if it was
        raised in a call that began in the frame `entered`; else it is another thread's.
        """
        if ended_by is self.raised[0] or isinstance(ended_by, Stopped):
            return False
        if type(ended_by).__module__.partition(".")[0] == "wasmtime":  # a Trap or a WasmtimeError
            text = str(ended_by)
            return STOPPED not in text and "python exception" not in text
        step = ended_by.__traceback__
        while step is not None and step.tb_next is not None:
            step = step.tb_next
        frame = step.tb_frame if step is not None else None
        while frame is not None and frame is not entered:
            frame = frame.f_back
        return frame is entered

    def see(self, look: Callable[[], tuple[int, int]]) -> None:
        """Set the State's view of the guest's memory. `look` returns base and size, and is valid for this call only."""
        self._check_entered()
        guest = self._state.guest
        guest.view = memory.view(*look())
        guest.memory = lambda: memory.view(*look())

    def see_given(self) -> None:
        """Use the memory that the State was made with, as the instance exports none. It may move with every call."""
        given = self._check_entered()
        guest = self._state.guest
        try:
            guest.view = memoryview(given()).cast("B")
        except ConfigError as error:
            raise LinkError(
                "export memory: missing; a WASI guest exports its linear memory under this name. If it imports the "
                "memory, give that to its State: State(lambda: memory.get_buffer_ptr(store))"
            ) from error
        guest.memory = given

    def _check_entered(self) -> "Callable[[], Buffer]":
        if self._given is None:
            raise RuntimeError("the guest called the host outside of `run.call`: enter it by run.call(function, ...)")
        return self._given

    def find(self, caller: int) -> None:
        """Find the memory of the calling instance. It may move whenever it grows: what is reserved for it is not known.

        The guest continues, so what was raised before has been handled.
        """
        self.raised.clear()
        if not self.spare_trap[0]:
            self.spare_trap[0] = new_trap()
        export = memory.export_of(caller)
        if export is None:
            self.see_given()
            return
        context = c.wasmtime_caller_context(caller)

        def look() -> tuple[int, int]:
            return c.wasmtime_memory_data(context, export.item), c.wasmtime_memory_data_size(context, export.item)

        self.see(look)


def _all(state: "HostState", unstable: bool) -> "Iterator[tuple[str, str, Signature, Stub]]":
    provided = state.imports()
    for module in [*provided, *(["wasi_unstable"] if unstable else [])]:
        for name, (signature, stub) in provided[module].items():
            yield module, name, signature, stub


class _Shared(Locked):
    """What we know about a user's linker."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[tuple[str, str]] = set()  # defined by this module
        self.last = 0  # the `id` of the Run that was defined last


_linkers: "weakref.WeakKeyDictionary[wasmtime.Linker, _Shared]" = weakref.WeakKeyDictionary()


def define(
    linker: "wasmtime.Linker", state: "State | HostState", *, binding: str | None = None, unstable: bool = False
) -> Run:
    """Define every import of `state` in `linker`. Make instances and enter them through the `Run` that is returned.

    Other States may be defined in the same linker later. An instance uses the State that was defined last when
    `linker.instantiate` made it, or the one whose `Run.instantiate` made it.

    Args:
        linker: A linker of wasmtime-py's.
        state: The State, one for each guest.
        binding: "unchecked" or "define_func" (slow). By default the environment variable `WASIHOST_BINDING` decides,
            then what the library can do.
        unstable: Define the older spec, `wasi_unstable`, too.

    Raises:
        LinkError: The linker has one of the names already (`linker.define_wasi()`).
        ValueError: `binding` is not one of the two.
    """
    wanted = binding or os.environ.get(_BINDING) or "unchecked"
    if wanted not in ("unchecked", "define_func"):
        raise ValueError(f"binding {wanted!r}: expected 'unchecked' or 'define_func'")
    checked = wanted == "define_func" or not has("wasmtime_linker_define_func_unchecked")
    if checked:
        import logging

        asked = wanted == "define_func"
        reason = "asked for" if asked else "this wasmtime has no wasmtime_linker_define_func_unchecked"
        level = logging.INFO if asked else logging.WARNING
        logging.getLogger("wasihost").log(level, "slow binding through Linker.define_func: %s", reason)
    tracing.notice()
    run = Run(linker, state, partial(_put_all, state, unstable, put_checked if checked else _put_unchecked))
    shared = _linkers.setdefault(linker, _Shared())
    with shared.lock:
        run._put(linker, run)
        shared.last = id(run)
    return run


_Put = Callable[["wasmtime.Linker", Run, str, str, "Signature", "Stub"], str | None]


def _put_all(state: "HostState", unstable: bool, put: _Put, linker: "wasmtime.Linker", run: Run) -> None:
    """Define each import in the linker, replacing another State's."""
    names, address = _linkers[linker].names, _address(linker)
    shadows = False
    try:
        for module, name, signature, stub in _all(state, unstable):
            problem = put(linker, run, module, name, signature, stub)
            if problem and (module, name) in names and not shadows:
                shadows = True  # the user has not allowed it for their own names: that stays so
                c.wasmtime_linker_allow_shadowing(address, True)
                problem = put(linker, run, module, name, signature, stub)
            if problem:
                raise _refused(module, name, problem)
            names.add((module, name))
    finally:
        if shadows:
            c.wasmtime_linker_allow_shadowing(address, False)


def _address(linker: "wasmtime.Linker") -> int:
    return ctypes.cast(linker.ptr(), ctypes.c_void_p).value or 0


def _put_unchecked(
    linker: "wasmtime.Linker", run: Run, module: str, name: str, signature: "Signature", stub: "Stub"
) -> str | None:
    callback = CALLER_CALLBACK(trampoline(signature, stub, run.raised, run.spare_trap, run))
    _alive[key := id(callback)] = callback
    functype = new_functype(signature.params, signature.results)
    problem = define_unchecked(_address(linker), module, name, functype, callback, key, _dropped)
    c.wasm_functype_delete(functype)
    return problem


def _refused(module: str, name: str, problem: str) -> LinkError:
    return LinkError(
        f"import {module}.{name}: {without_stack(problem)}; define a State before other WASI functions, "
        "or set linker.allow_shadowing = True"
    )
