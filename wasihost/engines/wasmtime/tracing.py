"""Tracers of Python (debuggers, profilers, limits of lines) while a guest runs: they do not see the engine's callbacks.

What a trace function raises when a callback is entered or has returned leaves the callback, and ctypes makes an
undefined address of it: the same as with signal handlers, see `postpone`. So where somebody traces, tracing is
suspended while a guest is entered (`PyThreadState_EnterTracing`), and callbacks call what is behind them with tracing
resumed: what it raises there comes to the callback's `try`. Where nobody does, this costs one look for each entering.

Rules of this file: `suspend` is called where no signal handler may raise, and `resume` after it as the last of what
must be done. Coverage and cProfile raise nothing, and are left alone.
"""

import ctypes
import sys
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, starmap
from types import FunctionType
from typing import Any

from wasihost.interrupts import WHEN_TRACED

_trace: Callable[[], Any] = sys.gettrace
_profile: Callable[[], Any] = sys.getprofile
_tool: Callable[[int], str | None] | None = getattr(getattr(sys, "monitoring", None), "get_tool", None)
_TOOLS = range(6)
_HARMLESS = ("coverage", "cProfile", "_lsprof")

_current = ctypes.pythonapi["PyThreadState_Get"]
_current.argtypes, _current.restype = (), ctypes.c_void_p
_enter, _leave = (ctypes.pythonapi[f"PyThreadState_{name}Tracing"] for name in ("Enter", "Leave"))
_enter.argtypes = _leave.argtypes = (ctypes.c_void_p,)
_enter.restype = _leave.restype = None

_BEHIND = ("stub", "check")  # what callbacks call, by the names that `calls` has for it


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


def suspend(callbacks: Iterable[FunctionType]) -> None:
    """No tracer sees this thread from now on, but in what the `callbacks` call."""
    for function in WHEN_TRACED:
        function()
    _enter(_current())
    for callback in callbacks:
        if not callback.__dict__:  # else it has been done
            for name, cell in zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True):
                if name in _BEHIND:
                    cell.cell_contents = callback.__dict__[name] = _aloud(cell.cell_contents)


def resume() -> None:
    """As it was before `suspend`."""
    _leave(_current())


def unseen(function: Callable[[], object]) -> tuple[Any, tuple[object, ...]]:
    """What to give to `start_new_thread` so that no tracer sees the thread, not even its first call."""
    return deque, (chain(map(_enter, starmap(_current, ((),))), starmap(function, ((),))), 0)
