"""From a worker's messages to the values and exceptions that a caller gets. Everything is checked, nothing is
trusted."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from wasi_preview1.errors import GuestFault

from wasihost.errors import (
    ConfigError,
    ExitError,
    Frame,
    IsolationError,
    LimitExceeded,
    LinkError,
    ModuleError,
    TimeoutExpired,
    TrapError,
    WasihostError,
)
from wasihost.isolation.lockdown import MEANS, IsolationReport

if TYPE_CHECKING:
    from wasihost.engines.base import CompiledModule
    from wasihost.stats import Stats

_BY_TEXT: Final = {
    kind.__name__: kind
    for kind in (
        ConfigError,
        ModuleError,
        LinkError,
        WasihostError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    )
}
_MOST_NAMES: Final = 100_000
_LONGEST: Final = 1 << 16
_FRAMES: Final = 64


def number(value: Any, most: int = sys.maxsize) -> int:
    """An int from 0 to `most`. IsolationError for anything else."""
    if type(value) is not int or not 0 <= value <= most:
        raise _nonsense("a number")
    return value


def text(value: Any) -> str:
    """A str, cut to 64 KiB. IsolationError for anything else."""
    if not isinstance(value, str):
        raise _nonsense("a text")
    return value[:_LONGEST]


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < float("inf"):
        raise _nonsense("a time")
    return float(value)


def _nonsense(what: str) -> IsolationError:
    return IsolationError(f"the guest's process is not to be trusted any more: it sent what is not {what}")


def report(values: dict[str, Any]) -> IsolationReport:
    """The protections that confine the worker."""
    missing = values.get("missing")
    if not isinstance(missing, dict):
        raise _nonsense("a report")
    lacking = {name: text(missing[name]) for name in MEANS if name in missing}
    return IsolationReport(tuple(name for name in MEANS if name not in lacking), lacking)


def stats(into: Stats, values: Any) -> None:
    """Set what the guest used. None, after an end that came too early to know, changes nothing."""
    if values is None:
        return
    if not isinstance(values, dict):
        raise _nonsense("statistics")
    into.wall, into.cpu = _seconds(values.get("wall")), _seconds(values.get("cpu"))
    into.peak_memory = number(values.get("peak_memory"))
    fuel = values.get("fuel")
    into.fuel = None if fuel is None else number(fuel, 1 << 64)
    into.calls, into.bytes = _counts(values.get("calls")), _counts(values.get("bytes"))
    into.paths, into.paths_omitted = set(_texts(values.get("paths"))), number(values.get("paths_omitted"))
    into.limits = tuple(sorted({*into.limits, *_texts(values.get("limits"))}))


def _counts(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > _MOST_NAMES:
        raise _nonsense("counts")
    return {text(name): number(count) for name, count in value.items()}


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_NAMES:
        raise _nonsense("a list of texts")
    return [text(one) for one in value]


def error(told: Any, compiled: CompiledModule, args: Sequence[str], timeout: float | None) -> BaseException:
    """The exception that a run in this process would have raised."""
    if not isinstance(told, dict) or not isinstance(told.get("args"), list):
        return _nonsense("an error")
    kind, given = told.get("class"), told["args"]
    if kind == "TimeoutExpired" and timeout is not None:
        return TimeoutExpired(args, timeout)
    if kind == "TrapError" and len(given) == 2:
        return _trap(told, given, compiled)
    if kind == "LimitExceeded" and len(given) == 2:
        return LimitExceeded(text(given[0]), text(given[1]))
    if kind == "ExitError" and len(given) == 1:
        return ExitError(number(given[0], 0xFFFFFFFF))
    if kind == "OSError" and len(given) == 2:
        return OSError(number(given[0], max(errno.errorcode)), text(given[1]))
    if kind in _BY_TEXT and len(given) == 1:
        return _BY_TEXT[kind](text(given[0]))
    return _nonsense("an error")


def _trap(told: dict[str, Any], given: list[Any], compiled: CompiledModule) -> TrapError:
    """A TrapError whose names and source lines are looked up here, where the module's bytes are."""
    from wasihost.engines import default_engine

    frames = told.get("frames")
    if not isinstance(frames, list) or len(frames) > _FRAMES:
        raise _nonsense("a backtrace")
    omitted = told.get("omitted")
    made = TrapError(
        text(given[0]),
        text(given[1]),
        tuple(_frame(one) for one in frames),
        None if omitted is None else number(omitted),
        look=default_engine().symbolizer(compiled),
    )
    fault = told.get("fault")
    if isinstance(fault, list) and len(fault) == 5:
        made.__cause__ = GuestFault(text(fault[0]), *(number(one) for one in fault[1:]))
    return made


def _frame(told: Any) -> Frame:
    if not isinstance(told, list) or len(told) < 5:
        raise _nonsense("a frame")
    function, index, module, offset, symbol = told[:5]
    names = [None if one is None else text(one) for one in (function, module, symbol)]
    return Frame(names[0], number(index), names[1], number(offset), names[2])


def crash(status: int | None) -> IsolationError:
    """The error for a process that ended without a message."""
    if status is not None and status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        advice = "; out of memory?" if name == "SIGKILL" else ""
        return IsolationError(f"the guest's process was ended by {name}{advice}")
    return IsolationError(f"the guest's process ended without a result (status {status})")
