"""Threads, and waiting for them, where a signal handler may raise at any moment.

`threading.Event` and the start of a `threading.Thread` take locks in Python code. A handler that raises between the
steps leaves such a lock held, and whoever needs it next waits permanently.

Rules of this file: the calling thread takes no lock that another thread needs, and each step is one operation of the
interpreter, which is complete or not done.
"""

from __future__ import annotations

from wasihost.common.unpatched import start_new_thread, threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Latch:
    """A `threading.Event` that is set once, by a thread in which no signal handler runs."""

    __slots__ = ("_waiting", "is_set")

    def __init__(self) -> None:
        self.is_set: bool = False
        self._waiting: list[threading.Lock] = []  # one lock for each thread that waits, which is held until `set`

    def set(self) -> None:
        """Wake all who wait, now and later."""
        self.is_set = True
        while self._waiting:
            try:
                self._waiting.pop().release()
            except IndexError:  # it gave up just now
                pass

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for `timeout` seconds. Returns whether it is set."""
        if not self.is_set:
            own = threading.Lock()
            own.acquire()
            self._waiting.append(own)
            try:
                if not self.is_set:  # otherwise `set` may have been there before
                    own.acquire(timeout=-1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX))
            finally:
                if not self.is_set:
                    try:
                        self._waiting.remove(own)
                    except ValueError:
                        pass
        return self.is_set


def start_thread(name: str, work: Callable[[], object]) -> None:
    """Start a daemon thread that does `work`.

    Raises what a signal handler raises meanwhile; then the work may have been started all the same. RuntimeError, with
    a text that begins with "can't": the system has no thread left, or Python is ending.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    if threading.get_ident() != threading.main_thread().ident:
        thread.start()
        return

    def start() -> None:
        try:
            thread.start()
        except RuntimeError:  # there is no second thread, but this one
            work()

    start_new_thread(start, ())
