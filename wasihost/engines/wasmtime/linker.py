"""The second door: the imports of a State in a `wasmtime.Linker` that a user of wasmtime-py made.

    run = define(linker, state)
    instance = linker.instantiate(store, module)
    run.call(instance.exports(store)["_start"], store)

`run.call` is where the run's end comes out: ExitError for `proc_exit`, a handler's exception as it is. wasmtime-py
itself keeps the last exception of a host function in one place for the whole process, where threads take each other's;
nothing of ours goes through it. A trap of the guest's own stays what wasmtime-py makes of it.

Rules of this door. The engine, the store and the memory are the user's, so the memory is looked up through the caller
when the guest first calls in a `run.call`, and again on every call where it cannot be proven to stay where it is. The
guest must be entered through `run.call`, one guest at a time per State; views of the memory end with it.

Two bindings with the same behaviour: unchecked callbacks, and wasmtime-py's public `Linker.define_func`, forty times
slower, for a library without the C function or when asked for. With the public one on old versions of wasmtime-py, make
and drop linkers in one thread only: their table of host functions has no lock.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from wasihost.engines.wasmtime import memory
from wasihost.engines.wasmtime.calls import EVERYWHERE, codec
from wasihost.engines.wasmtime.calls import define as define_unchecked
from wasihost.engines.wasmtime.ffi import Extern, c, has, new_functype, without_stack
from wasihost.engines.wasmtime.shield import shield
from wasihost.errors import LinkError, TrapError

if TYPE_CHECKING:
    import wasmtime

    from wasihost.engines.base import HostState, Signature, Stub

_P = ParamSpec("_P")
_R = TypeVar("_R")

# As calls.CALLBACK, but the caller is wanted.
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_ubyte, ctypes.c_size_t, ctypes.c_size_t)
_TRAP_TEXT = b"stopped by the host; run.call(...) raises the reason"
_MASKS = {"I": 0xFFFF_FFFF, "Q": 0xFFFF_FFFF_FFFF_FFFF}
_BINDING = "WASIHOST_BINDING"  # "define_func" asks for the public binding

# What the engine calls back, by the address it was given, until it says that it is done with it.
_alive: dict[int, object] = {}


def _drop(environment: int) -> None:
    _alive.pop(environment, None)


_dropped = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_drop)


class Stopped(Exception):
    """Raised inside wasmtime-py to stop a guest through the public binding; `Run.call` replaces it by the reason."""


class Run:
    """A State in a user's linker. `define` makes it."""

    def __init__(self, state: "HostState") -> None:
        self._state = state
        self._before = state.guest.memory
        self._entered = False
        self.loose = True  # the memory must be looked up (again)
        self.stop: int | None = None  # a trap for the next callback that has to stop the guest
        self.kept: list[BaseException] = []
        self._delete = c.wasm_trap_delete  # at exit, `c` may be gone before the last run

    def __del__(self) -> None:
        if self.stop is not None:
            self._delete(self.stop)

    def call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """`function(*args, **kwargs)`, which may enter the guest, and whose result is returned.

        Raises ExitError if the guest called `proc_exit`, what a handler raised as it is, TrapError if the guest broke
        the ABI (a pointer out of bounds), and otherwise what `function` raises.
        """
        if self._entered:
            raise RuntimeError("this State has a guest running already: one `run.call` at a time")
        raised: BaseException | None = None
        self._entered = True
        try:
            self.kept.clear()  # of a guest that was entered behind our back
            if self.stop is None:
                self.stop = c.wasmtime_trap_new(_TRAP_TEXT, len(_TRAP_TEXT))
            return function(*args, **kwargs)
        except BaseException as error:
            raised = error
        finally:
            guest = self._state.guest
            guest.view, guest.memory = memory.EMPTY, self._before
            self._entered, self.loose = False, True
        # Outside of the `except` block: raising in it would overwrite the cause or context that a handler set.
        try:
            raise self._end(raised)
        finally:
            self.kept.clear()
            del raised  # its traceback holds this frame

    def _end(self, raised: BaseException) -> BaseException:
        if self.kept:
            reason = self.kept[0]
            if not isinstance(reason, self._state.faults):
                return reason
            fault = TrapError(str(reason), "guest fault")
            fault.__cause__ = reason
            return fault
        if isinstance(raised, Stopped):  # another thread's, out of the process-wide slot
            return TrapError("the guest trapped; the end of another thread's guest hid the engine's report")
        return raised

    def see(self, look: Callable[[], tuple[int, int]]) -> None:
        """Show the guest's memory to the State; `look` gives its base and size and is good for this call only."""
        if not self._entered:
            raise RuntimeError("the guest called the host outside of `run.call`: enter it by run.call(function, ...)")
        base, size = look()
        guest = self._state.guest
        guest.view = memory.view(base, size)
        guest.memory = lambda: memory.view(*look())


