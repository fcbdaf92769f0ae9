"""How one waits for a Python object that a guest reads, by a thread: in the object's hook, or by reading ahead.

Rules of this file: nobody calls an object while a thread of ours is in it, and no thread is left waiting in one with a
file behind it: Python cannot end while one is. Nothing is read from an object ahead of the guest before it has asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from wasihost.common.unpatched import select, threading
from wasihost.waiting.cancel_scope import CancelScope, ready_now
from wasihost.waiting.input_ready import Read, Ready
from wasihost.waiting.poller import READABLE, Poller
from wasihost.waiting.stream_objects import CallableReader, stream_identity

_SLICE = 0.05
"""Seconds that a hook is asked to wait at once: how long a thread may outlive its run."""
_PAUSE = 0.005
"""Seconds before what does not wait by itself is asked again."""
_GRACE = 0.001
"""Seconds that a thread is given to show what is there already."""
_PIECE = 1 << 16


class InputThread(Ready):
    """A thread waits for the object while the guest does other things, and writes to a pipe when something has come.

    While there is such a thread, the object is its own; before and after, it is the guest's. It may outlive its run,
    and is taken over by the next run of the same object.
    """

    __slots__ = ("__weakref__", "_arrived", "_held", "_lock", "_over", "_pipe", "_raised", "_thread", "_wanted")

    def __init__(self) -> None:
        super().__init__()
        self._arrived = False  # something has, and was not used up: there is no thread then
        self._held = True  # a run reads the object
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._pipe: tuple[int, int] | None = None
        self._raised: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._wanted = False

    def wait(self) -> bool:
        """In the thread: wait for the object. True once something has come, False when nobody wants it any more."""
        raise NotImplementedError

    def _begin(self) -> int:
        """Have the thread waiting. What is readable once something has come."""
        with self._lock:
            if self._pipe is None:
                self._pipe = os.pipe()
                if self._arrived:
                    os.write(self._pipe[1], b"!")
            self._wanted = True
            started = self._thread is None and not self._arrived
            if started:
                self._over.clear()
                thread = threading.Thread(target=self._run, name="wasihost input", daemon=True)
                thread.start()  # it waits for the lock before it says that it is over
                self._thread = thread
            out = self._pipe[0]
        if started:
            self._over.wait(_GRACE)
        return out

    def _run(self) -> None:
        came = False
        while True:
            try:
                came = self.wait()
            except BaseException as error:  # the guest's thread raises it
                self._raised, came = error, True
            with self._lock:
                if came or not self._wanted:
                    self._thread, self._arrived = None, came
                    if not self._held:
                        self._let_go()
                    elif came and self._pipe is not None:
                        os.write(self._pipe[1], b"!")
                    break
        self._over.set()

    def _join(self, scope: CancelScope | None) -> None:
        """Wait for the thread, if there is one, until something has come."""
        if self._thread is not None:
            Poller(scope or CancelScope()).wait({self._begin(): READABLE}, None)

    def _reset(self) -> None:
        """What has come is being used up."""
        with self._lock:
            self._arrived = False
            if self._pipe is not None and ready_now(self._pipe[0], select.POLLIN):
                os.read(self._pipe[0], 1)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def close(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._wanted = self._held = False
            pipe, self._pipe = self._pipe, None
            if self._thread is None:
                self._let_go()
        for fd in pipe or ():
            os.close(fd)

    def _let_go(self) -> None:
        """Of the object: the run is over, and no thread is in it. Who may be gone by the next one."""

    def adopt(self, reader: Any) -> None:
        """Another run goes on with it; see `Ready.reading` too."""
        with self._lock:
            self._held = True  # a thread that ends from now on leaves the object to this run

    @property
    def holds(self) -> bool:
        """Whether the next run of the object has to know of this."""
        return self._thread is not None or self._arrived


class ReadableHook(InputThread):
    """By the object's own `readable(timeout)`."""

    __slots__ = ("_readable",)

    def __init__(self, readable: Callable[[float], Any]) -> None:
        super().__init__()
        self._readable = readable

    def _let_go(self) -> None:
        self._readable = _read_after_close
        self._arrived = False  # it can be asked again

    def adopt(self, reader: Any) -> None:
        """Its hook."""
        super().adopt(reader)
        self._readable = reader.readable

    def _ask(self, timeout: float) -> int:
        answer = self._readable(timeout)
        if not isinstance(answer, int) or not 0 <= answer < 1 << 63:
            raise TypeError(
                f"readable({timeout:g}) of {self._readable!r} answered {answer!r}: it is to say whether there is "
                "something to read, or how many bytes"
            )
        return answer

    def _ask_for_a_while(self, pause: Callable[[float], object]) -> int:
        """One that answers sooner than it was told to is asked again soon, but not all the time."""
        begin = time.monotonic()
        answer = self._ask(_SLICE)
        if not answer and time.monotonic() - begin < _PAUSE:
            pause(_PAUSE)
        return answer

    def fd(self) -> int | None:
        """Asked here first; the thread is for what is not there yet."""
        if self._thread is None:
            self._reset()
            if self._ask(0.0):
                return None
        return self._begin()

    def wait(self) -> bool:
        """Until it says yes."""
        while self._wanted:
            if self._ask_for_a_while(self._over.wait):
                return True
        return False

    def wait_before_read(self, scope: CancelScope | None) -> None:
        """The guest reads, whether it was told to or not. Where it can be ended, it waits here."""
        self._join(scope)
        self._reset()
        if scope is not None and scope.active and not self._ask(0.0):
            while not self._ask_for_a_while(lambda seconds: scope.sleep(int(seconds * 1e9))):
                scope.check()

    def available(self) -> int:
        """What the hook says: a number of bytes, or only that there are some."""
        return self._ask(0.0)


