"""The caller's ends of the pipes to a guest that was started: files, as `subprocess` makes them.

Rules of this file: pipes are those of the system. A pipe holds about 64 KiB; a writer of more waits for the reader, and
a reader can wait with `select` on the descriptor.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from wasihost.common.forking import in_forked_child
from wasihost.common.threads import Latch, start_thread
from wasihost.descriptors.pipe_end import PipeEnd, replace_by_null

if TYPE_CHECKING:
    from wasihost.guest.capture import TextMode

_PIECE = 1 << 16


class Handle(Protocol):
    """Keeps the guest alive while its output can be read."""

    def at_end(self) -> None:
        """Called when all output has been read: raise the exception that ended the guest."""


class _Output:
    """Base of the three classes below: a read at the end of the output raises the exception that ended the guest."""

    handle: Handle | None = None

    def _seen(self, data: Any, size: int | None = -1) -> Any:
        if not data and size != 0 and data is not None and self.handle is not None:
            self.handle.at_end()
        return data

    def read(self, size: int | None = -1, /) -> Any:
        return self._seen(super().read(size), size)  # type: ignore[misc]  # of the class that it is mixed into

    def readline(self, size: int | None = -1, /) -> Any:
        return self._seen(super().readline(size), size)  # type: ignore[misc]  # the same

    def readlines(self, hint: int | None = -1, /) -> Any:
        lines: list[Any] = []
        length = 0
        while line := super().readline():  # type: ignore[misc]  # the same
            lines.append(line)
            length += len(line)
            if hint is not None and 0 < hint <= length:
                break
        return lines or self._seen(lines)

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()  # type: ignore[attr-defined]  # the same; without a warning, which would be kept, and keep this

    def rest(self, size: int) -> Any:
        """`read` that never raises the exception that ended the guest."""
        return super().read(size)  # type: ignore[misc]  # the same


class _Raw(_Output, io.FileIO):
    def readinto(self, buffer: Any, /) -> int | None:
        return super().readinto(buffer)


class _Buffered(_Output, io.BufferedReader):
    def read1(self, size: int = -1, /) -> bytes:
        data: bytes = self._seen(super().read1(size), size)
        return data

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._seen(b"x" * bool(count), len(buffer))
        return count


class _Text(_Output, io.TextIOWrapper):
    pass


def to_guest(text_mode: TextMode, bufsize: int) -> tuple[PipeEnd, Any]:
    """Return a pipe that the guest reads, and a file to write to it."""
    ours, theirs = _pipe(lambda read, write: (write, read))
    raw = _kept(io.open(ours, "wb", 0 if bufsize == 0 else -1 if bufsize == 1 else bufsize))  # noqa: SIM115, UP020
    if text_mode.encoding is None:
        return theirs, raw
    text = io.TextIOWrapper(
        raw, text_mode.encoding, text_mode.errors, newline="\n", line_buffering=bufsize == 1, write_through=True
    )
    return theirs, text


def from_guest(text_mode: TextMode, bufsize: int) -> tuple[PipeEnd, Any]:
    """Return a pipe that the guest writes, and a file to read from it."""
    ours, theirs = _pipe(lambda read, write: (read, write))
    size = bufsize if bufsize > 1 else io.DEFAULT_BUFFER_SIZE
    if text_mode.encoding is not None:
        inner = _kept(io.BufferedReader(io.FileIO(ours, "rb"), size))
        return theirs, _Text(inner, text_mode.encoding, text_mode.errors)
    return theirs, _kept(_Raw(ours, "rb") if bufsize == 0 else _Buffered(io.FileIO(ours, "rb"), size))


def _pipe(which: Callable[[int, int], tuple[int, int]]) -> tuple[int, PipeEnd]:
    ours, theirs = which(*os.pipe())
    return ours, PipeEnd(theirs)


def _kept(file: Any) -> Any:
    _files.add(file)
    return file


class _Transfer:
    """Writes or reads one stream in a thread, once."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.over: Latch = Latch()
        self.failed: BaseException | None = None
        self._begun = False
        self._work = [work]

    def begin(self) -> None:
        """Start the thread unless it was started. A call that a signal handler interrupted can be made again."""
        if not self._begun:
            start_thread("wasihost communicate", self._run)
            self._begun = True

    def _run(self) -> None:
        try:
            work = self._work.pop()
        except IndexError:  # another thread does it: the handler interrupted `begin` after the start
            return
        try:
            work()
        except BaseException as error:
            self.failed = error
        finally:
            self.over.set()


class Communication:
    """Work of `Process.communicate`: one thread per pipe, so that caller and guest never wait for each other.

    At most `limit` bytes or characters of each stream are kept; `truncated` names the streams that had more. Nothing is
    written or read before the first `join`.
    """

    def __init__(self, stdin: Any, stdout: Any, stderr: Any, data: Any, limit: int | None) -> None:
        self.truncated: list[str] = []
        self._limit = limit
        self._kept: dict[str, Any] = {}
        self._transfers: list[_Transfer] = []
        if stdin is None:
            if data:
                raise ValueError("input cannot be passed: stdin is not a pipe")
        else:
            text = isinstance(stdin, io.TextIOBase)
            if data is not None and isinstance(data, str) is not text:
                raise TypeError(
                    f"input is {type(data).__name__}: the guest was started for {'str' if text else 'bytes'}"
                )
            self._transfers.append(_Transfer(partial(self._feed, stdin, data)))
        for name, stream in (("stdout", stdout), ("stderr", stderr)):
            if stream is not None:
                self._kept[name] = "" if isinstance(stream, io.TextIOBase) else b"", []
                self._transfers.append(_Transfer(partial(self._collect, name, stream)))

    def _feed(self, stdin: Any, data: Any) -> None:
        with suppress(BrokenPipeError):
            try:
                if data is not None and not stdin.closed:
                    stdin.write(data)
            finally:
                stdin.close()

    def _collect(self, name: str, stream: Any) -> None:
        _, pieces = self._kept[name]
        size = 0
        while piece := stream.rest(_PIECE):
            if self._limit is not None and size + len(piece) > self._limit:
                piece = piece[: self._limit - size]
                if name not in self.truncated:
                    self.truncated.append(name)
            size += len(piece)
            pieces.append(piece)

    def join(self, until: float | None) -> bool:
        """Wait until `until`. Returns whether everything was written and read; raises what that raised."""
        for transfer in self._transfers:
            transfer.begin()
        for transfer in self._transfers:
            if not transfer.over.wait(None if until is None else max(0.0, until - time.monotonic())):
                return False
        for transfer in self._transfers:
            if transfer.failed is not None:
                raise transfer.failed
        return True

    def texts(self) -> tuple[Any, Any]:
        """Return standard output and standard error as read so far."""
        joined = {name: empty.join(pieces) for name, (empty, pieces) in self._kept.items()}
        return joined.get("stdout"), joined.get("stderr")


_files: WeakSet[Any] = WeakSet()


@in_forked_child
def _forget() -> None:
    """In a forked child."""
    replace_by_null([file.fileno() for file in _files if not file.closed])
