"""Other shapes of streams as readers and writers of bytes: text streams, with UTF-8 in between, and callables.

Here too is what can be known of a stream object from outside: what it stands on, and who it is from run to run.
"""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class CallableReader:
    """A callable that takes how many bytes are wanted and answers them."""

    def __init__(self, function: Callable[[int], bytes | None]) -> None:
        self.read = function


class TextReader:
    """The bytes of a text stream, such as `io.StringIO` or a file opened for text."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self.stream = stream
        # A file's read(n) waits for n characters; a terminal gives a line.
        self._next: Callable[[int], str] = stream.read if isinstance(stream, io.StringIO) else stream.readline
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; what a character has more is given by the next call."""
        if not self._rest:
            self._rest = self._next(max(size, 1)).encode("utf-8", "surrogateescape")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class TextWriter:
    """Writes bytes to a text stream, such as `sys.stdout` or `io.StringIO`.

    A character that is cut in two waits for its other half; what is not UTF-8 becomes U+FFFD.
    """

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def write(self, data: bytes, /) -> None:
        """All of it."""
        self._stream.write(self._decode(data))

    def flush(self) -> None:
        """The stream's."""
        self._stream.flush()


_BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)


def plain_fd(stream: Any) -> int | None:
    """The descriptor of a binary stream of Python's own that does nothing but read or write it, with a buffer or not.

    None for every other: one that has a `fileno` may still hold data that it unpacked, decrypted or got from elsewhere.
    """
    raw = stream.raw if type(stream) in _BUFFERED else stream
    sockets: Any = sys.modules.get("socket")
    of_socket = sockets is not None and type(raw) is sockets.SocketIO and type(raw._sock) is sockets.socket
    if type(raw) is io.FileIO or of_socket:
        with suppress(OSError, ValueError):  # it is closed
            return int(raw.fileno())
    return None


def owner_of(reader: Any) -> Any:
    """The embedder's object that a reader stands for: the same for each run that it is given to."""
    if isinstance(reader, TextReader):
        return reader.stream
    if isinstance(reader, CallableReader):
        return getattr(reader.read, "__self__", reader.read)
    return reader
