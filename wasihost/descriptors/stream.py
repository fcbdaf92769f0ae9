"""Standard streams that are Python objects: bytes, anything with `read` or `write`, a callable, or nothing at all.

A user's object never gets a view of guest memory, which it could keep past the guest's end: it gets and gives `bytes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Rights

from wasihost import rights as kinds
from wasihost.deadline import Deadline
from wasihost.descriptors.base import Stream, one_piece

_OTHERS = kinds.STREAM & ~(Rights.FD_READ | Rights.FD_WRITE)


class Reader(Protocol):
    """What can be standard input."""

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
        """NOTSUP: an object that has nothing now says so by itself."""
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
    """Standard input from an object with `read`."""

    __slots__ = ("_read", "deadline")

    def __init__(self, reader: Reader) -> None:
        super().__init__(_OTHERS | Rights.FD_READ)
        self.deadline: Deadline | None = None
        # A buffered reader's read(n) waits for n bytes; read1 answers with what a pipe or a terminal has.
        self._read: Callable[[int], bytes | str | None] = getattr(reader, "read1", None) or reader.read

    def attend(self, deadline: Deadline) -> None:
        """Looked at when the object's `read` has returned: what that waits for cannot be interrupted."""
        self.deadline = deadline

    def read(self, buffers: list[memoryview]) -> int:
        """One `read` of the object for the first buffer that is not empty; AGAIN where it has nothing now."""
        for buffer in buffers:
            if len(buffer):
                data = self._read(len(buffer))
                if self.deadline is not None and self.deadline.active:
                    self.deadline.check()
                if data is None:
                    raise WasiError(Errno.AGAIN)
                if isinstance(data, str):
                    raise TypeError("standard input gave str: pass a binary stream, such as sys.stdin.buffer")
                if len(data) > len(buffer):
                    raise ValueError(f"standard input gave {len(data)} bytes when asked for {len(buffer)}")
                buffer[: len(data)] = data
                return len(data)
        return 0


class WriterOutput(PythonStream):
    """Output to an object with `write`, or to a callable that takes bytes."""

    __slots__ = ("_flush", "_write")

    def __init__(self, writer: Writer | Callable[[bytes], object]) -> None:
        super().__init__(_OTHERS | Rights.FD_WRITE)
        write: Any = getattr(writer, "write", None) or writer
        self._write: Callable[[bytes], object] = write
        self._flush: Callable[[], object] | None = getattr(writer, "flush", None)

    def write(self, buffers: list[memoryview]) -> int:
        """One `write` of the object; its flush, if it has one, so that the bytes are there when the call returns."""
        data = bytes(buffers[0] if len(buffers) == 1 else one_piece(buffers))
        taken = self._write(data)
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
