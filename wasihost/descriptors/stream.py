"""Standard streams that are Python objects: bytes, anything with `read` or `write`, a callable, or nothing at all.

A user's object never gets a view of guest memory, which it could keep past the guest's end: it gets and gives `bytes`.
"""

from __future__ import annotations

import io
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Rights

from wasihost import rights as kinds
from wasihost.deadline import Deadline, ready_now
from wasihost.descriptors.base import Stream, one_piece

if TYPE_CHECKING:
    from wasihost.descriptors.ready import Ready

_AHEAD = "wasihost.descriptors.ahead"
_OTHERS = kinds.STREAM & ~(Rights.FD_READ | Rights.FD_WRITE)


class Reader(Protocol):
    """What can be standard input.

    It may also have `readable(timeout)`: wait up to so many seconds, and answer whether there is something to read, or
    how many bytes. Without it, a guest that polls is told what a thread finds that reads ahead; see `docs/input.md`.
    """

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes; b"" at the end, None if there is nothing now."""


class Writer(Protocol):
    """What can be standard output or standard error."""

    def write(self, data: bytes, /) -> int | None:
        """Take `data`; how much of it was taken, or None for all."""


class PythonStream(Stream):
    """What both directions share. To the guest it is something without a position: not a terminal, not a file."""

    __slots__ = ()

    def set_flags(self, flags: Fdflags) -> None:
        """NOTSUP."""
        raise WasiError(Errno.NOTSUP)

    def filetype(self) -> Filetype:
        """Unknown: neither a terminal nor a file."""
        return Filetype.UNKNOWN

    def stat(self) -> Filestat:
        """Nothing but the type."""
        return Filestat(0, 0, self.filetype(), 1, 0, 0, 0, 0)


class BytesInput(PythonStream):
    """Standard input from memory."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        super().__init__(_OTHERS | Rights.FD_READ)
        self._data = memoryview(data)
        self._position = 0

    def available(self) -> int:
        """What is left."""
        return len(self._data) - self._position

    def read(self, buffers: list[memoryview]) -> int:
        """The next bytes, copied once."""
        total = 0
        for buffer in buffers:
            chunk = self._data[self._position : self._position + len(buffer)]
            size = len(chunk)
            buffer[:size] = chunk
            self._position += size
            total += size
            if size < len(buffer):
                break
        return total


class ReaderInput(PythonStream):
    """Standard input from an object with `read`.

    How to know that it has something is found out when the guest first wants to: `readiness` is loaded then.
    """

    __slots__ = ("_read", "_reader", "_readiness", "deadline")

    def __init__(self, reader: Reader) -> None:
        super().__init__(_OTHERS | Rights.FD_READ)
        self.deadline: Deadline | None = None
        self._reader = reader
        self._readiness: Ready | None = None
        # A buffered reader's read(n) waits for n bytes; read1 answers with what a pipe or a terminal has.
        self._read: Callable[[int], bytes | str | None] = getattr(reader, "read1", None) or reader.read
        if _AHEAD in sys.modules:  # else no run has read anything ahead
            from wasihost.descriptors.ahead import left_behind

            if (left := left_behind(reader)) is not None:
                self._readiness, self._read = left, left.reading(self._read)

    def attend(self, deadline: Deadline) -> None:
        """Where the object says how to wait for it, no longer than that; else looked at when its `read` returns."""
        self.deadline = deadline

    def close(self) -> None:
        """The object stays open: it is the embedder's. Nobody waits for it any more."""
        if self._readiness is not None:
            from wasihost.descriptors.ahead import leave

            leave(self._reader, self._readiness)

    @property
    def readiness(self) -> Ready:
        """How to wait for the object."""
        if self._readiness is None:
            from wasihost.descriptors.readiness import readiness_of

            self._readiness = readiness_of(self._reader)
            self._read = self._readiness.reading(self._read)
        return self._readiness

    def host_fd(self) -> int | None:
        """What becomes readable when the object has something; None if it has, or gives no way to ask."""
        return self.readiness.fd()

    def available(self) -> int:
        """As far as the object tells."""
        return self.readiness.available()

    def ended(self) -> bool:
        """If the end was read ahead."""
        return self.readiness.ended()

    def set_flags(self, flags: Fdflags) -> None:
        """NONBLOCK: a read answers AGAIN where the object is known to have nothing. NOTSUP for any other."""
        if flags & ~Fdflags.NONBLOCK:
            raise WasiError(Errno.NOTSUP)
        self.flags = flags

    def read(self, buffers: list[memoryview]) -> int:
        """One `read` of the object for the first buffer that is not empty; AGAIN where it has nothing now."""
        for buffer in buffers:
            if len(buffer):
                data = self._next(len(buffer))
                if data is None:
                    raise WasiError(Errno.AGAIN)
                if isinstance(data, str):
                    raise TypeError("standard input gave str: pass a binary stream, such as sys.stdin.buffer")
                if len(data) > len(buffer):
                    raise ValueError(f"standard input gave {len(data)} bytes when asked for {len(buffer)}")
                buffer[: len(data)] = data
                return len(data)
        return 0

    def _next(self, size: int) -> bytes | str | None:
        deadline = self.deadline if self.deadline is not None and self.deadline.active else None
        if self.flags:
            fd = self.readiness.fd()
            if fd is not None and not ready_now(fd, select.POLLIN):
                return None
        if deadline is not None or self._readiness is not None:
            self.readiness.settle(deadline)
        data = self._read(size)
        if deadline is not None:
            deadline.check()
        return data


class WriterOutput(PythonStream):
    """Output to an object with `write`, or to a callable that takes bytes."""

    __slots__ = ("_flush", "_may_refuse", "_write")

    def __init__(self, writer: Writer | Callable[[bytes], object]) -> None:
        super().__init__(_OTHERS | Rights.FD_WRITE)
        self._may_refuse = isinstance(writer, io.RawIOBase)  # whose None is not "all", but "nothing now"
        write: Any = getattr(writer, "write", None) or writer
        self._write: Callable[[bytes], object] = write
        self._flush: Callable[[], object] | None = getattr(writer, "flush", None)

    def write(self, buffers: list[memoryview]) -> int:
        """One `write` of the object; its flush, if it has one, so that the bytes are there when the call returns."""
        data = bytes(buffers[0] if len(buffers) == 1 else one_piece(buffers))
        try:
            taken = self._write(data)
        except BlockingIOError as error:
            taken = error.characters_written if hasattr(error, "characters_written") else 0
            if not taken:
                raise
        if taken is None and self._may_refuse:
            raise WasiError(Errno.AGAIN)
        if self._flush is not None:
            self._flush()
        if type(taken) is int and 0 <= taken < len(data):
            return taken
        return len(data)


class NullStream(PythonStream):
    """Empty input and discarded output: what a guest gets when nothing was given."""

    __slots__ = ()

    def __init__(self, direction: Rights) -> None:
        super().__init__(_OTHERS | direction)

    def read(self, buffers: list[memoryview]) -> int:
        """The end."""
        return 0

    def write(self, buffers: list[memoryview]) -> int:
        """All of it, gone."""
        return sum(len(buffer) for buffer in buffers)
