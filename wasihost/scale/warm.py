"""Instances that are kept between calls, for one function or one pool, in one process.

Rules of this file: an instance is used by one thread at a time, and is kept only after a call that returned. Adding and
taking are single operations of a list, so no lock is held while a guest runs. A forked child uses none of its parent's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from wasihost.common.forking import renew_in_child
from wasihost.guest.instance import Instance
from wasihost.guest.options import RunSetup

if TYPE_CHECKING:
    from wasihost.config import ModuleConfig
    from wasihost.guest.module import Module


def new_instance(module: Module, config: ModuleConfig | None, options: Mapping[str, Any]) -> Instance:
    """An instance that Ctrl-C and timeouts can end, in whichever thread it is called."""
    return Instance(module, RunSetup(module, config, options), None, options.get("timeout"), _made)


def _made(_: Instance) -> None:
    """Nothing is to be done with it, but what can be passed on can be interrupted."""


class WarmInstances:
    """Instances that wait for a call: at most `most`, the one that was used last is taken first."""

    def __init__(self, make: Callable[[], Instance], most: int) -> None:  # `make` must not hold what holds this
        self._make = make
        self._most = most
        self._closed = False
        self._ready: list[Instance] = []
        renew_in_child(self)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._ready)

    def renew_locks(self) -> None:
        """In a forked child: the instances belong to the parent, whose threads may be in them."""
        _of_parents.append(self._ready)
        self._ready = []

    def take(self) -> Instance:
        """One that waits, or a new one. Pass it to `keep` or `drop` afterwards."""
        try:
            return self._ready.pop()
        except IndexError:
            return self._make()

    def keep(self, instance: Instance) -> None:
        """It waits for the next call, unless enough do."""
        if len(self._ready) < self._most and not self._closed:
            self._ready.append(instance)
        else:
            instance.close()

    def drop(self, instance: Instance) -> None:
        """It trapped, met a limit, or was interrupted: what state it is in is not known."""
        with suppress(Exception):
            instance.close()

    @property
    def lacks(self) -> bool:
        """Whether fewer wait than may."""
        return len(self._ready) < self._most and not self._closed

    def fill(self) -> None:
        """Make as many as may wait."""
        while self.lacks:
            self.keep(self._make())

    def close(self) -> None:
        """Close those that wait; those in use are closed when their calls return."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Close those that wait."""
        while self._ready:
            with suppress(IndexError):
                self._ready.pop().close()

    def __del__(self, _ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not _ending():
            self.close()


_of_parents: Final[list[Any]] = []
"""Instances of the processes that this one was forked from: never closed here, as their threads do not exist."""