class ReadAhead(InputThread):
    """By reading, from a thread: what comes is kept for the guest. Only once the guest has asked."""

    __slots__ = ("_piece", "_read")

    def __init__(self) -> None:
        super().__init__()
        self._read: Read = _read_after_close
        self._piece: Any = None  # the thread's while there is one, else the guest's

    def wrap_read(self, read: Read) -> Read:
        """`take`."""
        with self._lock:
            self._read = read
        return self.take

    def _let_go(self) -> None:
        self._read = _read_after_close

    def fd(self) -> int | None:
        """None where a piece is kept, or the end was reached, or an error is to be told."""
        return None if self._arrived else self._begin()

    def wait(self) -> bool:
        """Read a piece."""
        while self._wanted:
            piece = self._read(_PIECE)
            if piece is not None:
                self._piece = piece
                return True
            self._over.wait(_PAUSE)  # it has nothing now, and does not wait by itself
        return False

    def available(self) -> int:
        """Of the piece."""
        return len(self._piece or b"")

    def at_eof(self) -> bool:
        """The piece is the end."""
        return self._arrived and self._piece is not None and not self._piece

    def wait_before_read(self, scope: CancelScope | None) -> None:
        """Wait for what is being read."""
        self._join(scope)

    def take(self, size: int) -> Any:
        """The object's `read`, unless a piece was read ahead."""
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
"""What stands before objects whose run is over: a piece that was read ahead and not taken, or a thread that is still in
the object. The next run of the same object goes on with it, so that nothing is lost and nothing read twice at once."""


def park(reader: Any, ready: Ready) -> None:
    """The run is over."""
    ready.close()
    if isinstance(ready, InputThread) and ready.holds:
        try:
            _left[stream_identity(reader)] = _which(reader), ready
        except TypeError:  # it has no weak references, or no hash: nobody could tell it again
            return


def unpark(reader: Any) -> Ready | None:
    """What another run has left of the same object."""
    try:
        owner = stream_identity(reader)
        which, left = _left.get(owner) or (None, None)
        if left is None or which != _which(reader):
            return None  # an equal object, or another method of the same: what was read is not for this one
        del _left[owner]
    except TypeError:
        return None
    left.adopt(reader)
    return left


def _which(reader: Any) -> tuple[int, Any]:
    """The very object, and which of its methods."""
    function = reader.read if isinstance(reader, CallableReader) else None
    return id(stream_identity(reader)), getattr(function, "__func__", getattr(function, "__name__", None))
