"""Traps are signals on most systems: the engine's handlers have to be the first to see them while a guest runs.

A handler for SIGSEGV and its like that comes after the engine has started (of Python, faulthandler, another library, or
the system's own) is put before the engine's, and the next trap would end the process, or come again and again. So the
engine's handlers are noted when it starts. Those that took their place are set aside while guests run, and are back
when the last one has ended; in between, a crash of the process itself is reported by the system only.

Each new instance checks for other handlers. From the engine's start on, wrappers around `_signal.signal` (which the
functions of `signal` call) and `faulthandler.enable` report changes, so that those made by a host function take effect
for the guest that called it, and calls of an instance need no check.

Rules of this file: `struct sigaction` is opaque here but for the handler, which comes first in every system's.
`before_run` and `after_run` are called where no signal handler may raise.
"""

import _signal  # type: ignore[import-not-found]  # typeshed knows only `signal`, whose functions are wrappers in Python
import ctypes
import sys
from collections.abc import Callable, Iterable
from typing import Any

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.engines.wasmtime.nesting import nested

_IN_FRONT = tuple(
    getattr(_signal, name) for name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE") if hasattr(_signal, name)
)
_ROOM = 512  # more than any system's struct sigaction
_HANDLER = ctypes.sizeof(ctypes.c_void_p)
_BY_SIGNAL = sys.platform not in ("darwin", "win32")  # Mach exceptions and vectored handlers are other ways

_lock = threading.RLock()  # a signal handler that raises may leave it held by the main thread, which goes on
_noted: dict[int, bytes] = {}
_displaced: dict[int, bytes] = {}
_others = False
_inside = 0

if _BY_SIGNAL:
    _sigaction = ctypes.PyDLL(None).sigaction  # which holds the GIL: nobody comes between
    _sigaction.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    _rooms = [
        (number, room, ctypes.addressof(room)) for number in _IN_FRONT for room in (ctypes.create_string_buffer(_ROOM),)
    ]


def _actions() -> dict[int, bytes]:
    """The handlers as they are."""
    found = {}
    for number, room, address in _rooms:
        _sigaction(number, None, address)
        found[number] = room.raw
    return found


def _replaced(now: dict[int, bytes]) -> list[int]:
    return [number for number in _IN_FRONT if now[number][:_HANDLER] != _noted[number][:_HANDLER]]


def _put(actions: dict[int, bytes], numbers: Iterable[int]) -> None:
    for number in numbers:
        _sigaction(number, actions[number], None)


def engine_started() -> None:
    """Called after each start of an engine: the first one has put its handlers in place."""
    if _BY_SIGNAL and not _noted:
        _noted.update(_actions())
        _signal.signal = _telling(_signal.signal)
        import faulthandler

        faulthandler.enable = _telling(faulthandler.enable)


def _telling(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        finally:
            changed()

    wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
    return wrapper


def changed() -> None:
    """Handlers may have been replaced: where guests run, the engine's come first again."""
    global _others
    if not _others and _replaced(_actions()):
        _others = True
    if _others and _inside:
        _to_front()


def look() -> None:
    """Check whether handlers were replaced without our wrappers. Called for each instance."""
    global _others
    if _BY_SIGNAL and not _others and _replaced(_actions()):
        _others = True


def before_run() -> None:
    """Called before a guest is entered."""
    global _inside
    _inside += 1
    if _others:
        _to_front()


def after_run() -> None:
    """The guest has ended."""
    global _inside
    _inside -= 1
    if _displaced and not _inside:
        _put_back()


def _to_front() -> None:
    with _lock:
        now = _actions()
        theirs = _replaced(now)
        _displaced.update((number, now[number]) for number in theirs)
        _put(_noted, theirs)


def _put_back() -> None:
    with _lock:
        if not _inside:  # else another one has come, which waits for the lock
            _put(_displaced, _displaced.keys() - _replaced(_actions()))
            _displaced.clear()


@in_forked_child
def _after_fork() -> None:
    global _lock, _inside
    _lock, _inside = threading.RLock(), nested.count  # the threads of the other runs are not here
    if _displaced and not _inside:
        _put_back()
