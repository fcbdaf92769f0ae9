"""Threads that run guests for others: an executor, and the guests that run in this process, to be ended with their map.

Rules of this file: the threads are daemons, so that no guest keeps Python from ending; `atexit` ends their guests, so
that none is running when Python ends.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from wasihost.common.forking import in_forked_child
from wasihost.common.threads import Latch, start_thread
from wasihost.errors import WasihostError

if TYPE_CHECKING:
    from wasihost.waiting.cancel_scope import Endable

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE: Final = 2.0
"""Seconds that Python's end waits for guests that are inside a function of the embedder's."""


class Ended(WasihostError):
    """Ends the guests of a map that is closed."""


class Guests:
    """The guests that one map runs in this process."""

    def __init__(self) -> None:
        self.reason: Ended | None = None
        self._running: set[Endable] = set()
        _all.add(self)

    def began(self, guest: Endable) -> None:
        """A guest is made and will run now. Raises the reason if all were ended meanwhile."""
        self._running.add(guest)  # before it looks at the reason: `end` does these two in the other order
        if self.reason is not None:
            raise self.reason

    def over(self, guest: Endable) -> None:
        """The guest does not run any more."""
        self._running.discard(guest)

    def end(self, why: str) -> None:
        """End those that run, and those that would begin later."""
        self.reason = self.reason or Ended(why)
        for guest in self._running.copy():
            with suppress(Exception):  # it ended by itself just now
                guest.end(self.reason, permanently=True)

    def close(self, why: str) -> None:
        """End them, and forget this object."""
        self.end(why)
        _all.discard(self)


class Threads(Executor):
    """At most `count` threads, which are started when there is work for them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._over: list[Latch] = []
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._closed = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Future[T]:
        """Run `function(*args, **options)` in one of the threads."""
        if self._closed:
            raise RuntimeError("these threads were closed")
        future: Future[T] = Future()
        self._work.put((future, partial(function, *args, **options)))
        if len(self._over) < self._count:
            over = Latch()
            self._over.append(over)
            try:
                start_thread("wasihost map", partial(_work, copy_context(), self._work, over))
            except RuntimeError:
                self._over.remove(over)
                if not self._over:
                    raise
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end when their work is done. `wait`: for all of them."""
        self._closed = True
        while cancel_futures and not self._work.empty():
            with suppress(Exception):
                item = self._work.get_nowait()
                if item is not None:
                    item[0].cancel()
        self._work.put(None)
        if wait:
            for over in self._over:
                over.wait()


def _work(context: Context, work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None], over: Latch) -> None:
    try:
        while (item := work.get()) is not None:
            future, function = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = context.run(function)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
            del item, future, function
        work.put(None)  # for the next thread
    finally:
        over.set()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_all: set[Guests] = set()


def _end_all() -> None:
    until = time.monotonic() + _PATIENCE
    for guests in _all.copy():
        guests.end("Python is ending")
    while any(guests._running for guests in _all.copy()) and time.monotonic() < until:
        time.sleep(0.005)


atexit.register(_end_all)
in_forked_child(_all.clear)  # their threads are not here
