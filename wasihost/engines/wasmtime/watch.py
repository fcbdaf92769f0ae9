"""Ends guests that compute: a thread that makes the engine call back into each interruptible guest when it is time.

The engine's epoch is a counter that compiled code looks at. Nobody counts time with it here: it is moved on when the
deadline of some guest has come, or when somebody ended one, and every `TICK` for guests of the main thread, whose
Python may have a signal handler (Ctrl-C) to run. Every guest is then called back, sees whether it was meant, and goes
on if it was not.

Rules of this file: the thread lives as long as there is a guest to watch and not longer.
"""

import os
import time
from typing import TYPE_CHECKING

from wasihost.engines.wasmtime.engine import Engine
from wasihost.engines.wasmtime.ffi import c
from wasihost.unpatched import threading

if TYPE_CHECKING:
    from wasihost.engines.base import Ending

TICK = 40_000_000
"""ns between two looks at the signals of Python."""


class Watch:
    """The guests that are running now and could be interrupted, and the thread that does it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As in a new process."""
        self._changed = threading.Condition()
        self._running: dict[object, tuple[Engine, Ending, bool]] = {}
        self._thread: threading.Thread | None = None

    def enter(self, key: object, engine: Engine, ending: "Ending", main: bool) -> None:
        """A guest is about to run on the calling thread; `main`, if Python runs signal handlers there. `ending` is
        asked when its time comes."""
        with self._changed:
            self._running[key] = engine, ending, main
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="wasihost-watch", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()

    def look_again(self) -> None:
        """The deadline of a running guest has come closer."""
        with self._changed:
            self._changed.notify()

    def leave(self, key: object) -> None:
        """It runs no more."""
        with self._changed:
            self._running.pop(key, None)
            if not self._running:
                self._changed.notify()

    def interrupt(self) -> None:
        """Have every interruptible guest called back now: somebody ended one."""
        with self._changed:
            engines = {id(engine): engine for engine, _, _ in self._running.values()}
        for engine in engines.values():
            c.wasmtime_engine_increment_epoch(engine.ptr)

    def _watch(self) -> None:
        while True:
            with self._changed:
                if not self._running:
                    self._thread = None
                    return
                now = time.monotonic_ns()
                times = [now + TICK for _, _, main in self._running.values() if main]
                times += [ending.expires for _, ending, _ in self._running.values() if ending.expires is not None]
                wait = (max(min(times) - now, 0) + 200_000) / 1_000_000_000 if times else None
                self._changed.wait(wait if wait is None else min(wait, threading.TIMEOUT_MAX))
                now = time.monotonic_ns()
                due = {
                    id(engine): engine
                    for engine, ending, main in self._running.values()
                    if main or (ending.expires is not None and ending.expires <= now)
                }
            for engine in due.values():
                c.wasmtime_engine_increment_epoch(engine.ptr)


watch = Watch()


if hasattr(os, "register_at_fork"):
    # In place, because others hold it: its lock may be held, and its thread is not here.
    os.register_at_fork(after_in_child=watch.forget)
