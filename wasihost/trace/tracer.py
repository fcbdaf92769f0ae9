"""`Trace`, the hook, and `TracedCall`, what it makes of each call.

Rules of this file: one `Trace` may be used by several guests, also in several threads at once: what belongs to one
guest is in its `_Guest`. A call is formatted after it was made, so its duration is the host's alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Hashable
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from wasi_preview1.errors import BadValue, GuestFault, WasiError

from wasihost.common.unpatched import threading, time
from wasihost.errors import ConfigError
from wasihost.trace import as_json
from wasihost.trace.facts import CallFacts
from wasihost.trace.summary import Summary
from wasihost.trace.target import Lines, Log, TextWriter, lines_to
from wasihost.trace.text import Text, entries

if TYPE_CHECKING:
    import logging

    from wasihost.hooks import Proceed

FAILED = "%failed"
"""In a filter: only calls that fail."""
_FILLED = ("fd_read", "fd_pread", "sock_recv")
_MOST_SUBSCRIPTIONS = 64
"""So many subscriptions of a poll are shown."""


@lru_cache(maxsize=512)
def _descriptors_of(cls: Hashable) -> tuple[str, ...]:
    """The fields of a call that are descriptors; an empty name for the result, if it is one."""
    record: Any = cls
    fields: tuple[str, ...] = tuple(name for name, kind in record.__annotations__.items() if kind == "types.Fd")
    module: Any = sys.modules[record.__module__]
    kind: str = next(module.RESULTS[name] for name, one in module.CALLS.items() if one is record)
    return fields + ("",) * (kind == "Fd")


class TracedCall(CallFacts):
    """One call of a guest; `str()` is its line. `CallFacts` has its attributes."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The line without the duration, which differs from run to run."""
        return Text(self).line()

    @property
    def json(self) -> str:
        """The call as an object of JSON."""
        return as_json.line(self)

    def __str__(self) -> str:
        return f"{self.text} <{self.seconds:.6f}>"

    __repr__ = __str__


class Trace:
    """A hook that shows calls. Use it as `trace=` of `run` and others, or as one of `hooks=`.

    Args:
        to: True for standard error; the path of a file, which is replaced; an object with `write` that takes text; a
            logger, which gets debug messages; a function, which is called with each `TracedCall`.
        filter: Names of functions and patterns, separated by commas: `"path_*,fd_read"`, `"!clock_*"` for all others,
            `"%failed"` for calls that fail. Empty: every call.
        format: Lines as "text", or each an object of "json".
        summary: At the end of each guest, also write a table of calls, errors and times.
        calls: False writes no lines, for a summary alone.
        length: How many bytes of each buffer are shown.

    Raises:
        ConfigError: One of them cannot be used.
    """

    def __init__(
        self,
        to: bool | str | os.PathLike[str] | TextWriter | logging.Logger | Callable[[TracedCall], object] = True,
        *,
        filter: str = "",
        format: Literal["text", "json"] = "text",
        summary: bool = False,
        calls: bool = True,
        length: int = 32,
    ) -> None:
        if format not in ("text", "json"):
            raise ConfigError(f'the format of a trace cannot be {format!r}: give "text" or "json"')
        self._lines: Lines | None = lines_to(to)
        self._to: Any = to
        if summary and self._lines is None:
            raise ConfigError("a function gets calls, and a summary is text: let the trace go to a file or a logger")
        patterns = [part.strip() for part in filter.split(",") if part.strip()]
        for part in patterns:
            if part[0] == "%" and part != FAILED:
                raise ConfigError(f"the filter of a trace cannot have {part!r}: give {FAILED}, or names of functions")
        self._failed = FAILED in patterns
        self.on: tuple[str, ...] = tuple(part for part in patterns if part != FAILED) or ("*",)
        self._json = format == "json"
        self._summary = summary
        self._calls = calls
        self._length = length
        self._guests = 0
        self._lock = threading.Lock()

    def open(self, host: Any) -> _Guest:
        """Called when a guest is made. Returns the hook for its calls."""
        with self._lock:
            if self._lines is not None:
                self._lines.open()
            self._guests += 1
            return _Guest(self, host, self._guests)

    def write(self, line: str) -> None:
        """Write a line of text."""
        assert self._lines is not None
        with self._lock:
            self._lines.write(line)

    def close_guest(self, summary: Summary) -> None:
        """Called at the end of a guest."""
        if self._lines is None:
            return
        if self._summary:
            self.write(summary.table())
        with self._lock:
            self._lines.close()

    def show(self, traced: TracedCall, text: Callable[[], str]) -> None:
        """Write a call, or a part of it."""
        if self._lines is None:
            self._to(traced)
            return
        line = traced.json if self._json else text()
        if not self._json and self._guests > 1:
            line = f"[guest {traced.guest}] {line}"
        if isinstance(self._lines, Log):
            self._lines.log(line, traced)
        else:
            self.write(line)

    def wants(self, traced: TracedCall) -> bool:
        """Whether a call is shown, now that it is known how it ended."""
        return self._calls and (not self._failed or traced.error is not None)

    @property
    def interrupts(self) -> bool:
        """Whether a line is begun before its call ends, if another call comes between."""
        return self._calls and self._lines is not None and not self._json and not self._failed

    @property
    def keeps(self) -> bool:
        """Whether calls live on after they were shown."""
        return self._lines is None or isinstance(self._lines, Log)

    @property
    def length(self) -> int:
        """How many bytes of each buffer are shown."""
        return self._length


