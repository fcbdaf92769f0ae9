"""Where a trace goes: lines to a stream, a file or a logger, or calls to a function.

Rules of this file: each line is written at once and whole, so that it is there when the process ends, and lines of
guests in several threads do not mix.
"""

from __future__ import annotations

import os
import reprlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wasihost.common.logs import warn
from wasihost.errors import ConfigError, raise_if_from_handler

if TYPE_CHECKING:
    import logging

    from wasihost.trace.facts import CallFacts


class TextWriter(Protocol):
    """Something to write lines to."""

    def write(self, text: str, /) -> object:
        """Write text."""


Target: TypeAlias = "bool | str | os.PathLike[str] | TextWriter | logging.Logger | Callable[[Any], object]"
"""True is standard error; a text is the path of a file, which is replaced."""


class Lines:
    """Text lines, to a file that is opened here or to a stream."""

    def __init__(self, to: Any) -> None:
        self._owned = isinstance(to, (str, os.PathLike))
        self._to: Any = to
        self._users = 0
        self._mode = "w"
        self._lost = False
        self._file: Any = None if self._owned else to

    def open(self) -> None:
        """Called for each guest. The file is opened for the first. OSError if it cannot be."""
        if self._file is None:
            self._file = open(  # noqa: SIM115  # closed by `close`
                self._to, self._mode, buffering=1, encoding="utf-8", errors="backslashreplace"
            )
            self._mode = "a"
        self._users += 1

    def write(self, line: str) -> None:
        """Write a line. After an OSError, such as of a full disk, no more: it must not become an errno of the guest."""
        stream = sys.stderr if self._file is True else self._file
        if stream is None or self._lost:
            return
        try:
            stream.write(line + "\n")
            if not self._owned and (flush := getattr(stream, "flush", None)) is not None:
                flush()
        except OSError as error:
            raise_if_from_handler(error)
            self._lost = True
            warn("trace", "the rest of a trace is lost: %s", error)

    def close(self) -> None:
        """Called for each guest at its end."""
        self._users -= 1
        if self._owned and not self._users and self._file is not None:
            self._file.close()
            self._file = None


class Log(Lines):
    """Lines to a logger, as debug messages; the record has the call as `wasi`."""

    def log(self, line: str, traced: CallFacts) -> None:
        """Log a line with its call."""
        self._to.debug("%s", line, extra={"wasi": traced})

    def write(self, line: str) -> None:
        """Log a line of its own."""
        self._to.debug("%s", line)


def lines_to(to: Any) -> Lines | None:
    """Return where lines go; None for a function. Raises ConfigError for what cannot be a target."""
    if to is True or isinstance(to, (str, os.PathLike)) or hasattr(to, "write"):
        return Lines(to)
    if hasattr(to, "debug") and hasattr(to, "isEnabledFor"):
        return Log(to)
    if callable(to) and not isinstance(to, type):
        return None
    raise ConfigError(
        f"a trace cannot go to {reprlib.repr(to)}: give True, a path, an object with write(), a logger or a function"
    )
