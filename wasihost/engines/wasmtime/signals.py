"""Traps are signals on most systems: the engine's handler has to be the first to see them while a guest runs.

`faulthandler.enable()` after the engine has started puts a handler before it, and the next trap would kill the process.
So the engine's handlers are noted when it starts, put back in front for the time of a run if faulthandler has come
since, and faulthandler's are put back after the last such run. In between, a crash of the process itself is reported
by the system only.

Rules of this file: `struct sigaction` is opaque here, it is only read from and given back to the system.
"""

import ctypes
import os
import signal
import sys

from wasihost.unpatched import threading

_IN_FRONT = [number for name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE") if (number := getattr(signal, name, 0))]
_ROOM = 512  # more than any system's struct sigaction
_BY_SIGNAL = sys.platform not in ("darwin", "win32")  # Mach exceptions and vectored handlers are other ways

_lock = threading.Lock()
_noted: dict[int, bytes] = {}
_runs = 0
_displaced: dict[int, bytes] = {}


def _faulthandler_on() -> bool:
    module = sys.modules.get("faulthandler")
    return module is not None and bool(module.is_enabled())


def _actions(wanted: dict[int, bytes] | None = None) -> dict[int, bytes]:
    """The handlers as they are; `wanted` ones take their place."""
    sigaction = ctypes.CDLL(None, use_errno=True).sigaction
    sigaction.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
    before = {}
    for number in _IN_FRONT:
        room = ctypes.create_string_buffer(_ROOM)
        if sigaction(number, wanted[number] if wanted else None, room):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), "sigaction")
        before[number] = room.raw
    return before


def engine_started() -> None:
    """Called after each start of an engine: the first one has put its handlers in place."""
    if _BY_SIGNAL and not _noted:
        _noted.update(_actions())


def before_run() -> bool:
    """Called before a guest is entered. Whether `after_run` has to be called."""
    global _runs
    if not _BY_SIGNAL or not (_runs or _faulthandler_on()):
        return False
    with _lock:
        if not _runs:
            now = _actions()
            if now == _noted:  # faulthandler was there before the engine, which passes on to it what is no trap
                return False
            _displaced.update(now)
            _actions(_noted)
        _runs += 1
    return True


def after_run() -> None:
    """The guest has ended."""
    global _runs
    with _lock:
        _runs -= 1
        if not _runs:
            _actions(_displaced)


def _after_fork() -> None:
    global _lock, _runs
    _lock = threading.Lock()
    if _runs:  # the threads of the other runs are not here
        _runs = 0
        _actions(_displaced)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