class _Guest:
    """The trace of one guest."""

    def __init__(self, trace: Trace, host: Any, number: int) -> None:
        self._trace = trace
        self._host = host
        self._number = number
        self._summary = Summary()
        self._running: list[TracedCall] = []
        self._begun: set[TracedCall] = set()  # calls whose line was begun

    def __call__(self, call: Any, proceed: Proceed) -> Any:
        running, trace = self._running, self._trace
        traced = TracedCall(call, self._number, len(running), trace.length)
        self._describe(traced)
        if running and trace.interrupts and running[-1] not in self._begun:
            self._begun.add(running[-1])
            trace.show(running[-1], lambda: f"{_indent(running[-1])}{Text(running[-1]).call()} <unfinished ...>")
        running.append(traced)
        begun = time.perf_counter()
        try:
            result = traced.result = proceed()
            return result
        except BaseException as error:
            errno = getattr(error, "errno", None)
            if isinstance(errno, IntEnum):  # the error of this spec, whichever it is
                traced.error = errno
            else:
                traced.ended = type(error).__name__
            raise
        finally:
            traced.seconds = time.perf_counter() - begun
            running.pop()
            self._finish(traced)

    def _finish(self, traced: TracedCall) -> None:
        trace = self._trace
        self._summary.add(traced.call.function, traced.seconds, traced.error is not None)
        begun = traced in self._begun
        self._begun.discard(traced)
        if not trace.wants(traced):
            return
        self._add_results(traced)
        if trace.keeps:
            traced.call = traced.call.kept()
        if begun:
            end = f"<... {traced.call.function} resumed> = {Text(traced).outcome()} <{traced.seconds:.6f}>"
            trace.show(traced, lambda: _indent(traced) + end)
        else:
            trace.show(traced, lambda: f"{_indent(traced)}{traced}")

    def _describe(self, traced: TracedCall) -> None:
        """Add what is only known before the call: what its descriptors are, and what a poll waits for."""
        call = traced.call
        for name in _descriptors_of(call.__class__):
            if name:
                self._add_descriptor(traced, name, getattr(call, name))
        if call.function == "poll_oneoff":
            try:
                traced.details = call.in_.read(min(call.nsubscriptions, _MOST_SUBSCRIPTIONS))
            except (BadValue, GuestFault):
                return
            for one in traced.details:
                fd = getattr(one.u.value, "file_descriptor", None)
                if fd is not None:
                    self._add_descriptor(traced, f"#{fd}", fd)

    def _add_results(self, traced: TracedCall) -> None:
        """Add what is only known after the call: what was opened, and how much was read."""
        call, result = traced.call, traced.result
        if "" in _descriptors_of(call.__class__) and result is not None:
            self._add_descriptor(traced, "", result)
        if call.function in _FILLED:
            traced.details = 0 if result is None else result if isinstance(result, int) else result[0]
        elif call.function == "fd_readdir" and result is not None:
            traced.details = entries(bytes(call.buf[:result]))

    def _add_descriptor(self, traced: TracedCall, name: str, fd: int) -> None:
        try:
            traced.descriptors[name] = self._host.describe(fd)
        except WasiError:
            pass  # it is not open

    def close(self) -> None:
        """Called when the guest is closed."""
        self._trace.close_guest(self._summary)


def _indent(traced: TracedCall) -> str:
    return "  " * traced.depth