def _bind(run: Run, caller: int) -> None:
    """Find the memory of the calling instance. If it is known to stay, the rest of the `run.call` need not look."""
    export = Extern()
    if not c.wasmtime_caller_export_get(caller, b"memory", 6, export.block) or export.kind != Extern.MEMORY:
        raise LinkError("export memory: missing; a WASI guest exports its linear memory under this name")
    context = c.wasmtime_caller_context(caller)

    def look() -> tuple[int, int]:
        return c.wasmtime_memory_data(context, export.item), c.wasmtime_memory_data_size(context, export.item)

    run.see(look)
    run.loose = not memory.stays(*look())


def _entry(run: Run, signature: "Signature", stub: "Stub") -> FunctionType:
    """As `calls.entry`, with the lookup of the memory before it."""
    get, put = codec(signature)
    space, kept = EVERYWHERE, run.kept

    if put is None:

        def enter(_environment: int, caller: int, slots: int) -> int | None:
            try:
                if run.loose:
                    _bind(run, caller)
                stub(*get(space, slots))
                return None
            except BaseException as reason:
                kept[:], stop, run.stop = (reason,), run.stop, None
                return stop or c.wasmtime_trap_new(_TRAP_TEXT, len(_TRAP_TEXT))

    else:

        def enter(_environment: int, caller: int, slots: int) -> int | None:
            try:
                if run.loose:
                    _bind(run, caller)
                put(space, slots, stub(*get(space, slots)))
                return None
            except BaseException as reason:
                kept[:], stop, run.stop = (reason,), run.stop, None
                return stop or c.wasmtime_trap_new(_TRAP_TEXT, len(_TRAP_TEXT))

    assert isinstance(enter, FunctionType)
    return shield(enter)


def _checked(run: Run, signature: "Signature", stub: "Stub") -> Callable[..., Any]:
    """The host function for `Linker.define_func`: takes the caller and signed numbers."""
    masks = [_MASKS.get(slot) for slot in signature.slots]

    def look_through(caller: "wasmtime.Caller") -> None:
        found: Any = caller.get("memory")
        if not hasattr(found, "data_ptr"):
            raise LinkError("export memory: missing; a WASI guest exports its linear memory under this name")
        run.see(lambda: (ctypes.addressof(found.data_ptr(caller).contents), found.data_len(caller)))

    def function(caller: "wasmtime.Caller", *numbers: int) -> Any:
        try:
            look_through(caller)
            return stub(*(n if mask is None else n & mask for n, mask in zip(numbers, masks, strict=True)))
        except BaseException as reason:
            run.kept.append(reason)
        raise Stopped(_TRAP_TEXT.decode())

    return function


def _all(state: "HostState", unstable: bool) -> "Iterator[tuple[str, str, Signature, Stub]]":
    provided = state.imports()
    for module in [*provided, *(["wasi_unstable"] if unstable else [])]:
        for name, (signature, stub) in provided[module].items():
            yield module, name, signature, stub


def define(linker: "wasmtime.Linker", state: "HostState", *, binding: str | None = None, unstable: bool = False) -> Run:
    """Put every import of `state` into `linker`; enter the guest through the `Run` that comes back.

    `binding` is "unchecked" or "define_func"; without it the environment variable `WASIHOST_BINDING` decides, then what
    the library can do. `unstable` also puts in the older spec, `wasi_unstable`. Raises LinkError if the linker has one
    of the names already (`linker.define_wasi()`).
    """
    run = Run(state)
    wanted = binding or os.environ.get(_BINDING) or "unchecked"
    if wanted not in ("unchecked", "define_func"):
        raise ValueError(f"binding {wanted!r}: expected 'unchecked' or 'define_func'")
    if wanted == "define_func" or not has("wasmtime_linker_define_func_unchecked"):
        import logging

        asked = wanted == "define_func"
        reason = "asked for" if asked else "this wasmtime has no wasmtime_linker_define_func_unchecked"
        level = logging.INFO if asked else logging.WARNING
        logging.getLogger("wasihost").log(level, "slow binding through Linker.define_func: %s", reason)
        _define_checked(linker, run, state, unstable)
    else:
        address = ctypes.cast(linker.ptr(), ctypes.c_void_p).value
        assert address
        for module, name, signature, stub in _all(state, unstable):
            callback = _CALLBACK(_entry(run, signature, stub))
            _alive[key := id(callback)] = callback
            functype = new_functype(signature.params, signature.results)
            problem = define_unchecked(address, module, name, functype, callback, key, _dropped)
            c.wasm_functype_delete(functype)
            if problem:
                raise _refused(module, name, problem)
    return run


def _define_checked(linker: "wasmtime.Linker", run: Run, state: "HostState", unstable: bool) -> None:
    import wasmtime

    types = {name: getattr(wasmtime.ValType, name) for name in ("i32", "i64", "f32", "f64")}
    for module, name, signature, stub in _all(state, unstable):
        type_ = wasmtime.FuncType(
            [types[one]() for one in signature.params], [types[one]() for one in signature.results]
        )
        try:
            linker.define_func(module, name, type_, _checked(run, signature, stub), access_caller=True)
        except wasmtime.WasmtimeError as error:
            raise _refused(module, name, str(error)) from error


def _refused(module: str, name: str, problem: str) -> LinkError:
    return LinkError(
        f"import {module}.{name}: {without_stack(problem)}; define a State before other WASI functions, "
        "or set linker.allow_shadowing = True"
    )
