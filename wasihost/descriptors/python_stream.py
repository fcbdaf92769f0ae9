"""Standard streams that are Python objects: bytes, an object with `read` or `write`, a callable, or nothing.

An object of the embedder's gets and returns `bytes`, never a view of guest memory, which it could keep after the guest
has ended.
"""

from __future__ import annotations

import io
import sys

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Rights

from wasihost.common.unpatched import select
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Stream, joined
from wasihost.errors import ConfigError
from wasihost.waiting.cancel_scope import CancelScope, ready_now
from wasihost.waiting.pieces import PIECE, copy, each
from wasihost.waiting.stream_objects import LONGEST, TextWriter, counts_bytes, encoded, is_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from wasihost.config.streams import Reader, TextStream, Writer
    from wasihost.waiting.input_ready import Ready

_INPUT_THREAD = "wasihost.waiting.input_thread"
_OTHERS = kinds.STREAM & ~(Rights.FD_READ | Rights.FD_WRITE)
_ONE_WAY = {direction: _OTHERS | direction for direction in (Rights.FD_READ, Rights.FD_WRITE)}


class PythonStream(Stream):
    """What both directions share. To the guest it has no position, and is neither a terminal nor a file."""

    __slots__ = ()

    def set_flags(self, flags: Fdflags) -> None:
        """Raise NOTSUP: no flag can be set."""
        raise WasiError(Errno.NOTSUP)

    def filetype(self) -> Filetype:
        return Filetype.UNKNOWN

    def stat(self) -> Filestat:
        """A `filestat` in which only the type means something."""
        return Filestat(0, 0, self.filetype(), 1, 0, 0, 0, 0)


class BytesInput(PythonStream):
    """Standard input from memory."""

    __slots__ = ("_data", "_position", "scope")

    def __init__(self, data: bytes) -> None:
        super().__init__(_OTHERS | Rights.FD_READ)
        self.scope: CancelScope | None = None
        self._data = memoryview(data)
        self._position = 0

    def set_scope(self, scope: CancelScope) -> None:
        """Copying a large amount stops when `scope` ends."""
        self.scope = scope

    def available(self) -> int:
        """The bytes that are left."""
        return len(self._data) - self._position

    def read(self, buffers: list[memoryview]) -> int:
        total = 0
        for buffer in buffers:
            chunk = self._data[self._position : self._position + len(buffer)]
            size = len(chunk)
            if size > PIECE:
                copy(buffer, chunk, self.scope)
            else:
                buffer[:size] = chunk
            self._position += size
            total += size
            if size < len(buffer):
                break
        return total


