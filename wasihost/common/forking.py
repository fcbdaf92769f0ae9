"""What a fork must not break: locks that another thread holds just then stay locked in the child for ever.

Rules of this file, which is imported with the package: it imports nothing that not every start has, but within
functions. A lock of a module is made again by that module's own `os.register_at_fork`; those of objects that the child
may go on to use are made again from here. What belongs to one guest is not: the child cannot use it. Locks inside the
engine cannot be made again, so no thread may hold one while another forks: see `kept_from_forks`.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident
from _weakref import ref
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class HasLocks(Protocol):
    """An object that threads share, and that both sides of a fork may use."""

    def renew_locks(self) -> None:
        """In a forked child, where no other thread runs: make the locks again, and forget what others were doing."""


_shared: dict[int, ref[HasLocks]] = {}
"""By numbers that are given once. No `WeakSet`: it forgets what has gone by a function of Python's, which the collector
calls anywhere, and what a signal handler raises in there is lost."""
_numbers = count()
_PRUNED = 256
"""How many are added until those that have gone are forgotten."""
_LONGEST = 2.0
"""Seconds that a fork waits for imports of other threads."""
_LONGEST_CALL = 1.0
"""Seconds that a fork waits for a call of the engine in another thread. A longer one compiles a large module, and holds
the locks in question for a millionth of its time."""
_PAUSE = 0.0005

_inside: dict[object, int] = {}
"""The calls of the engine that a fork waits for, with their threads. One that took too long is no longer here."""
_forking: dict[str, int] = {}
"""The thread that forks just now, if one does, as `by`. Set by `setdefault`, which no signal can divide."""


def renew_in_child(one: HasLocks) -> None:
    """Have the locks of `one` made again in every child forked from now on. It is not kept alive."""
    number = next(_numbers)
    _shared[number] = ref(one)
    if number % _PRUNED == 0:
        for other, there in _shared.copy().items():
            if there() is None:
                _shared.pop(other, None)


class Locked:
    """Has one lock, which a thread may take again."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """As `HasLocks` says."""
        from wasihost.common.unpatched import threading  # which the package itself does without

        self.lock = threading.RLock()


def kept_from_forks(function: Callable[..., T]) -> Callable[..., T]:
    """The same function of the engine, which no thread begins while another one forks. It is one that may take locks of
    the engine while the GIL is free; others are no danger, since whoever forks has the GIL."""
    inside, forking, ident = _inside, _forking, get_ident  # this may be called at exit, when modules are gone

    def call(*arguments: object) -> T:
        token = object()
        try:
            inside[token] = thread = ident()
            while forking and forking.get("by", thread) != thread:
                inside.pop(token, None)
                while forking:
                    _sleep()
                inside[token] = thread
            return function(*arguments)
        finally:
            inside.pop(token, None)

    return call


def _sleep() -> None:
    own = getattr(
        sys.modules.get("wasihost.common.unpatched"), "time", time
    )  # gevent's would switch to another greenlet
    own.sleep(_PAUSE)


def _before() -> None:
    """Let other threads finish what would leave locks to the child for ever: calls of the engine, and imports of our
    modules and of what these import, which a child whose threads do not live could never import."""
    thread = get_ident()
    until = time.monotonic() + _LONGEST
    while True:
        _wait_while(_importing, until)
        while _forking.setdefault("by", thread) != thread:
            _sleep()
        _wait_while(lambda: _calls_beside(thread), time.monotonic() + _LONGEST_CALL)
        for token in _calls_beside(thread):
            _inside.pop(token, None)  # too long: the next fork does not wait for it again
        if not _importing() or time.monotonic() >= until:
            return
        _forking.clear()  # an import that has begun meanwhile may wait for this fork


def _wait_while(busy: Callable[[], object], until: float) -> None:
    while busy() and time.monotonic() < until:
        _sleep()


def _calls_beside(thread: int) -> list[object]:
    return [token for token, owner in _inside.copy().items() if owner != thread] if _inside else []


def _import_locks() -> dict[str, ref[Any]]:
    """Python's lock of each module that some thread is importing."""
    return getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})


def _importing() -> bool:
    return any(map(_may_be_needed, tuple(_import_locks())))


def _begin_imports_again() -> None:
    """In the child: forget the modules that threads of the parent had imported half, and their locks. An import may
    begin between the last look at the locks and the fork, or take too long."""
    locks, thread = _import_locks(), get_ident()
    for name, there in tuple(locks.items()):
        if getattr(there(), "owner", None) in (None, thread) or not _may_be_needed(name):
            continue
        del locks[name]
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            del sys.modules[name]


def _may_be_needed(name: str) -> bool:
    top = name.partition(".")[0]
    return top in ("wasihost", "wasi_preview1", "wasi_preview0", "wasmtime") or top in sys.stdlib_module_names


def _after_in_parent() -> None:
    _forking.clear()


def _after_in_child() -> None:
    _forking.clear()
    _inside.clear()
    _begin_imports_again()
    for there in _shared.copy().values():
        if (one := there()) is not None:
            one.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
