"""Whether a Python object that a guest reads has something to read, and how one waits for it.

Rules of this file: each way has `fd`, which is readable when the object has something (None: it has), `settle`, which
is called before a read, and `available`. Nothing is read from an object ahead of the guest, unless there is no other
way to know (`Ahead`). No thread is left waiting in an object with a file behind it: Python cannot end while one is.
"""

from __future__ import annotations

import io
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from wasihost.deadline import Deadline, ready_now
from wasihost.descriptors.adapted import TextReader
from wasihost.descriptors.hoststat import bytes_to_read
from wasihost.waiting import wait_for

_SLICE = 0.05
"""Seconds that a hook is asked to wait at once: how long a thread may outlive its run."""
_GRACE = 0.001
"""Seconds that a thread is given to show what is there already."""
_PIECE = 1 << 16


class Ready:
    """Always ready: what never waits, or gives no way to ask."""

    __slots__ = ()

    def fd(self) -> int | None:
        """None."""
        return None

    def settle(self, deadline: Deadline | None) -> None:
        """Nothing."""

    def available(self) -> int:
        """Unknown, but something."""
        return 1

    def ended(self) -> bool:
        """Whether the end was seen already."""
        return False

    def close(self) -> None:
        """Nothing."""


class ByFile(Ready):
    """By the file behind the object, and what the object has read of it and not given yet."""

    __slots__ = ("_fd", "_held", "_stream")

    def __init__(self, fd: int, stream: Any) -> None:
        self._fd = fd
        self._stream = stream
        self._held = True  # perhaps; a guest's reads leave nothing behind

    def _holds(self) -> int:
        if self._held:
            size = held(self._stream)
            self._held = size > 0
            return size
        return 0

    def fd(self) -> int | None:
        """The file's, unless the object has something itself."""
        return None if self._holds() else self._fd

    def settle(self, deadline: Deadline | None) -> None:
        """Wait here, where it can be ended, and not in the object."""
        if deadline is not None and deadline.active and not self._holds():
            deadline.wait(self._fd, select.POLLIN)

    def available(self) -> int:
        """FIONREAD and what the object holds."""
        return self._holds() + bytes_to_read(self._fd)


class _Threaded(Ready):
    """A thread waits for the object while the guest does other things, and writes to a pipe when something has come."""

    __slots__ = ("_lock", "_over", "_pipe", "_raised", "_thread", "_wanted")

    def __init__(self) -> None:
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
            self._wanted = True
            started = self._thread is None
            if self._thread is None:
                self._over.clear()
                self._thread = threading.Thread(target=self._run, name="wasihost input", daemon=True)
                self._thread.start()
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
                    self._thread = None
                    if came and self._pipe is not None:
                        os.write(self._pipe[1], b"!")
                    break
        self._over.set()

    def _reset(self) -> None:
        """What has come is being used up."""
        if self._pipe is not None and ready_now(self._pipe[0], select.POLLIN):
            os.read(self._pipe[0], 1)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def close(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._wanted = False
            pipe, self._pipe = self._pipe, None
        for fd in pipe or ():
            os.close(fd)


class ByHook(_Threaded):
    """By the object's own `readable(timeout)`."""

    __slots__ = ("_readable",)

    def __init__(self, readable: Callable[[float], Any]) -> None:
        super().__init__()
        self._readable = readable

    def fd(self) -> int | None:
        """Asked here first; the thread is for what is not there yet."""
        self._reset()
        return None if self._readable(0.0) else self._begin()

    def wait(self) -> bool:
        """Until it says yes."""
        while self._wanted:
            if self._readable(_SLICE):
                return True
        return False

    def settle(self, deadline: Deadline | None) -> None:
        """The guest reads, whether it was told to or not. Where it can be ended, it waits here."""
        self._wanted = False
        self._reset()
        if deadline is not None and deadline.active:
            while not self._readable(_SLICE):
                deadline.check()

    def available(self) -> int:
        """What the hook says: a number of bytes, or only that there are some."""
        return int(self._readable(0.0))


class Ahead(_Threaded):
    """By reading, from a thread: what comes is kept for the guest. Only once the guest has asked."""

    __slots__ = ("_piece", "_read")

    def __init__(self, read: Callable[[int], Any]) -> None:
        super().__init__()
        self._read = read
        self._piece: Any = None  # the thread's while there is one, else the guest's

    def fd(self) -> int | None:
        """None where a piece is kept, or the end was reached, or an error is to be told."""
        done = self._thread is None and (self._piece is not None or self._raised is not None)
        return None if done else self._begin()

    def wait(self) -> bool:
        """Read a piece."""
        while self._wanted:
            piece = self._read(_PIECE)
            if piece is not None:
                self._piece = piece
                return True
            self._over.wait(_SLICE / 10)  # it has nothing now, and does not wait by itself
        return False

    def available(self) -> int:
        """Of the piece."""
        return len(self._piece or b"")

    def ended(self) -> bool:
        """The piece is the end."""
        return self._thread is None and self._piece is not None and not self._piece

    def settle(self, deadline: Deadline | None) -> None:
        """Wait for what is being read."""
        if self._thread is not None:
            assert self._pipe is not None
            wait_for([(self._pipe[0], False)], None, deadline or Deadline())

    def take(self, size: int) -> Any:
        """The object's `read`, unless a piece was read ahead."""
        piece = self._piece
        if piece is None and self._raised is None:
            return self._read(size)
        rest = piece[size:] if piece else None
        self._piece = rest or None
        if not rest:
            self._reset()
        return None if piece is None else piece[:size]


def readiness_of(reader: Any) -> Ready | None:
    """How to wait for it; None if only by reading ahead."""
    hook = getattr(reader, "readable", None)
    if hook is not None and _takes_a_timeout(hook):
        return ByHook(hook)
    if isinstance(reader, TextReader) or (isinstance(reader, io.BufferedIOBase) and not hasattr(reader, "raw")):
        return Ready()  # what it holds cannot be known: text half decoded, a file half unpacked
    with suppress(AttributeError, OSError, ValueError, TypeError):  # none, or not now
        fd = reader.fileno()
        return Ready() if stat.S_ISREG(os.fstat(fd).st_mode) else ByFile(fd, reader)
    return None


def _takes_a_timeout(hook: Any) -> bool:
    """Python's own `readable()` takes nothing, and says whether a stream is for reading at all."""
    import inspect

    try:
        inspect.signature(hook).bind(0.0)
    except (TypeError, ValueError):
        return False
    return True


def held(stream: Any) -> int:
    """How many bytes a buffered stream has read from its raw one and not given yet. It is not made to read more."""
    raw, peek = getattr(stream, "raw", None), getattr(stream, "peek", None)
    if raw is None or peek is None:
        return 0
    try:
        raw.readinto = _nothing_now  # in front of the class's own: `peek` reads if the buffer is empty
    except (AttributeError, TypeError):
        return 0
    try:
        return len(peek(1))
    finally:
        del raw.readinto


def _nothing_now(_buffer: object) -> None:
    return None
