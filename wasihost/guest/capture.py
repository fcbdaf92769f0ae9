"""Captured output: bounded, and decoded as `subprocess` decodes it."""

from __future__ import annotations

import codecs
import io
from contextlib import suppress
from typing import TYPE_CHECKING

from wasihost.errors import ConfigError, OutputError
from wasihost.waiting.pieces import PIECE, whole

if TYPE_CHECKING:
    from typing_extensions import Buffer


class CapturedOutput:
    """A guest's output on one stream, up to `limit` bytes. The rest is dropped, and `truncated` is set."""

    __slots__ = ("_data", "_limit", "size", "truncated")

    def __init__(self, limit: int | None) -> None:
        self._data = io.BytesIO()
        self.size: int = 0
        self.truncated: bool = False
        self._limit = limit

    def __call__(self, data: bytes) -> None:
        """Keep what there is room for."""
        if self._limit is not None and self.size + len(data) > self._limit:
            data = data[: self._limit - self.size]
            self.truncated = True
        self.size += self._data.write(data)

    def content(self) -> bytes:
        """Return all of it so far."""
        return whole(self._data)

    def text(self, encoding: str, errors: str) -> str:
        """Return it as text, with newlines as Python has them."""
        if self.size > PIECE:
            with suppress(UnicodeError, LookupError):  # raised below, of the whole
                return self._large_text(encoding, errors)
        return decoded(self._data.getvalue(), encoding, errors).replace("\r\n", "\n").replace("\r", "\n")

    def _large_text(self, encoding: str, errors: str) -> str:
        """Text that is appended to grows in place, while it has one name and no wider character comes."""
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors), translate=True)
        text = ""
        with self._data.getbuffer() as data:
            for at in range(0, self.size, PIECE):
                text += decoder.decode(data[at : at + PIECE])
        text += decoder.decode(b"", final=True)
        return text


class TextMode:
    """From bytes to the text that the caller asked for, and back; bytes stay bytes if no text was asked for."""

    __slots__ = ("encoding", "errors")

    def __init__(self, text: bool | None, encoding: str | None, errors: str | None) -> None:
        self.encoding: str | None = encoding or ("utf-8" if text or errors else None)
        self.errors: str = errors or "strict"
        if self.encoding is not None:
            _found(self.encoding, self.errors)

    def decode(self, captured: CapturedOutput | None) -> bytes | str | None:
        """Return captured output, as text with Python's newlines if asked for. Raises OutputError as `errors` says."""
        # A character cut in two by the limit is not the guest's mistake.
        return self._decoded(
            captured, "ignore" if captured and captured.truncated and self.errors == "strict" else self.errors
        )

    def decode_any(self, captured: CapturedOutput | None) -> bytes | str | None:
        """Do the same for an exception that is being raised, which nothing may replace: bad bytes become U+FFFD."""
        try:
            return self.decode(captured)
        except (UnicodeError, LookupError):
            return self._decoded(captured, "replace")

    def _decoded(self, captured: CapturedOutput | None, errors: str) -> bytes | str | None:
        if captured is None or self.encoding is None:
            return None if captured is None else captured.content()
        return captured.text(self.encoding, errors)

    def encode(self, text: Buffer | str) -> bytes:
        """What the guest is to read: a str, or any bytes-like object. ConfigError for text without `text=True`."""
        if isinstance(text, str):
            if self.encoding is None:
                raise ConfigError("input is text: give bytes, or text=True, or an encoding")
            return text.encode(self.encoding, self.errors)
        if isinstance(text, bytes):
            return text
        try:
            return memoryview(text).tobytes()
        except TypeError:
            raise ConfigError(
                f"input cannot be {text!r}: give bytes or str, or stdin=... for an object with read()"
            ) from None


def decoded(data: bytes | bytearray, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Return `data.decode(...)`. Raises OutputError, not UnicodeDecodeError, for what is not text."""
    try:
        return data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise OutputError(*error.args) from None


def _found(encoding: str, errors: str) -> None:
    """Have Python load what is needed now, not when a guest has written. ConfigError for what Python does not know."""
    try:
        "".encode(encoding).decode(encoding)
        codecs.lookup_error(errors)
    except LookupError as error:
        raise ConfigError(
            f"{error}; as encoding give a name such as 'utf-8', as errors one such as 'replace'"
        ) from None
