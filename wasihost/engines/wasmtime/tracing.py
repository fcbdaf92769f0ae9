"""Tracers of Python (debuggers, profilers, line limits) while a guest runs: they do not see the engine's callbacks.

An exception that a trace function raises when a callback is entered or has returned leaves the callback, and ctypes
returns an undefined address for it, as with signal handlers: see `deferred_signals`. So if the thread is traced,
tracing is suspended when a guest is entered (`PyThreadState_EnterTracing`), and callbacks resume it for the stubs that
they call: an exception there reaches the callback's `try`. Without a tracer, this costs one check per entered guest.

Tracers that a host function sets while a guest runs, and tracers around a user's own linker, are not suspended, because
the user's other code must stay visible to them. They are called through a filter, which leaves out the frames where an
exception could not be caught.

Rules of this file: `suspend` is called where no signal handler may raise, and `resume` after it, as the last step.
cProfile never raises, so it is not suspended. The C tracer of coverage never raises either, but signal handlers do not
run in callbacks that it sees, so it is suspended.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from functools import partial
from itertools import chain, starmap
from types import CodeType, FrameType, FunctionType, MethodType

from wasihost.common.interrupts import BUSY, FRAGILE, WHEN_TRACED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_trace: Callable[[], Any] = sys.gettrace
_profile: Callable[[], Any] = sys.getprofile
_tool: Callable[[int], str | None] | None = getattr(getattr(sys, "monitoring", None), "get_tool", None)
_TOOLS = range(6)
_HARMLESS = ("cProfile", "_lsprof")

_current = ctypes.pythonapi["PyThreadState_Get"]
_current.argtypes, _current.restype = (), ctypes.c_void_p
_enter, _leave = (ctypes.pythonapi[f"PyThreadState_{name}Tracing"] for name in ("Enter", "Leave"))
_enter.argtypes = _leave.argtypes = (ctypes.c_void_p,)
_enter.restype = _leave.restype = None

_BEHIND = ("stub", "check")  # free variables of the callbacks made by `trampolines`: what they call


def _raises(tracer: object) -> bool:
    return tracer is not None and type(tracer).__module__.partition(".")[0] not in _HARMLESS


if _tool is None:

    def watched() -> bool:
        """Whether somebody traces the calling thread who might raise."""
        return _raises(_trace()) or _raises(_profile())

    def _resumed(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        thread = _current()
        _enter(thread)
        _leave(thread)  # `call_tracing` alone resumes nothing before 3.12
        return function(*args)

    def _aloud(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: sys.call_tracing(_resumed, (function, args))

else:
    _used = _tool

    def watched() -> bool:
        """Whether somebody traces the calling thread who might raise."""
        if _raises(_trace()) or _raises(_profile()):
            return True
        if _used(0) or _used(1) or _used(2) or _used(3) or _used(4) or _used(5):
            return any(name is not None and name not in _HARMLESS for name in map(_used, _TOOLS))
        return False

    def _aloud(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: sys.call_tracing(function, args)


def expect() -> None:
    """Let others know that a tracer may raise from now on."""
    for function in WHEN_TRACED:
        function()


def suspend(callbacks: Iterable[FunctionType]) -> None:
    """Hide this thread from tracers from now on, except for what the `callbacks` call."""
    expect()
    _enter(_current())
    for callback in callbacks:
        if not callback.__dict__:  # not done before
            for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True):
                if name in _BEHIND:
                    cell.cell_contents = callback.__dict__[name] = _aloud(cell.cell_contents)


def resume() -> None:
    """Undo `suspend`."""
    _leave(_current())


def unseen(function: Callable[[], object]) -> tuple[Any, tuple[object, ...]]:
    """Return arguments for `start_new_thread` that hide the whole thread from tracers, its first call too."""
    return deque, (chain(map(_enter, starmap(_current, ((),))), starmap(function, ((),))), 0)


# -- tracers that are called through a filter -----------------------------------------------------------------------


_OWN: set[CodeType] = set()
"""Our replacements for `sys.settrace` and similar functions. A tracer that calls them to stop tracing does not expect
to see that call traced."""


def _hidden(frame: FrameType) -> bool:
    """Return whether an exception in this frame could not be caught: in callbacks, and around the engine's call."""
    if frame.f_code in FRAGILE or frame.f_code in _OWN or frame.f_globals.get("__package__") == "wasmtime":
        return True
    at: FrameType | None = frame
    while at is not None and at.f_code not in FRAGILE:
        if at.f_code in BUSY:
            return True
        at = at.f_back
    return False


