"""Waits for a Python object that a guest reads in a helper thread: in the object's hook, or by reading ahead.

Rules of this file: never call the object while the helper thread is inside it. Never leave the thread blocked in an
object with a file behind it: the interpreter could not shut down. Nothing is read ahead before the guest polls.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from wasihost.common.threads import Latch, start_thread
from wasihost.common.unpatched import select, threading, time
from wasihost.waiting.cancel_scope import CancelScope, ready_now
from wasihost.waiting.input_ready import Read, Ready
from wasihost.waiting.poller import READABLE, Poller
from wasihost.waiting.stream_objects import CallableReader, stream_identity

_SLICE = 0.05
"""Seconds for which a hook is asked to wait in one call: how long a thread may outlive its run."""
_PAUSE = 0.005
"""Seconds before an object that does not block is called again."""
_GRACE = 0.001
"""Seconds to wait for a new thread, which may find input at once."""
_PIECE = 1 << 16


class InputThread(Ready):
    """A thread waits for the object while the guest does other things, and writes to a pipe when input has arrived.

    While the thread runs, only it may call the object; before and after, only the guest's reads may. The thread may
    outlive its run; then the next run of the same object takes it over.
    """

    __slots__ = ("__weakref__", "_arrived", "_held", "_lock", "_over", "_pipe", "_raised", "_thread", "_wanted")

    def __init__(self) -> None:
        super().__init__()
        self._arrived = False  # input has arrived and was not used yet: then no thread runs
        self._held = True  # a run uses the object
        self._lock = threading.Lock()
        self._over = Latch()  # of the thread that was started last
        self._pipe: tuple[int, int] | None = None
        self._raised: BaseException | None = None
        self._thread: list[Latch] | None = None  # what the thread takes when it begins
        self._wanted = False

    def wait(self) -> bool:
        """In the thread: wait for the object. Returns True when input has arrived, False when none is wanted."""
        raise NotImplementedError

    def _begin(self) -> int:
        """Start the thread unless it runs. Returns an fd that becomes readable when input has arrived."""
        with self._lock:
            if self._pipe is None:
                self._pipe = os.pipe()
                if self._arrived:
                    os.write(self._pipe[1], b"!")
            self._wanted = True
            started = self._thread is None and not self._arrived
            if started:
                self._over = Latch()
                self._thread = ticket = [self._over]
                try:  # the thread takes the lock before it sets `over`
                    start_thread("wasihost input", partial(self._run, ticket))
                except BaseException:  # no thread is left, or a signal handler raised, perhaps after the start
                    with suppress(IndexError):  # it has begun
                        ticket.pop()
                        self._thread = None
                    raise
            out = self._pipe[0]
        if started:
            self._over.wait(_GRACE)
        return out

    def _run(self, ticket: list[Latch]) -> None:
        try:
            over = ticket.pop()
        except IndexError:  # given up by the caller
            return
        came = False
        while True:
            try:
                came = self.wait()
            except BaseException as error:  # raised in the guest's thread
                self._raised, came = error, True
            with self._lock:
                if came or not self._wanted:
                    self._thread, self._arrived = None, came
                    if not self._held:
                        self._let_go()
                    elif came and self._pipe is not None:
                        os.write(self._pipe[1], b"!")
                    break
        over.set()

    def _join(self, scope: CancelScope | None) -> None:
        """If the thread runs, wait until input has arrived."""
        if self._thread is not None:
            Poller(scope or CancelScope()).wait({self._begin(): READABLE}, None)

    def _reset(self) -> None:
        """The input is being used: empty the pipe, and raise what the thread raised."""
        with self._lock:
            self._arrived = False
            if self._pipe is not None and ready_now(self._pipe[0], select.POLLIN):
                os.read(self._pipe[0], 1)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def close(self) -> None:
        with self._lock:
            self._wanted = self._held = False
            pipe, self._pipe = self._pipe, None
            if self._thread is None:
                self._let_go()
        for fd in pipe or ():
            os.close(fd)

    def _let_go(self) -> None:
        """Drop the reference to the object: the run is over, no thread is inside it, and the object may not live until
        the next run."""

    def adopt(self, reader: Any) -> None:
        """Continue in another run of the same object; `wrap_read` is called after this."""
        with self._lock:
            self._held = True  # if the thread ends from now on, the object belongs to this run

    @property
    def holds(self) -> bool:
        """True if the next run of the object has to take this over."""
        return self._thread is not None or self._arrived


class ReadableHook(InputThread):
    """Waits in the object's own hook, `readable(timeout)`."""

    __slots__ = ("_readable",)

    def __init__(self, readable: Callable[[float], Any]) -> None:
        super().__init__()
        self._readable = readable

    def _let_go(self) -> None:
        self._readable = _read_after_close
        self._arrived = False  # the next run asks the hook again

    def adopt(self, reader: Any) -> None:
        super().adopt(reader)
        self._readable = reader.readable

    def _ask(self, timeout: float) -> int:
        size = self._readable(timeout)
        if not isinstance(size, int) or not 0 <= size < 1 << 63:
            raise TypeError(
                f"readable({timeout:g}) of {self._readable!r} returned {size!r}: it has to return whether there is "
                "something to read, or how many bytes"
            )
        return size

    def _ask_for_a_while(self, pause: Callable[[float], object]) -> int:
        """Call the hook with `_SLICE`. If it returns too early, pause, so that it is not called in a busy loop."""
        begin = time.monotonic()
        size = self._ask(_SLICE)
        if not size and time.monotonic() - begin < _PAUSE:
            pause(_PAUSE)
        return size

    def fd(self) -> int | None:
        """Calls the hook here first; the thread waits for input that is not there yet."""
        if self._thread is None:
            self._reset()
            if self._ask(0.0):
                return None
        return self._begin()

    def wait(self) -> bool:
        while self._wanted:
            if self._ask_for_a_while(time.sleep):
                return True
        return False

    def wait_before_read(self, scope: CancelScope | None) -> None:
        """Called even if the guest did not poll before. If the guest can be cancelled, waits here."""
        self._join(scope)
        self._reset()
        if scope is not None and scope.active and not self._ask(0.0):
            while not self._ask_for_a_while(lambda seconds: scope.sleep(int(seconds * 1e9))):
                scope.check()

    def available(self) -> int:
        """What the hook returns: a number of bytes, or 1 for True."""
        return self._ask(0.0)


