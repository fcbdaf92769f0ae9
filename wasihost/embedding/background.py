"""A guest in a thread of its own, for callers that do something else meanwhile: `run_async` and `start`.

Rules of this file: it does not look at a guest's streams. The thread is a daemon, so that no guest keeps Python from
ending, and `atexit` ends its guest, so that none is running when Python ends.
"""

from __future__ import annotations

import atexit
import contextvars
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from wasihost.common.forking import in_forked_child
from wasihost.common.threads import Latch, start_thread
from wasihost.errors import WasihostError

if TYPE_CHECKING:
    from wasihost.waiting.cancel_scope import Endable

T = TypeVar("T")

_PATIENCE: Final = 2.0
"""Seconds that Python's end waits for guests that are inside a function of the embedder's."""


class GuestThread(Generic[T]):
    """Runs `work` in a thread from `start` on, with a copy of the caller's context variables.

    `work` gets a function, which it must call with the instance as soon as that is made and before it runs. `result`
    is what `work` returned, `error` what it raised. `begun` is set when the instance is made, or when it is
    clear that there will be none (`never_began`). `over` is set at the end; then `when_over` is called in the thread.
    """

    def __init__(
        self, work: Callable[[Callable[[Endable], None]], T], when_over: Callable[[], object] = lambda: None
    ) -> None:
        self.begun: Latch = Latch()
        self.over: Latch = Latch()
        self.never_began: bool = True
        self.result: T | None = None
        self.error: BaseException | None = None
        self._guest: Endable | None = None
        self._reasons: list[BaseException] = []  # to end the guest; the first one counts
        self._when_over = when_over
        self._context = contextvars.copy_context()
        self._work = work
        self.started: bool = False
        """Whether `when_over` is called at the end, or has been."""

    def start(self) -> None:
        """Start the thread.

        Separate from `__init__`, so that the caller holds this object before the guest runs: a signal handler may raise
        between any two steps.
        """
        _running.add(self)
        self.started = True
        try:
            start_thread("wasihost guest", partial(self._context.run, self._run))
        except BaseException as error:
            if isinstance(error, RuntimeError) and str(error).startswith("can't"):  # no thread can be started
                _running.discard(self)
                self._when_over()
            else:  # a signal handler raised, so no caller will have this guest
                self.end(error)
            raise

    def _run(self) -> None:
        try:
            self.result = self._work(self._made)
        except BaseException as error:
            self.error = error
        finally:
            self._guest = None
            del self._work, self._context  # what they hold is not needed any more
            _running.discard(self)
            self.over.set()
            self.begun.set()
            self._when_over()

    def _made(self, guest: Endable) -> None:
        self._guest = guest  # before it looks at the reasons: `end` does these two in the other order
        self.never_began = False
        self.begun.set()
        if self._reasons:
            raise self._reasons[0]

    def end(self, reason: BaseException) -> bool:
        """End the guest, from any other thread or a signal handler; it raises `reason`. A second call changes nothing.

        Returns whether there is a guest to wait for. If there is none yet, there will never be one.
        """
        self._reasons.append(reason)
        guest = self._guest
        if guest is not None:
            guest.end(self._reasons[0], permanently=True)
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
