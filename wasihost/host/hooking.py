"""The functions of a spec with hooks around them, for the stubs to call in place of the handlers.

Rules of this file: it knows no spec, only records of calls as `witxgen` writes them. A function that no hook wants is
the handler itself. The host's order: hooks, the first outermost; then what keeps the names of descriptors; then the
handlers.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from wasihost.errors import ConfigError
from wasihost.hooks import Hook, LimitedHook, patterns_of


class HookedHandlers:
    """Has the functions of `handlers`; those that a hook wants go through the hooks.

    Args:
        handlers: Any object with a method for each function.
        hooks: The hooks, the outermost first.
        calls: `CALLS` of the package's `calls`.
        results: `RESULTS` of the same.
        as_error: Returns the spec's error for an OSError: hooks see the spec's errors alone.
        others: The names of functions of other specs, to which hooks may be limited too. None: any name.

    Raises:
        ConfigError: A hook is limited to functions that no spec has.
    """

    def __init__(
        self,
        handlers: object,
        hooks: Sequence[Hook],
        calls: Mapping[str, type[Any]],
        results: Mapping[str, str],
        as_error: Callable[[OSError], Exception],
        others: Collection[str] | None = (),
    ) -> None:
        self._handlers = handlers
        self._calls = calls
        self._results = results
        self._as_error = as_error
        self._hooks: dict[str, list[Any]] = {}
        for hook in hooks:
            for name in functions_of(hook, calls, others):
                self._hooks.setdefault(name, []).append(getattr(hook, "function", hook))

    def hooked(self) -> frozenset[str]:
        """The names of the functions that hooks want."""
        return frozenset(self._hooks)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._handlers, name)
        if hooks := self._hooks.get(name):
            function = self._around(function, hooks, self._calls[name], self._results[name])
        self.__dict__[name] = function
        return function

    def _around(
        self, function: Callable[..., Any], hooks: Sequence[Hook], record: type[Any], result: str
    ) -> Callable[..., Any]:
        """Return the function with hooks around it, the first of them outermost."""
        as_error, make = self._as_error, tuple.__new__

        def innermost(call: Any, changed: Any = None) -> Any:
            try:
                return function(*(call if changed is None else _checked(changed, record)))
            except OSError as error:
                raise as_error(error) from error

        below: Callable[..., Any] = innermost
        outermost: Any = hooks[0]
        returns = result not in ("None", "NoReturn")
        for hook in reversed(hooks[1:]):
            below = self._layer(hook, below, record, returns)

        def handle(*arguments: Any) -> Any:  # the outermost layer: what most guests with hooks have is one hook
            call = make(record, arguments)
            try:
                result = outermost(call, partial(below, call))
            except OSError as error:
                raise as_error(error) from error
            if result is None and returns:
                raise _no_result(outermost, record)
            return result

        return handle

    def _layer(self, hook: Any, below: Callable[..., Any], record: type[Any], returns: bool) -> Callable[..., Any]:
        as_error = self._as_error

        def layer(call: Any, changed: Any = None) -> Any:
            if changed is not None:
                call = _checked(changed, record)
            try:
                result = hook(call, partial(below, call))
            except OSError as error:
                raise as_error(error) from error
            if result is None and returns:
                raise _no_result(hook, record)
            return result

        return layer


def functions_of(hook: Hook, names: Mapping[str, object], others: Collection[str] | None = ()) -> list[str]:
    """Return which of the functions `names` the hook wants to see.

    Raises ConfigError for a pattern that neither a function of them nor of `others` has; never if `others` is None.
    """
    on = getattr(hook, "on", None)
    if on is None:
        return list(names)
    patterns = patterns_of(on)
    found: dict[bool, set[str]] = {True: set(), False: set()}  # wanted, and not
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        matching = [name for name in names if fnmatchcase(name, plain)]
        if not matching and others is not None and not any(fnmatchcase(name, plain) for name in others):
            raise _unknown(plain, (*names, *others))
        found[plain == pattern].update(matching)
    wanted = found[True] if any(not pattern.startswith("!") for pattern in patterns) else set(names)
    return [name for name in names if name in wanted and name not in found[False]]


def _no_result(hook: Any, record: type[Any]) -> TypeError:
    return TypeError(
        f"the hook {getattr(hook, '__qualname__', hook)} returned None for {record.function}: "
        "let it return what proceed() returns, or a result of its own"
    )


def _checked(call: Any, record: type[Any]) -> Any:
    if type(call) is not record:
        raise TypeError(f"proceed() takes a {record.__name__} here, not {call!r:.100}")
    return call


def _unknown(pattern: str, names: Collection[str]) -> ConfigError:
    import difflib

    groups = {f"{name.partition('_')[0]}_*" for name in names}
    near = difflib.get_close_matches(pattern, [*names, *groups], 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(groups))}"
    return ConfigError(f"no function is called {pattern!r}, to which a hook is limited; {hint}")


def open_hooks(hooks: Sequence[Hook], host: Any) -> tuple[list[Hook], list[Callable[[], object]]]:
    """Call `open(host)` of every hook that has it.

    Returns the hooks, with what `open` returned in place of those that returned one of their own for this guest; and
    the `close` of every hook that has it.
    """
    opened: list[Hook] = []
    closing: list[Callable[[], object]] = []
    try:
        for hook in hooks:
            target = hook.function if isinstance(hook, LimitedHook) else hook
            if (opens := getattr(target, "open", None)) is not None:
                own = opens(host)
                if own is not None:
                    target = own
                    on = getattr(hook, "on", None)
                    hook = own if on is None else LimitedHook(own, patterns_of(on))
            if not callable(hook):
                raise ConfigError(f"the hook {reprlib.repr(hook)} cannot be called: let its open(host) return a hook")
            opened.append(hook)
            if (closes := getattr(target, "close", None)) is not None:
                closing.append(closes)
    except BaseException:
        close_hooks(closing)
        raise
    return opened, closing


def close_hooks(closing: list[Callable[[], object]]) -> None:
    """Call these functions, the last first, each once, also if one raises."""
    while closing:
        try:
            closing.pop()()
        except BaseException:
            close_hooks(closing)
            raise
