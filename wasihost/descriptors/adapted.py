"""Other shapes of streams as readers and writers of bytes: text streams, with UTF-8 in between, and callables."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable


class CallableReader:
    """A callable that takes how many bytes are wanted and answers them."""

    def __init__(self, function: Callable[[int], bytes | None]) -> None:
        self.read = function


class TextReader:
    """The bytes of a text stream, such as `io.StringIO` or a file opened for text."""

    def __init__(self, stream: io.TextIOBase) -> None:
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
