"""A guest in a thread of its own, for callers that do something else meanwhile: `run_async` and `start`.

Rules of this file: it knows nothing of what a guest's streams are. The thread is a daemon, so that no guest keeps
Python from ending, and is ended by `atexit`, so that no guest is running when Python ends.
"""

from __future__ import annotations

import atexit
import contextvars
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.errors import WasihostError

if TYPE_CHECKING:
    from wasihost.waiting.cancel_scope import Endable

T = TypeVar("T")

_PATIENCE: Final = 2.0
"""Seconds that Python's end waits for guests that are in a function of the embedder's."""


class GuestThread(Generic[T]):
    """Runs `work` in a thread, with a copy of the caller's context variables.

    `work` is called with a function to be given the instance as soon as there is one, before it runs. What it returned
    is `result`, what it raised `error`. `begun` is set once there is an instance or there will be none (`never_began`),
    `over` at the end; `when_over` is called right after that, in the thread.
    """

    def __init__(
        self, work: Callable[[Callable[[Endable], None]], T], when_over: Callable[[], object] = lambda: None
    ) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()
        self.never_began = True
        self.result: T | None = None
        self.error: BaseException | None = None
        self._guest: Endable | None = None
        self._lock = threading.Lock()
        self._reason: BaseException | None = None
        self._when_over = when_over
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._run, work), name="wasihost guest", daemon=True)
        _running.add(self)
        try:
            thread.start()
        except BaseException as error:
            if isinstance(error, RuntimeError):  # no thread can be started
                _running.discard(self)
                when_over()
            else:  # a signal handler raised, and nobody will know of this guest
                self.end(error)
            raise

    def _run(self, work: Callable[[Callable[[Endable], None]], T]) -> None:
        try:
            self.result = work(self._made)
        except BaseException as error:
            self.error = error
        finally:
            self._guest = None
            _running.discard(self)
            self.over.set()
            self.begun.set()
            self._when_over()

    def _made(self, guest: Endable) -> None:
        with self._lock:
            self._guest, reason = guest, self._reason
        self.never_began = False
        self.begun.set()
        if reason is not None:
            raise reason

    def end(self, reason: BaseException) -> bool:
        """From any other thread: end the guest, which raises `reason`. A second call changes nothing.

        Whether there is a guest to be waited for; where there is none yet, there never will be.
        """
        with self._lock:
            if self._reason is None:
                self._reason = reason
            reason, guest = self._reason, self._guest
        if guest is not None:
            guest.end(reason, permanently=True)
        return guest is not None


class Interrupted(WasihostError):
    """Ends the guests that are running when Python ends."""


_running: set[GuestThread[Any]] = set()


def _end_all() -> None:
    until = time.monotonic() + _PATIENCE
    threads = list(_running)
    for thread in threads:
        thread.end(Interrupted("Python is ending"))
    for thread in threads:
        thread.over.wait(max(0.0, until - time.monotonic()))


atexit.register(_end_all)
in_forked_child(_running.clear)  # their threads are not here