class ReaderInput(PythonStream):
    """Standard input from an object with `read`.

    How to wait for the object is decided when the guest first polls it: `waiting.inputs` is imported then.
    """

    __slots__ = ("_gives_text", "_read", "_reader", "_readiness", "_rest", "scope")

    def __init__(self, reader: Reader) -> None:
        super().__init__(_OTHERS | Rights.FD_READ)
        self.scope: CancelScope | None = None
        self._reader = reader
        self._readiness: Ready | None = None
        self._gives_text = False
        self._rest = b""  # bytes of a text that was longer, encoded, than the guest had asked for
        # A buffered reader's read(n) waits for n bytes; read1 returns what a pipe or a terminal has. But a wrapper with
        # a `read` of its own may pass on the read1 of what it wraps, as the readers of `codecs` do.
        own = type(reader)
        direct = getattr(reader, "read1", None) if hasattr(own, "read1") or not hasattr(own, "read") else None
        self._read: Callable[[int], Any] = direct or reader.read
        if _INPUT_THREAD in sys.modules:  # otherwise no run has read anything ahead
            from wasihost.waiting.input_thread import unpark

            if (left := unpark(reader)) is not None:
                self._readiness, self._read = left, left.wrap_read(self._read)

    def set_scope(self, scope: CancelScope) -> None:
        """Waiting for the object stops when `scope` ends. If there is no way to wait for it, the scope is checked after
        each `read`."""
        self.scope = scope

    def close(self) -> None:
        """Stop waiting for the object. It stays open: it belongs to the embedder."""
        if self._readiness is not None:
            from wasihost.waiting.input_thread import park

            park(self._reader, self._readiness)

    @property
    def readiness(self) -> Ready:
        """How to wait for the object; decided at first use."""
        if self._readiness is None:
            from wasihost.waiting.inputs import readiness_of

            self._readiness = readiness_of(self._reader)
            self._read = self._readiness.wrap_read(self._read)
        return self._readiness

    def host_fd(self) -> int | None:
        """An fd that becomes readable when the object has input; None if it has some, or cannot be asked."""
        return None if self._rest else self.readiness.fd()

    def available(self) -> int:
        """The bytes that the object is known to have."""
        return len(self._rest) or self.readiness.available()

    def at_eof(self) -> bool:
        """True if the end of input was read ahead."""
        return not self._rest and self.readiness.at_eof()

    def set_flags(self, flags: Fdflags) -> None:
        """With NONBLOCK a read raises AGAIN if the object is known to have no input. Raises NOTSUP for other flags."""
        if flags & ~Fdflags.NONBLOCK:
            raise WasiError(Errno.NOTSUP)
        self.flags = flags

    def read(self, buffers: list[memoryview]) -> int:
        """Call the object's `read` once, for the first buffer that is not empty, and for at most `PIECE` bytes.

        Raises AGAIN if the object returns None.
        """
        for buffer in buffers:
            if size := len(buffer):
                if size > PIECE:
                    size = PIECE
                data: Any = self._rest or self._next(max(size // LONGEST, 1) if self._gives_text else size)
                taken = len(data) if type(data) is bytes else size + 1
                if taken > size:  # a rest, or what is not usual
                    data = self._rest or self._bytes(data, size)
                    self._rest = data[size:]
                    taken = len(data) - len(self._rest)
                    data = data[:taken]
                elif self._rest:
                    self._rest = b""
                buffer[:taken] = data
                return taken
        return 0

    def _bytes(self, data: Any, size: int) -> bytes:
        """Convert what `read` returned to bytes. A str may have characters of several bytes."""
        if data is None:
            raise WasiError(Errno.AGAIN)
        if isinstance(data, str):
            self._gives_text = True
        elif not isinstance(data, bytes):
            try:
                data = memoryview(data).tobytes()
            except TypeError:
                raise TypeError(
                    f"standard input gave {type(data).__name__} when asked for bytes: {self._reader!r}"
                ) from None
        if len(data) > size:
            unit = "characters" if isinstance(data, str) else "bytes"
            raise ValueError(f"standard input gave {len(data)} {unit} when asked for {size}")
        return encoded(data) if isinstance(data, str) else data

    def _next(self, size: int) -> Any:
        scope = self.scope
        if scope is not None and not scope.active:
            scope = None
        if self.flags:
            fd = self.readiness.fd()
            if fd is not None and not ready_now(fd, select.POLLIN):
                return None
        if scope is not None or self._readiness is not None:
            self.readiness.wait_before_read(scope)
        try:
            data = self._read(size)
        except io.UnsupportedOperation as error:
            raise _misused(self._reader, "input", "read", error) from error
        if scope is not None:
            scope.check()
        return data


class WriterOutput(PythonStream):
    """Output to an object with `write`, or to a callable that takes bytes.

    If nothing shows whether an object takes bytes or str, the first output is passed as bytes. If the object rejects it
    as the wrong type, the same output, and all that follows, is passed as str. Nothing is written as a test.
    """

    __slots__ = ("_copies", "_flush", "_may_refuse", "_other", "_stream", "_text", "_write", "scope")

    def __init__(self, stream: Writer | TextStream | Callable[[bytes], object]) -> None:
        super().__init__(_OTHERS | Rights.FD_WRITE)
        self.scope: CancelScope | None = None
        own: Any = getattr(stream, "write", None)
        function: Any = stream if own is None else own
        if own is None and getattr(stream, "__name__", "") == "write":
            own, stream = stream, getattr(stream, "__self__", stream)  # treat `sys.stdout.write` like `sys.stdout`
        self._stream = stream
        self._may_refuse = counts_bytes(stream)
        self._copies = type(stream) is not io.BytesIO  # which copies what it gets, and keeps no view of it
        self._flush: Callable[[], object] | None = getattr(stream, "flush", None)
        self._text: TextWriter | None = None
        self._write: Callable[[Any], object] = function
        kind = False if own is None else is_text(stream)
        self._other: Callable[[Any], object] | None = None  # how to write if the first bytes are of the wrong type
        if kind is not False:
            text = TextWriter(own)
            if kind is None:
                self._other = text.write
            else:
                self._other = None if isinstance(stream, io.TextIOBase) else own
                self._write = text.write
            self._text = text

    def set_scope(self, scope: CancelScope) -> None:
        """Writing a large amount stops when `scope` ends."""
        self.scope = scope

    def write(self, buffers: list[memoryview]) -> int:
        """Call the object's `write` once for each `PIECE` bytes, and its `flush`, if it has one, so that the output has
        arrived when the call returns."""
        all_ = buffers[0] if len(buffers) == 1 else joined(buffers)
        total = len(all_)
        if total > PIECE:
            return each([all_], self.scope, lambda piece, _: self.write([piece]))
        data: bytes | memoryview = bytes(all_) if self._copies else all_
        try:
            taken = self._write(data)
        except BlockingIOError as error:
            taken = error.characters_written if hasattr(error, "characters_written") else 0
            if not taken:
                raise
            return min(taken, total)
        except io.UnsupportedOperation as error:
            raise _misused(self._stream, "output", "write", error) from error
        except (TypeError, AttributeError) as error:
            if self._other is None or not _wrong_type(error):
                raise
            taken = self._change(data, error)
        self._other = None
        if self._may_refuse and (taken != total or not total):
            total = self._taken(taken, total)
        if self._flush is not None:
            self._flush()
        return total

    def _change(self, data: bytes | memoryview, refusal: Exception) -> object:
        """Write as str what was rejected as bytes, or the reverse."""
        assert self._other is not None
        self._write = self._other
        try:
            return self._write(data)
        except (TypeError, AttributeError):
            raise refusal from None  # rejected for another reason

    def _taken(self, taken: Any, size: int) -> int:
        """Check the number of bytes that a raw stream reports. Raises AGAIN for none."""
        if taken is None or (taken == 0 and size):
            raise WasiError(Errno.AGAIN)  # a guest that gets 0 would retry without end
        if not isinstance(taken, int) or not 0 <= taken <= size:
            raise ValueError(f"write() of {self._stream!r} returned {taken!r} when given {size} bytes")
        return taken

    def close(self) -> None:
        """Pass the rest of an incomplete character to a text stream. The object stays open: it is the embedder's."""
        if self._text is not None:
            try:
                self._text.finish()
            except Exception:  # for example, the stream was closed in the meantime
                pass


def _wrong_type(error: TypeError | AttributeError) -> bool:
    """True if a `write` may have failed because it got bytes instead of str, or the reverse."""
    return isinstance(error, TypeError) or isinstance(error.obj, (bytes, str))


def _misused(stream: object, name: str, use: Literal["read", "write"], error: Exception) -> ConfigError:
    return ConfigError(f"standard {name} cannot be {stream!r}: it cannot {use} ({error})")


class NullStream(PythonStream):
    """Empty input and discarded output: the default for streams that the config does not set."""

    __slots__ = ()

    def __init__(self, direction: Rights) -> None:
        super().__init__(_ONE_WAY[direction])

    def read(self, buffers: list[memoryview]) -> int:
        """Return 0, the end of input."""
        return 0

    def write(self, buffers: list[memoryview]) -> int:
        """Discard the bytes."""
        return sum(len(buffer) for buffer in buffers)