def _within() -> bool:
    """Return whether the caller runs inside a guest's call, or is about to call a guest."""
    at: FrameType | None = sys._getframe()
    while at is not None and at.f_code not in FRAGILE:
        at = at.f_back
    return at is not None


def _filter(function: Callable[..., Any], frame: FrameType, event: str, arg: object) -> Any:
    return None if _hidden(frame) else function(frame, event, arg)


def _filter_own(function: Callable[..., Any], frame: FrameType, event: str, arg: object) -> Any:
    """Filter for code outside of guests."""
    return None if frame.f_code in _OWN else function(frame, event, arg)


def _filter_monitor(function: Callable[..., Any], *args: Any) -> Any:
    return None if _hidden(sys._getframe(1)) else function(*args)


def _filtered(function: Any, by: Callable[..., Any] = _filter) -> Any:
    """Return a tracer that calls this one through a filter."""
    return None if function is None else partial(by, _plain(function))


def _plain(found: Any) -> Any:
    """Return a tracer without its filter."""
    return found.args[0] if type(found) is partial and found.func in _FILTERS else found


_FILTERS = (_filter, _filter_own, _filter_monitor)


def _unseen(_frame: FrameType, _event: str, _arg: object) -> Any:
    """Local trace function of hidden frames: debuggers install theirs in all frames that have none."""
    return _unseen


def _hide_frames() -> None:
    expect()
    at: FrameType | None = sys._getframe(1)
    while at is not None:
        if _hidden(at):
            at.f_trace = _unseen
        at = at.f_back


def hide() -> None:
    """Put the filter before the tracers of this thread. Called when a user's own linker is entered."""
    for found, put in ((_trace(), _put_trace), (_profile(), _put_profile)):
        if _raises(found):
            put(_filtered(found))
    _hide_frames()
    if _tool is not None:
        for tool in _TOOLS:
            if (_tool(tool) or "coverage") not in _HARMLESS:
                _filter_tool(tool)


def _filter_tool(tool: int) -> None:
    for event in _events:
        found = _register(tool, event, None)
        if found is not None:
            _register(tool, event, _filtered(found, _filter_monitor))


_put_trace: Callable[[Any], None] = sys.settrace
_put_profile: Callable[[Any], None] = sys.setprofile
_register: Any = getattr(getattr(sys, "monitoring", None), "register_callback", None)
_events: list[int] = []


def notice() -> None:
    """Watch for tracers that are set while a guest runs, from now on. Called when an engine starts or is used."""
    if sys.gettrace is not _trace:
        return

    def setting(put: Callable[[Any], None]) -> Callable[[Any], None]:
        def wrapper(function: Any, /) -> None:
            if function is not None:
                expect()
            inside = _raises(function) and _within()
            if inside:
                put(_filtered(function))
                _hide_frames()
            elif type(function) in (FunctionType, MethodType):
                put(_filtered(function, _filter_own))
            else:
                put(function)

        wrapper.__name__, wrapper.__doc__ = put.__name__, put.__doc__
        _OWN.add(wrapper.__code__)
        return wrapper

    def getting(get: Callable[[], Any]) -> Callable[[], Any]:
        def wrapper() -> Any:
            return _plain(get())

        wrapper.__name__, wrapper.__doc__ = get.__name__, get.__doc__
        _OWN.add(wrapper.__code__)
        return wrapper

    _OWN.update(one.__code__ for one in (expect, _raises, _within, _filtered, _plain, _hide_frames, _hidden))
    sys.settrace, sys.setprofile = setting(_put_trace), setting(_put_profile)
    sys.gettrace, sys.getprofile = getting(_trace), getting(_profile)
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is None:
        return
    events = vars(monitoring.events).values()
    _events[:] = (event for event in events if isinstance(event, int) and event and not event & (event - 1))

    def register_callback(tool_id: int, event: int, func: Any, /) -> Any:
        return _plain(_register(tool_id, event, _filtered(func, _filter_monitor) if _within() else func))

    def filtering(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(tool_id: int, *args: Any) -> Any:
            if _within():
                _filter_tool(tool_id)
            return function(tool_id, *args)

        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        return wrapper

    monitoring.register_callback = register_callback
    monitoring.set_events = filtering(monitoring.set_events)
    monitoring.set_local_events = filtering(monitoring.set_local_events)
