"""Streams without a file that the system knows, or over a pipe, for the tests of waiting for input."""

from __future__ import annotations

import os
import queue
import threading
from typing import Any

NONBLOCK = 4
SOON = 0.03
TICK = 2_000_000
LONG = 20 * 10**9


class Line:
    """A stream with nothing behind it that the system knows: `send` gives it data, b"" ends it."""

    def __init__(self) -> None:
        self.pieces: queue.Queue[bytes] = queue.Queue()
        self.rest = b""
        self.over = False

    def send(self, data: bytes) -> None:
        self.pieces.put(data)

    def wait(self, timeout: float | None) -> bool:
        if not self.rest and not self.over:
            try:
                self.rest = self.pieces.get(timeout=timeout) if timeout != 0 else self.pieces.get_nowait()
            except queue.Empty:
                return False
            self.over = not self.rest
        return True

    def read(self, size: int) -> bytes:
        self.wait(None)
        data, self.rest = self.rest[:size], self.rest[size:]
        return data


class Hooked(Line):
    """It says whether it has something."""

    def readable(self, timeout: float) -> int:
        return self.wait(timeout) and (len(self.rest) or 1)


class Impatient(Line):
    """Its `read` returns None if it has nothing now."""

    def read(self, size: int) -> bytes | None:  # type: ignore[override]  # what such a reader is
        return super().read(size) if self.wait(0) else None


class OnPipe:
    """A file object of Python's over a pipe."""

    def __init__(self, buffering: int) -> None:
        reads, self.writes = os.pipe()
        self.stream: Any = os.fdopen(reads, "rb", buffering=buffering)

    def send(self, data: bytes) -> None:
        if data:
            os.write(self.writes, data)
        else:
            os.close(self.writes)
            self.writes = -1

    def close(self) -> None:
        self.stream.close()
        if self.writes >= 0:
            os.close(self.writes)


def input_threads() -> int:
    return sum(thread.name == "wasihost input" for thread in threading.enumerate())
