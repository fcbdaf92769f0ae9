"""What happens at a fork: a lock that another thread holds at that moment would stay locked in the child forever.

Rules of this file:

- It is imported with the package, so it imports nothing that not every start has, except within functions.
- All hooks of the package are registered here: a module passes the function that renews its own locks and forgets its
  threads to `in_forked_child`. The hooks run in the order of registration; those of this file are the first in the
  child and the last before the fork.
- Objects that the child may continue to use register themselves with `renew_in_child`. What belongs to one guest does
  not: the child cannot use it.
- Locks inside the engine cannot be made again, so no thread may hold one while another forks: see `kept_from_forks`.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident
from _weakref import ref
from itertools import count

from wasi_preview1.light_typing import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class HasLocks(Protocol):
        """An object that threads share, and that both sides of a fork may use."""

        def renew_locks(self) -> None:
            """In a forked child, where no other thread runs: make new locks, and forget what others were doing."""


T = TypeVar("T")


_shared: dict[int, ref[HasLocks]] = {}
"""By a number that is used once. Not a `WeakSet`: that removes dead objects in a Python function, which the garbage
collector calls anywhere, and what a signal handler raises in there is lost."""
_numbers = count()
_PRUNED = 256
"""How many objects are added before the dead ones are removed."""
_LONGEST = 2.0
"""Seconds that a fork waits for other threads to finish imports."""
_LONGEST_CALL = 1.0
"""Seconds that a fork waits for another thread's call of the engine. A longer call compiles a large module, and holds
those locks for a millionth of its time."""
_PAUSE = 0.0005
"""Seconds between two looks."""

inside_engine: dict[object, int] = {}
"""The running calls of the engine that a fork waits for, and their threads. A call that took too long is removed."""
forking_thread: dict[str, int] = {}
"""The thread that is forking, if any, as `by`. Set with `setdefault`, which no signal can interrupt halfway."""


def in_forked_child(hook: Callable[[], None]) -> Callable[[], None]:
    """Call `hook` in every child forked from now on. Can be used as a decorator."""
    os.register_at_fork(after_in_child=hook)
    return hook


def before_fork(hook: Callable[[], None]) -> None:
    """Call `hook` in the forking thread before every fork, earlier than the hooks registered until now."""
    os.register_at_fork(before=hook)


def renew_in_child(shared: HasLocks) -> None:
    """Call `shared.renew_locks()` in every child forked from now on. Keeps only a weak reference to it."""
    number = next(_numbers)
    _shared[number] = ref(shared)
    if number % _PRUNED == 0:
        for other, weak in _shared.copy().items():
            if weak() is None:
                _shared.pop(other, None)


class Locked:
    """Base of objects with one reentrant lock, `lock`, that works on both sides of a fork."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        from wasihost.common.unpatched import threading  # not needed by a plain import of the package

        self.lock: threading.RLock = threading.RLock()


def kept_from_forks(function: Callable[..., T]) -> Callable[..., T]:
    """Wrap a function of the engine so that no thread begins it while another thread forks.

    Only functions that take locks of the engine without holding the GIL need this: a thread that forks holds the GIL.
    """
    # May run at exit, when the module's globals are gone.
    inside, forking, ident, wait = inside_engine, forking_thread, get_ident, wait_for_fork

    def call(*arguments: object) -> T:
        token = object()
        try:
            inside[token] = thread = ident()
            while forking and forking.get("by", thread) != thread:
                inside.pop(token, None)
                wait()
                inside[token] = thread
            return function(*arguments)
        finally:
            inside.pop(token, None)

    return call


def wait_for_fork() -> None:
    """Wait until no other thread forks."""
    thread = get_ident()
    while forking_thread and forking_thread.get("by", thread) != thread:
        _sleep()


def _sleep() -> None:
    # gevent's `sleep` would switch to another greenlet.
    own = getattr(sys.modules.get("wasihost.common.unpatched"), "time", time)
    own.sleep(_PAUSE)


def _before() -> None:
    """Wait until no other thread is in a call of the engine, or imports a module that we may need.

    The child would find the locks of those locked, by threads that do not exist there.
    """
    thread = get_ident()
    until = time.monotonic() + _LONGEST
    while True:
        _wait_while(_importing, until)
        while forking_thread.setdefault("by", thread) != thread:
            _sleep()
        _wait_while(lambda: _calls_beside(thread), time.monotonic() + _LONGEST_CALL)
        for token in _calls_beside(thread):
            inside_engine.pop(token, None)  # it took too long: the next fork does not wait for it
        if not _importing() or time.monotonic() >= until:
            return
        forking_thread.clear()  # an import that began meanwhile may wait for this fork


def _wait_while(busy: Callable[[], object], until: float) -> None:
    while busy() and time.monotonic() < until:
        _sleep()


def _calls_beside(thread: int) -> list[object]:
    return [token for token, owner in inside_engine.copy().items() if owner != thread] if inside_engine else []


def _import_locks() -> dict[str, ref[Any]]:
    """The interpreter's lock of each module that a thread is importing."""
    return getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})


def _importing() -> bool:
    return any(map(_may_be_needed, tuple(_import_locks())))


def _begin_imports_again() -> None:
    """In the child: remove the modules that threads of the parent had not finished importing, and their locks.

    There can be some: an import may begin between the last look at the locks and the fork, or take too long.
    """
    locks, thread = _import_locks(), get_ident()
    for name, weak in tuple(locks.items()):
        if getattr(weak(), "owner", None) in (None, thread) or not _may_be_needed(name):
            continue
        del locks[name]
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            del sys.modules[name]


def _may_be_needed(name: str) -> bool:
    top = name.partition(".")[0]
    return top in ("wasihost", "wasi_preview1", "wasi_preview0", "wasmtime") or top in sys.stdlib_module_names


def _after_in_parent() -> None:
    forking_thread.clear()


def _after_in_child() -> None:
    forking_thread.clear()
    inside_engine.clear()
    _begin_imports_again()
    for weak in _shared.copy().values():
        if (shared := weak()) is not None:
            shared.renew_locks()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
