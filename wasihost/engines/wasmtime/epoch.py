"""Ends guests that compute: a thread that makes the engine call back into each interruptible guest when it is time.

The engine's epoch is a counter that compiled code checks. It does not tick here: it is incremented when a guest's
deadline passes, when a guest is cancelled, and every `TICK` for guests of the main thread, where Python may have a
signal handler (Ctrl-C) to run. Every guest is then called back, checks whether it has to end, and continues if not.

Rules of this file: the thread stays for `GRACE` after the last guest, as starting one takes a third of a short run, and
ends before a fork, as Python warns of forks beside threads. No lock guards what is kept here, because a signal handler
that raises between taking one and the `try` would leave it held: each step is one operation on a dict, which is whole
or not done.
"""

from __future__ import annotations

import os
import sys
import time

from wasihost.common.forking import before_fork, in_forked_child
from wasihost.common.unpatched import start_new_thread, threading
from wasihost.engines.wasmtime import tracing
from wasihost.engines.wasmtime.engine import WasmtimeEngine
from wasihost.engines.wasmtime.ffi import c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wasihost.engines.base import CancelCheck

TICK = 40_000_000
"""ns between two checks for signals of Python."""
FOREVER = 3_600_000_000_000
"""ns that the thread waits at most."""
GRACE = 5
"""Ticks without a guest after which the thread ends."""


class EpochThread:
    """The guests that are running now and could be interrupted, and the thread that does it."""

    def __init__(self) -> None:
        self.running: dict[object, tuple[WasmtimeEngine, CancelCheck, bool]] = {}
        """By guest. The extension removes those that are left, too."""
        self.forget()

    def forget(self) -> None:
        """Reset, as in a new process."""
        self.running.clear()
        self._thread: dict[str, threading.Lock] = {}
        """The lock that the thread waits for, if there is a thread. Releasing it wakes the thread."""
        self._idle = 0
        """Ticks without a guest."""
        self._native = 0
        """The system's id of the thread."""
        self._looks: int = sys.maxsize
        """When the thread checks next, in ns of the monotonic clock; the maximum while it computes that."""

    def enter(self, key: object, engine: WasmtimeEngine, scope: CancelCheck, main: bool) -> None:
        """A guest is about to run on the calling thread; `main`: Python runs signal handlers there. `scope` is checked
        when it expires."""
        self.running[key] = engine, scope, main
        self._idle = 0
        if not self._thread:
            start_new_thread(*tracing.unseen(self._watch))
        elif self._looks > (time.monotonic_ns() + TICK if main else sys.maxsize - 1) or (
            (expires := scope.expires) is not None and expires < self._looks
        ):
            self.look_again()

    def look_again(self) -> None:
        """Wake the thread: a guest was added, or the deadline of a running guest is earlier than before."""
        for news in tuple(self._thread.values()):
            try:
                news.release()
            except RuntimeError:  # it is open already
                pass

    def leave(self, key: object) -> None:
        """The guest has returned."""
        self.running.pop(key, None)

    def retire(self) -> None:
        """End the thread, if no guest is running, and wait at most 50 ms until the system has removed it."""
        if self.running or not self._thread:
            return
        self._idle = GRACE
        self.look_again()
        task, until = f"/proc/self/task/{self._native}", time.monotonic() + 0.05
        while time.monotonic() < until and (self._thread or os.path.exists(task)):
            time.sleep(0.0005)

    def interrupt(self) -> None:
        """Have every interruptible guest called back now, because one was cancelled."""
        self._call_back(engine for engine, _, _ in tuple(self.running.values()))

    def _call_back(self, engines: Iterable[WasmtimeEngine]) -> None:
        for engine in {id(engine): engine for engine in engines}.values():
            c.wasmtime_engine_increment_epoch(engine.ptr)

    def _watch(self) -> None:
        """The thread. Two may begin, and the second one ends at once."""
        news = threading.Lock()
        news.acquire()
        while self._idle < GRACE and self._thread.setdefault("one", news) is news:
            try:
                self._native = threading.get_native_id()
                self._watch_all(news)
            finally:
                self._thread.pop("one", None)
            # Look once more: whoever came just now saw this thread, and has begun none.

    def _watch_all(self, news: threading.Lock) -> None:
        """Until there has been no guest for a while."""
        now = ticked = time.monotonic_ns()
        while self._idle < GRACE:
            self._looks = sys.maxsize
            running = tuple(self.running.values())
            times = [expires for _, scope, _ in running if (expires := scope.expires) is not None]
            if not running or any(main for _, _, main in running):
                times.append(ticked + TICK)
            self._looks = looks = min(times, default=now + FOREVER)
            news.acquire(timeout=(min(max(looks - now, 0), FOREVER) + 200_000) / 1_000_000_000)
            now = time.monotonic_ns()
            tick = now - ticked >= TICK
            running = tuple(self.running.values())
            self._call_back(
                engine
                for engine, scope, main in running
                if (tick and main) or ((expires := scope.expires) is not None and expires <= now)
            )
            if tick:
                ticked = now
                self._idle += 1
                if running:
                    self._idle = 0


epoch_thread: EpochThread = EpochThread()
interrupt: Callable[[], None] = epoch_thread.interrupt
deadline_changed: Callable[[], None] = epoch_thread.look_again
stop_threads: Callable[[], None] = epoch_thread.retire


before_fork(epoch_thread.retire)
in_forked_child(epoch_thread.forget)  # in place, because others hold it: its thread is not there
