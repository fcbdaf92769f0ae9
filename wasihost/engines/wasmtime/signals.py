"""Keeps the engine's signal handlers installed while a guest runs: on most systems, traps are signals.

If code installs a handler for SIGSEGV or a similar signal after the engine has started (Python, faulthandler, another
library), it replaces the engine's handler, and the next trap would end the process, or be raised again without end. So
the engine's handlers are noted when it starts. Handlers that replaced them are removed while guests run, and are put
back when the last guest has ended; meanwhile, a crash of the process itself is reported by the system only.

Each new instance checks for other handlers. From the engine's start on, wrappers around `_signal.signal` (which the
functions of `signal` call) and `faulthandler.enable` notice changes. So a change that a host function makes is handled
before its guest continues, and calls of an instance need no check.

Rules of this file: `struct sigaction` is opaque here but for the handler, which comes first on every system.
`before_run` and `after_run` are called where no signal handler may raise.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed knows only `signal`, whose functions are wrappers in Python
import ctypes
import sys

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.engines.wasmtime.nesting import nested
from wasihost.native import extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_IN_FRONT: tuple[int, ...] = (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGILL, _signal.SIGFPE)
_ROOM = 512  # bytes, more than any system's struct sigaction
_HANDLER = ctypes.sizeof(ctypes.c_void_p)
_BY_SIGNAL = sys.platform != "darwin"  # which has Mach exceptions

_lock = threading.RLock()  # reentrant: a signal handler that raises may leave it held by the main thread
_noted: dict[int, bytes] = {}
_displaced: dict[int, bytes] = {}
_noted_functions = b""
_others = False
_inside = 0

changes: int = 0
"""Grows with each handler that is set after the engine has started; see `has_started`."""

if _BY_SIGNAL:
    _sigaction = ctypes.PyDLL(None).sigaction  # keeps the GIL, so no other thread runs meanwhile
    _sigaction.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    _rooms = [
        (number, room, ctypes.addressof(room)) for number in _IN_FRONT for room in (ctypes.create_string_buffer(_ROOM),)
    ]


def _actions() -> dict[int, bytes]:
    """Return the system's present actions, by signal."""
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
    """Note the engine's handlers. Called after each start of an engine; the first start installs them."""
    global _noted_functions
    if _BY_SIGNAL and not _noted:
        _noted.update(_actions())
        _noted_functions = b"".join(_noted[number][:_HANDLER] for number in _IN_FRONT)
        _signal.signal = _checked_after(_signal.signal)
        import faulthandler

        faulthandler.enable = _checked_after(faulthandler.enable)


def has_started() -> bool:
    """Whether the engine's handlers are known: a user's own engine alone does not say."""
    return bool(_noted)


def _checked_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **options: Any) -> Any:
        global changes
        changes += 1  # before it as well: in `changed` a signal handler may raise
        try:
            return function(*args, **options)
        finally:
            changed()

    wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
    return wrapper


def changed() -> None:
    """Check whether handlers were replaced, and if guests run, put the engine's back first."""
    global _others, changes
    changes += 1
    if extension is not None:
        extension.handlers_changed()
    if not _others and _replaced(_actions()):
        _others = True
        _tell()
    if _others and _running():
        to_front()


def look() -> None:
    """Check whether handlers were replaced without our wrappers. Called for each instance."""
    global _others
    if extension is not None and extension.signal_functions() == _noted_functions:
        return
    if _BY_SIGNAL and not _others and _replaced(_actions()):
        _others = True
        _tell()


def before_run() -> None:
    """Put the engine's handlers first. Called before a guest is entered."""
    global _inside
    _inside += 1
    if _others:
        to_front()


def after_run() -> None:
    """Put the replaced handlers back if no guest runs any more. Called after a guest has ended."""
    global _inside
    _inside -= 1
    if _displaced and not _running():
        put_back()


def _running() -> int:
    """Return how many guests are running."""
    return _inside if extension is None else _inside + int(extension.get_running())


def _tell() -> None:
    """Let the extension know whether there is something to do before and after each run."""
    if extension is not None:
        extension.handlers(_others, bool(_displaced))


def to_front() -> None:
    """Put the engine's handlers first."""
    with _lock:
        now = _actions()
        theirs = _replaced(now)
        _displaced.update((number, now[number]) for number in theirs)
        _put(_noted, theirs)
        _tell()


def put_back() -> None:
    """Put the replaced handlers back."""
    with _lock:
        if not _running():  # otherwise another guest was entered meanwhile, and waits for the lock
            _put(_displaced, _displaced.keys() - _replaced(_actions()))
            _displaced.clear()
            _tell()


@in_forked_child
def _after_fork() -> None:
    global _lock, _inside
    _lock, _inside = threading.RLock(), nested.count  # threads of other runs do not exist in the child
    if extension is not None:
        _inside -= int(extension.get_running())
    if _displaced and not _running():
        put_back()
