"""Python's signal handlers while a guest runs: each is deferred to a moment when its exception can be caught.

Python runs a handler (Ctrl-C) between two instructions of whatever the main thread executes: when a function is
entered, after a call, on a jump back. The first instruction of a callback comes before its `try`, and its `except`
block is not inside one. An exception that a handler raises there leaves the callback: ctypes returns an undefined
address for it, the engine frees that address, and the process dies.

So while the main thread is in a guest, `stand_in` replaces the handler of each signal that Python handles. It looks at
the frame that was interrupted. If an exception could not be caught there (`FRAGILE`: the callbacks; `BUSY`: the
functions around the engine's call, but not what the guest calls), it trips the signal again: Python calls it again a
few instructions later. Anywhere else (in stubs, handlers, sleeps, host functions of users) it calls the real handler,
and an exception of that reaches the callback's `try`. In a guest that computes, `epoch` makes the engine call back.

`_signal.signal` and `_signal.getsignal`, which the functions of `signal` call, are replaced for that time: handlers
that are installed meanwhile are replaced as well, and callers see the real handlers. The system's settings of a signal
(SA_RESTART, the handler of another library) stay as they are.

Rule of this file: `stand_in` must not be interrupted between tripping the signal and its return. Python runs no
handlers while it unpacks an iterator written in C, or returns; during a call it would.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed knows only `signal`, whose functions are wrappers in Python
import ctypes
import operator
from _thread import interrupt_main
from functools import partial
from itertools import compress, starmap
from types import FrameType

from wasihost.common.forking import in_forked_child
from wasihost.common.interrupts import BUSY, FRAGILE
from wasihost.common.unpatched import threading
from wasihost.engines.wasmtime import signals
from wasihost.errors import BY_SIGNAL_HANDLER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

_Handler: TypeAlias = "Callable[[int, FrameType | None], Any]"

_set: Callable[[int, Any], Any] = _signal.signal
_plain = [_set]
"""`_signal.signal` as it was before we replaced it, with the wrapper of `signals`."""
_get: Callable[[int], Any] = _signal.getsignal
_trip: Callable[[Any], None] = interrupt_main
_set_wakeup_fd: Callable[[int], int] = _signal.set_wakeup_fd
_ctrl_c: _Handler = _signal.default_int_handler
_put_wakeup_fd = partial(_signal.set_wakeup_fd, warn_on_full_buffer=False)
_NUMBERS = tuple(sorted(_signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}))

_real: dict[int, _Handler] = {}
"""The real handler of each signal whose handler is `stand_in` now."""
_SILENT = ("_frozen_importlib_external", "importlib._bootstrap_external", "genericpath", "posixpath")
"""Modules of Python whose functions take an OSError of a handler for one of the system, and continue."""
_holders: set[int] = set()
"""Keys of the instances whose guests the main thread may be in."""


def _swallows(frame: FrameType) -> bool:
    """Return whether Python prints exceptions of this frame and continues: finalizers and weak reference callbacks."""
    return frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") in ("_weakrefset", "weakref")


def stand_in(number: int, frame: FrameType | None) -> Any:
    """Handle every signal that has a Python handler, while the main thread is in a guest."""
    at = frame
    if at is None or (
        at.f_code not in FRAGILE
        and at.f_globals.get("__package__") != "wasmtime"
        and at.f_globals.get("__name__") not in _SILENT
    ):
        while at is not None and at.f_code not in FRAGILE and at.f_code not in BUSY and not _swallows(at):
            at = at.f_back
        if at is None or at.f_code in FRAGILE:
            if number not in _real:
                return None
            try:
                return _real[number](number, frame)
            except OSError as error:
                error.__dict__[BY_SIGNAL_HANDLER] = True
                raise
    wakeup = _set_wakeup_fd(-1)  # its reader already has a byte for this signal
    if wakeup < 0:
        [_] = map(_trip, (number,))
    else:
        [_, _] = starmap(operator.call, ((_trip, number), (_put_wakeup_fd, wakeup)))
    return None


FRAGILE.update((stand_in.__code__, _swallows.__code__))


class _SignalThread(threading.local):
    """`main`: whether Python runs signal handlers in this thread; None until it is known."""

    main: bool | None = None


_here = _SignalThread()


def _in_main_thread() -> bool:
    """Return whether this is the main interpreter's main thread.

    `threading` may be wrong: a program that embeds Python may have started it in any thread.
    """
    try:
        _set(_signal.SIGINT, None)
    except TypeError:  # None is not a handler, but Python checks the thread first
        return True
    except ValueError:
        return False
    raise AssertionError


def in_main_thread() -> bool:
    """Return whether Python runs signal handlers in this thread."""
    if _here.main is None:
        _here.main = _in_main_thread()
    return _here.main


def hold(key: int) -> bool:
    """Defer signal handlers until `release`: the calling thread enters a guest of the instance `key`.

    Called by functions that are `BUSY` or `FRAGILE`. Returns whether this is the thread that runs signal handlers.
    """
    if not in_main_thread():
        return False
    if key not in _holders:
        if not _holders:
            _install()
        _holders.add(key)
    return True


def release(key: int) -> None:
    """End `hold`. Handlers that were deferred run in here or soon after, and may raise."""
    _holders.discard(key)
    if not _holders and _real and _here.main:
        _remove()


def forget(key: int) -> None:
    """As `release`, for any thread. The replaced handlers stay until the next guest ends, which does no harm."""
    _holders.discard(key)


BUSY.update((in_main_thread.__code__, hold.__code__, release.__code__))


def signals_may_interrupt() -> bool:
    """Return whether this thread runs signal handlers, and handlers are set or likely to be set.

    They are not likely in a program that has left Ctrl-C to the system (SIG_DFL).
    """
    return in_main_thread() and (_get(_signal.SIGINT) != _signal.SIG_DFL or any(map(callable, map(_get, _NUMBERS))))


_found: tuple[int, tuple[int, ...]] = (-1, ())
"""What `_handled` has found, and the number of changes before it."""


def _handled() -> tuple[int, ...]:
    """Return the signals that have handlers: those of the last run, if no handler was set since."""
    global _found
    changes = signals.changes
    if _found[0] != changes or not signals.has_started():
        _found = changes, tuple(compress(_NUMBERS, map(callable, map(_get, _NUMBERS))))
    return _found[1]


def _install() -> None:
    try:
        for number in _handled():
            real = _get(number)
            if real is not stand_in and callable(real):
                _real[number] = real
                _exchange(number, stand_in)
        if _signal.signal is not _set_now:
            _plain[:] = (_signal.signal,)
        _signal.signal, _signal.getsignal = _set_now, _get_now
    except BaseException:
        _remove()
        raise


def _remove() -> None:
    if _signal.signal is _set_now:
        _signal.signal = _plain[0]
    if _signal.getsignal is _get_now:
        _signal.getsignal = _get
    try:
        while _real:
            number = next(iter(_real))
            if _get(number) is stand_in:
                _exchange(number, _real[number])
            _real.pop(number, None)
    finally:  # if a handler that was put back has raised, continue with the others
        if _real:
            _remove()


def _set_now(signalnum: int, handler: Any, /) -> Any:
    """`signal.signal` while the main thread is in a guest."""
    number = operator.index(signalnum)
    if not _holders or not callable(handler):
        before = _plain[0](number, handler)
        return _real.pop(number, None) if before is stand_in else before
    kept = _real.get(number)
    if handler is not stand_in:
        _real[number] = handler
    try:
        before = _plain[0](number, stand_in)
    except BaseException:
        if kept is None:
            _real.pop(number, None)
        else:
            _real[number] = kept
        raise
    return kept if before is stand_in else before


def _get_now(signalnum: int, /) -> Any:
    """`signal.getsignal` while the main thread is in a guest."""
    found = _get(signalnum)
    return _real.get(operator.index(signalnum), found) if found is stand_in else found


# -- the system's settings of a signal -----------------------------------------------------------------------------


class _Action(ctypes.Structure):
    """`struct sigaction`: the handler comes first on every system, the rest differs."""

    _fields_ = (("handler", ctypes.c_void_p), ("rest", ctypes.c_char * 152))
    handler: int | None


_act = ctypes.PyDLL(None).sigaction
_act.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
_spare: list[tuple[_Action, int]] = []  # with their addresses
_usual: list[int | None] = []  # the C function that Python installs for all its handlers


def _exchange(number: int, handler: _Handler) -> None:
    """Change Python's handler of a signal that has one, and nothing else."""
    spare = _spare.pop() if _spare else (action := _Action(), ctypes.addressof(action))
    action, address = spare
    _act(number, None, address)
    if action.handler in _usual and (handler is _ctrl_c or _real.get(number) is _ctrl_c):
        _set(number, handler)  # Ctrl-C as it nearly always is
    else:
        try:
            _set(number, handler)
            if not _usual:
                _usual.append(_action_of(number).handler)
        finally:
            _act(number, address, None)
    _spare.append(spare)


def _action_of(number: int) -> _Action:
    action = _Action()
    _act(number, None, ctypes.addressof(action))
    return action


@in_forked_child
def _after_fork() -> None:
    global _here
    main, _here = _here.main, _SignalThread()
    if not main:  # the thread that was in a guest is not here
        _holders.clear()
        if _real and _in_main_thread():
            _remove()
