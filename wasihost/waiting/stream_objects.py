"""Text streams and callables as readers and writers of bytes; text is UTF-8.

Also what can be found out about a stream object from outside: whether it is for text, which fd it wraps, and its
identity across runs.
"""

from __future__ import annotations

import codecs
import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal


class CallableReader:
    """Reads from a callable that takes the number of bytes wanted and returns them."""

    def __init__(self, function: Callable[[int], bytes | None]) -> None:
        self.read = function


class TextReader:
    """Reads bytes from a text stream, such as `io.StringIO` or a file opened for text."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        # read(n) of a text file blocks until it has n characters; a terminal returns a line.
        by_line = None if isinstance(stream, io.StringIO) else getattr(stream, "readline", None)
        self._next: Callable[[int], str | bytes | None] = by_line or stream.read
        self._rest = b""

    def read(self, size: int, /) -> bytes | None:
        """Return up to `size` bytes. Reads only as many characters as are sure to fit; the rest of one is kept."""
        if not self._rest:
            data = self._next(max(size // LONGEST, 1))
            if data is None:
                return None
            self._rest = encoded(data) if isinstance(data, str) else data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class TextWriter:
    """Writes bytes to a text stream, such as `sys.stdout` or `io.StringIO`.

    An incomplete character is kept until its other bytes arrive; bytes that are not UTF-8 become U+FFFD.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def write(self, data: bytes, /) -> None:
        """Write all bytes."""
        self._write(self._decode(data))

    def finish(self) -> None:
        """No more bytes will come: an incomplete character is written as U+FFFD."""
        if rest := self._decode(b"", True):
            self._write(rest)


LONGEST = 4
"""The most bytes of a character in UTF-8."""


def encoded(text: str) -> bytes:
    """Encode text as the guest reads it."""
    return text.encode("utf-8", "surrogateescape")


def unwrapped(stream: Any) -> Any:
    """Return the file inside a named temporary file of `tempfile`; any other object itself."""
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None and isinstance(stream, tempfile._TemporaryFileWrapper):
        return stream.file
    return stream


def is_text(stream: Any) -> bool | None:
    """True if a stream is for str, False if it is for bytes, None if only its use can show that.

    Text streams of `io` are for str, and so are replacements of `sys.stdout`. A stream with an `encoding` is for str:
    files of `codecs`, temporary files, wrappers of `sys.stdout`. None means: no `encoding`, and not a class of `io`.
    """
    stream = unwrapped(stream)
    if isinstance(stream, io.TextIOBase):
        return True
    if isinstance(stream, (io.RawIOBase, io.BufferedIOBase)):
        return False
    if any(stream is one for one in (sys.stdin, sys.stdout, sys.stderr)):
        return True
    try:
        return True if isinstance(stream.encoding, str) else None
    except Exception:  # it has none
        return None


def counts_bytes(stream: Any) -> bool:
    """True if `write` may write only a part, and returns how many bytes it wrote, or None for none."""
    return isinstance(unwrapped(stream), io.RawIOBase)


def is_async(function: Any) -> bool:
    """True for a coroutine function, and for an object whose `__call__` is one."""
    for one in (function, getattr(type(function), "__call__", None)):  # noqa: B004  # not whether it can be called
        code = getattr(getattr(one, "__func__", one), "__code__", None)
        if code is not None and code.co_flags & _CO_COROUTINE:
            return True
    return False


_CO_COROUTINE = 0x80
"""From `inspect`, which takes long to import."""


def why_not(stream: Any, use: Literal["read", "write"]) -> str | None:
    """Return why a stream cannot be read or written, for example because it is closed; None if it can."""
    if is_async(getattr(stream, use, stream)):
        return "it is to be awaited, which only run_async does"
    stream = unwrapped(stream)
    if getattr(stream, "closed", False) is True:
        return "it is closed"
    if isinstance(stream, io.IOBase) and not _can(stream, use):
        return f"it was not opened to {use}"
    return None


def _can(stream: Any, use: str) -> bool:
    method = "readable" if use == "read" else "writable"
    own = type(stream)
    if getattr(own, method, None) is getattr(
        io.IOBase, method
    ):  # the default, always False: the class may not have overridden it
        refusing = (io.BufferedIOBase, io.TextIOBase)
        return all(getattr(own, use, None) is not getattr(base, use) for base in refusing)
    try:
        return getattr(stream, method)() is not False
    except TypeError:  # the hook `readable(timeout)` of an input object
        return True


_BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)


def underlying_fd(stream: Any) -> int | None:
    """Return the fd of a binary stream of `io` or `socket` that only reads or writes that fd, buffered or not.

    None for every other object: even one with `fileno` may hold data that it decompressed, decrypted or got from
    elsewhere.
    """
    raw = stream.raw if type(stream) in _BUFFERED else stream
    sockets: Any = sys.modules.get("socket")
    of_socket = sockets is not None and type(raw) is sockets.SocketIO and type(raw._sock) is sockets.socket
    if type(raw) is io.FileIO or of_socket:
        try:
            return int(raw.fileno())
        except (OSError, ValueError):  # it is closed
            pass
    return None


def stream_identity(reader: Any) -> Any:
    """Return the embedder's object behind a reader: the same for each run to which the object is passed."""
    if isinstance(reader, TextReader):
        return reader.stream
    if isinstance(reader, CallableReader):
        return getattr(reader.read, "__self__", reader.read)
    return reader