class ReadAhead(InputThread):
    """Reads ahead in a thread, after the guest has polled, and keeps what was read for the guest."""

    __slots__ = ("_piece", "_read")

    def __init__(self) -> None:
        super().__init__()
        self._read: Read = _read_after_close
        self._piece: Any = None  # belongs to the thread while it runs, otherwise to the guest

    def wrap_read(self, read: Read) -> Read:
        with self._lock:
            self._read = read
        return self.take

    def _let_go(self) -> None:
        self._read = _read_after_close

    def fd(self) -> int | None:
        """None if a piece, the end of input or an error is waiting."""
        return None if self._arrived else self._begin()

    def wait(self) -> bool:
        while self._wanted:
            piece = self._read(_PIECE)
            if piece is not None:
                self._piece = piece
                return True
            time.sleep(_PAUSE)  # the object has no input now, and does not block
        return False

    def available(self) -> int:
        """The size of the piece that was read ahead."""
        return len(self._piece or b"")

    def at_eof(self) -> bool:
        """True if the piece is empty: the end of input."""
        return self._arrived and self._piece is not None and not self._piece

    def wait_before_read(self, scope: CancelScope | None) -> None:
        self._join(scope)

    def take(self, size: int) -> Any:
        """Return bytes of the piece that was read ahead, otherwise call the object's `read`."""
        if not self._arrived:
            return self._read(size)
        piece = self._piece
        rest = piece[size:] if piece else None
        self._piece = rest or None
        if not rest:
            self._reset()
        return piece[:size]


def _read_after_close(_number: float) -> NoReturn:
    raise ValueError("the run that read this stream is over")


_left: WeakKeyDictionary[Any, tuple[Any, InputThread]] = WeakKeyDictionary()
"""By input object: what a finished run left behind, a piece that was read ahead and not used, or a thread that is still
inside the object. The next run of the same object takes it over, so nothing is lost and no two threads read at once."""


def park(reader: Any, ready: Ready) -> None:
    """At the end of a run: close, and keep what the next run of the same object has to take over."""
    ready.close()
    if isinstance(ready, InputThread) and ready.holds:
        try:
            _left[stream_identity(reader)] = _which(reader), ready
        except TypeError:  # no weak references or no hash: it could not be recognized again
            return


def unpark(reader: Any) -> Ready | None:
    """Return what a finished run left behind for the same object, or None."""
    try:
        owner = stream_identity(reader)
        which, left = _left.get(owner) or (None, None)
        if left is None or which != _which(reader):
            return None  # an equal object, or another method of the same one: the input is not for this reader
        del _left[owner]
    except TypeError:
        return None
    left.adopt(reader)
    return left


def _which(reader: Any) -> tuple[int, Any]:
    """Identify the very object and the method that reads from it."""
    function = reader.read if isinstance(reader, CallableReader) else None
    return id(stream_identity(reader)), getattr(function, "__func__", getattr(function, "__name__", None))
