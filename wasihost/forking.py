"""What a fork must not break: locks that another thread holds just then stay locked in the child for ever.

Rules of this file, which is imported with the package: it imports nothing that not every start has, but within
functions. A lock of a module is made again by that module's own `os.register_at_fork`; those of objects that the child
may go on to use are made again from here. What belongs to one guest is not: the child cannot use it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _weakrefset import WeakSet


class HasLocks(Protocol):
    """An object that threads share, and that both sides of a fork may use."""

    def renew_locks(self) -> None:
        """In a forked child, where no other thread runs: make the locks again, and forget what others were doing."""


_shared: WeakSet[HasLocks] | None = None
_LONGEST = 2.0
"""Seconds that a fork waits for imports of other threads."""


def renew_in_child(one: HasLocks) -> None:
    """Have the locks of `one` made again in every child forked from now on. It is not kept alive."""
    global _shared
    if _shared is None:
        from _weakrefset import WeakSet  # of `threading`, which is there if there are locks

        _shared = WeakSet()
    _shared.add(one)


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
    for one in tuple(_shared or ()):
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
