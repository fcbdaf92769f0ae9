"""Ends guests that compute: a thread that makes the engine call back into each interruptible guest when it is time.

The engine's epoch is a counter that compiled code looks at. Nobody counts time with it here: it is moved on when the
deadline of some guest has come, or when somebody ended one, and every `TICK` for guests of the main thread, whose
Python may have a signal handler (Ctrl-C) to run. Every guest is then called back, sees whether it was meant, and goes
on if it was not.

Rules of this file: the thread lives as long as there is a guest to watch and not longer. No lock guards what is kept
here, as a signal handler that raises between taking one and the `try` would leave it held: each step is one operation
on a dict, which is whole or not done.
"""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from wasihost.engines.wasmtime import tracing
from wasihost.engines.wasmtime.engine import Engine
from wasihost.engines.wasmtime.ffi import c
from wasihost.unpatched import start_new_thread, threading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wasihost.engines.base import Ending

TICK = 40_000_000
"""ns between two looks at the signals of Python."""


class Watch:
    """The guests that are running now and could be interrupted, and the thread that does it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As in a new process."""
        self._running: dict[object, tuple[Engine, Ending, bool]] = {}
        self._thread: dict[str, threading.Lock] = {}
        """Of the thread, if there is one, the lock that it waits for: whoever has news for it opens it."""

    def enter(self, key: object, engine: Engine, ending: "Ending", main: bool) -> None:
        """A guest is about to run on the calling thread; `main`, if Python runs signal handlers there. `ending` is
        asked when its time comes."""
        self._running[key] = engine, ending, main
        if self._thread:
            self.look_again()
        else:
            start_new_thread(*tracing.unseen(self._watch))

    def look_again(self) -> None:
        """What is running has changed, or the deadline of a running guest has come closer."""
        for news in tuple(self._thread.values()):
            with suppress(RuntimeError):  # it is open already
                news.release()

    def leave(self, key: object) -> None:
        """It runs no more."""
        self._running.pop(key, None)
        if not self._running:
            self.look_again()

    def interrupt(self) -> None:
        """Have every interruptible guest called back now: somebody ended one."""
        self._call_back(engine for engine, _, _ in tuple(self._running.values()))

    def _call_back(self, engines: "Iterable[Engine]") -> None:
        for engine in {id(engine): engine for engine in engines}.values():
            c.wasmtime_engine_increment_epoch(engine.ptr)

    def _watch(self) -> None:
        """The thread. Two may begin, and the second one ends at once."""
        news = threading.Lock()
        news.acquire()
        while self._running and self._thread.setdefault("one", news) is news:
            try:
                self._watch_all(news)
            finally:
                self._thread.pop("one", None)
            # Look once more: whoever came just now saw this thread, and has begun none.

    def _watch_all(self, news: threading.Lock) -> None:
        """Until no guest is left."""
        ticked = time.monotonic_ns()
        while running := tuple(self._running.values()):
            times = [ticked + TICK for _, _, main in running if main]
            times += [expires for _, ending, _ in running if (expires := ending.expires) is not None]
            wait = (max(min(times) - time.monotonic_ns(), 0) + 200_000) / 1_000_000_000 if times else -1
            news.acquire(timeout=min(wait, threading.TIMEOUT_MAX))
            now = time.monotonic_ns()
            tick = now - ticked >= TICK
            self._call_back(
                engine
                for engine, ending, main in tuple(self._running.values())
                if (tick and main) or ((expires := ending.expires) is not None and expires <= now)
            )
            if tick:
                ticked = now


watch = Watch()


if hasattr(os, "register_at_fork"):
    # In place, because others hold it: its thread is not here.
    os.register_at_fork(after_in_child=watch.forget)
