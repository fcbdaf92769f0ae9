"""Other shapes of streams as readers and writers of bytes: text streams, with UTF-8 in between, and callables.

Here too is what can be known of a stream object from outside: whether it is for text, what it stands on, and who it is
from run to run.
"""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal


class CallableReader:
    """A callable that takes how many bytes are wanted and answers them."""

    def __init__(self, function: Callable[[int], bytes | None]) -> None:
        self.read = function


class TextReader:
    """The bytes of a text stream, such as `io.StringIO` or a file opened for text."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        # A file's read(n) waits for n characters; a terminal gives a line.
        by_line = None if isinstance(stream, io.StringIO) else getattr(stream, "readline", None)
        self._next: Callable[[int], str | bytes | None] = by_line or stream.read
        self._rest = b""

    def read(self, size: int, /) -> bytes | None:
        """Up to `size` bytes. No more characters are taken than surely fit; what one has more is for the next call."""
        if not self._rest:
            data = self._next(max(size // LONGEST, 1))
            if data is None:
                return None
            self._rest = encoded(data) if isinstance(data, str) else data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class TextWriter:
    """Writes bytes to a text stream, such as `sys.stdout` or `io.StringIO`.

    A character that is cut in two waits for its other half; what is not UTF-8 becomes U+FFFD.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def write(self, data: bytes, /) -> None:
        """All of it."""
        self._write(self._decode(data))

    def finish(self) -> None:
        """Nothing comes any more: half a character that still waits is U+FFFD too."""
        if rest := self._decode(b"", True):
            self._write(rest)


LONGEST = 4
"""Bytes of a character in UTF-8, at most."""


def encoded(text: str) -> bytes:
    """As a guest reads it."""
    return text.encode("utf-8", "surrogateescape")


def unwrapped(stream: Any) -> Any:
    """The file of Python's own that a named temporary file stands for; any other object itself."""
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None and isinstance(stream, tempfile._TemporaryFileWrapper):
        return stream.file
    return stream


def is_text(stream: Any) -> bool | None:
    """Whether a stream is for str. None where only its use can show that: it has no `encoding`, and is none of `io`'s.

    Python's own text streams are; so is what stands for `sys.stdout`, which everybody prints to, and, by its
    `encoding`, most of what is made like a text file: `codecs`' files, temporary files, wrappers of `sys.stdout`.
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
    """Whether its `write` may take a part, and returns how many bytes that was, or None for nothing now."""
    return isinstance(unwrapped(stream), io.RawIOBase)


def is_async(function: Any) -> bool:
    """Whether a function is a coroutine function, or an object is called by one."""
    for one in (function, getattr(type(function), "__call__", None)):  # noqa: B004  # not whether it can be called
        code = getattr(getattr(one, "__func__", one), "__code__", None)
        if code is not None and code.co_flags & _CO_COROUTINE:
            return True
    return False


_CO_COROUTINE = 0x80
"""As `inspect` has it, which takes long to import."""


def why_not(stream: Any, use: Literal["read", "write"]) -> str | None:
    """Why a stream cannot be used so: it is closed, say, or was opened for the other direction. None if it can."""
    if is_async(getattr(stream, use, stream)):
        return "it is to be awaited, which only run_async does"
    stream = unwrapped(stream)
    if getattr(stream, "closed", False) is True:
        return "it is closed"
    if isinstance(stream, io.IOBase) and not _can(stream, use):
        return f"it was not opened to {use}"
    return None


def _can(stream: Any, use: str) -> bool:
    tell = "readable" if use == "read" else "writable"
    own = type(stream)
    if getattr(own, tell, None) is getattr(io.IOBase, tell):  # which always says no: the class may not have said
        refusing = (io.BufferedIOBase, io.TextIOBase)
        return all(getattr(own, use, None) is not getattr(base, use) for base in refusing)
    try:
        return getattr(stream, tell)() is not False
    except TypeError:  # a hook of ours, which takes a timeout
        return True


_BUFFERED = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom)


def underlying_fd(stream: Any) -> int | None:
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


def stream_identity(reader: Any) -> Any:
    """The embedder's object that a reader stands for: the same for each run that it is given to."""
    if isinstance(reader, TextReader):
        return reader.stream
    if isinstance(reader, CallableReader):
        return getattr(reader.read, "__self__", reader.read)
    return reader
