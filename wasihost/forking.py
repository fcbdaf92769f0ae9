"""What a fork must not break: locks that another thread holds just then stay locked in the child for ever.

Rules of this file, which is imported with the package: it imports nothing that not every start has, but within
functions. A lock of a module is made again by that module's own `os.register_at_fork`; those of objects that the child
may go on to use are made again from here. What belongs to one guest is not: the child cannot use it.
"""

from __future__ import annotations

import os
import sys
import time
from _weakref import ref
from itertools import count
from typing import Protocol


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
_LONGEST = 10.0
"""Seconds that a fork waits for imports of other threads."""


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
        from wasihost.unpatched import threading  # which the package itself does without

        self.lock = threading.RLock()


def _after_in_child() -> None:
    for there in _shared.copy().values():
        if (one := there()) is not None:
            one.renew_locks()


def _before() -> None:
    """Let other threads finish their imports of ours, and of what ours import: the child, whose threads do not live,
    could never import these modules."""
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", None)
    if not locks:
        return
    until = time.monotonic() + _LONGEST
    while any(map(_may_be_needed, tuple(locks))) and time.monotonic() < until:
        time.sleep(0.0005)


def _may_be_needed(name: str) -> bool:
    top = name.partition(".")[0]
    return top in ("wasihost", "wasi_preview1", "wasi_preview0", "wasmtime") or top in sys.stdlib_module_names


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_after_in_child)
