"""The hook that gives a guest what was recorded, and ends it at the first difference.

Rules of this file: the host is not asked, but for how a guest ends and for its outputs: what it wrote to stdout and
stderr goes there again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wasihost.cassettes import memory, store
from wasihost.cassettes.errors import CassetteError, ReplayError
from wasihost.cassettes.values import decoded, type_of

if TYPE_CHECKING:
    from typing import NoReturn

    from wasihost.hooks import Proceed

_OUTPUTS = {"stdout": 1, "stderr": 2}
_REFUSALS = ("BadValue", "GuestFault")
"""What the host raises for memory of the guest that is no value."""
_ENDS = ("proc_exit", "proc_raise")
"""Functions that the host does itself: they touch nothing but the guest."""


class Player:
    """Replays one episode of a cassette."""

    def __init__(self, path: str, episode: store.Episode, scrub: memory.Scrub) -> None:
        self._path = path
        self._scrub = scrub
        self._episode = episode
        self._calls: Iterator[tuple[int, dict[str, Any]]] = iter(())
        self._done = 0
        self._failed = False

    def open(self, host: Any) -> None:
        """Called when the host of the guest is made."""
        self._host = host
        self._calls = store.calls(self._path, self._episode)

    def __call__(self, call: Any, proceed: Proceed) -> Any:
        """Compare the call with the recorded one, and return what that returned."""
        number, entry = self._next(call)
        found = memory.inputs(call, self._scrub)
        try:
            recorded = entry["args"]
            if found != recorded:
                self._differ(call, recorded, found)
            if call.function in _ENDS or entry.get("ended") in _REFUSALS:
                return proceed()
            if "to" in entry:
                self._write_output(call, entry)
            if "error" in entry:
                raise self._error(call, entry["error"])
            if "ended" in entry:
                self._fail(f"the recorded run was ended in it by {entry['ended']}", call.function, None, None, None)
            if "memory" in entry:
                memory.repeat(call, entry["memory"])
            return self._result(call, entry.get("result"))
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
            self._failed = True
            raise store.damaged(self._path, number, f"{type(error).__name__}: {error}") from error

    def _next(self, call: Any) -> tuple[int, dict[str, Any]]:
        self._done += 1
        try:
            following = next(self._calls, None)
        except OSError as error:  # must not become an errno of the guest
            self._failed = True
            raise CassetteError(f"the cassette {self._path} cannot be read: {error}") from error
        if following is None:
            self._fail("the recording has no more calls", call.function, None, None, call.function)
        number, entry = following
        if entry.get("call") != call.function:
            self._fail(
                f"the guest calls {call.function}, and in the recording it called {entry.get('call')}",
                call.function,
                None,
                entry.get("call"),
                call.function,
            )
        return number, entry

    def _differ(self, call: Any, recorded: dict[str, Any], found: dict[str, Any]) -> None:
        for name in found:
            if name not in recorded or recorded[name] != found[name]:
                old, new = recorded.get(name), found[name]
                self._fail(f"{name} is {_shown(new)}, and was {_shown(old)}", call.function, name, old, new)
        raise KeyError(f"{sorted(set(recorded) - set(found))} are not arguments of {call.function}")

    def _fail(self, problem: str, function: str | None, argument: str | None, recorded: Any, found: Any) -> NoReturn:
        self._failed = True
        where = f"call {self._done}" + (f", {function}" if function else "")
        raise ReplayError(
            f"the run differs from the cassette {self._path} at {where}: {problem}",
            self._done,
            function,
            argument,
            recorded,
            found,
        )

    def _write_output(self, call: Any, entry: dict[str, Any]) -> None:
        """Write to the guest's output as much as was written then."""
        size = entry.get("result", 0)
        data = b"".join(call.iovs)[:size]
        output = self._host.table.open[_OUTPUTS[entry["to"]]]
        at = 0
        while at < len(data):
            at += output.write([memoryview(data)[at:]])

    def _result(self, call: Any, given: Any) -> Any:
        module = sys.modules[type(call).__module__]
        annotation = next(module.RESULTS[name] for name, one in module.CALLS.items() if one is type(call))
        if annotation == "None":
            return None
        return decoded(given, type_of(annotation, module.types), module.types)

    def _error(self, call: Any, name: str) -> Exception:
        package = sys.modules[type(call).__module__.rpartition(".")[0]]
        error: Callable[[Any], Exception] = package.WasiError
        return error(_errno(package, name))

    def close(self) -> None:
        """Called when the guest is closed. ReplayError if it has made fewer calls than it made then."""
        if not self._failed and sys.exc_info()[0] is None and self._done < self._episode.calls:
            self._done += 1
            entry = next(self._calls)[1]
            self._fail(
                f"the guest has ended, and in the recording it called {entry.get('call')}",
                None,
                None,
                entry.get("call"),
                None,
            )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-16:]}"


def _errno(package: Any, name: str) -> Any:
    kinds = [getattr(package.types, kind) for kind in package.errors.ERROR_TYPES]
    return next(kind for kind in kinds if name in kind.__members__)[name]
