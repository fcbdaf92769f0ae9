"""Hooks: functions that see every call of a guest, decoded, and decide what becomes of it.

A hook is a function `hook(call, proceed)`. `call` is a record of `wasi_preview1.calls`, such as `PathOpen`; `proceed()`
makes the call and returns its result, or raises `WasiError`. What the hook returns is the result for the guest, and a
`WasiError` or `OSError` that it raises is the guest's errno. `first` is the outermost of `hooks=[first, second]`.

Rules of this file: it knows no guest and no spec, since hooks work on the functions of any `.witx` file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeAlias, overload

from wasihost.errors import ConfigError

__all__ = ["Hook", "LimitedHook", "OpensHook", "Proceed", "hook"]


class Proceed(Protocol):
    """What a hook calls to have the call made."""

    def __call__(self, call: Any = None, /) -> Any:
        """Make the call, or a changed one: `proceed(call._replace(path="other.txt"))`.

        It may be called any number of times.

        Returns:
            What the function returns: see the method of this name in `wasi_preview1.handlers`.

        Raises:
            WasiError: The function fails with this errno. Its `__cause__` is the host's OSError, if there was one.
            TypeError: The call that was passed is one of another function.
        """


class OpensHook(Protocol):
    """An object that returns the hook of each guest."""

    def open(self, host: Any, /) -> Callable[[Any, Proceed], Any]:
        """Return the hook. Called when the host of a guest is made; `host.describe(fd)` says what a descriptor is."""


Hook: TypeAlias = Callable[[Any, Proceed], Any] | OpensHook
"""A function `hook(call, proceed)`, an object that can be called so, or one whose `open` returns the hook of a guest.

An object may have `on`, the functions to which it is limited, as `hook` takes them; `open(host)`, which is called when
the host of a guest is made, and may return another hook for this guest alone; and `close()`, which is called when that
host is closed.
"""


class LimitedHook:
    """A hook that sees the calls of some functions only; `hook` makes it.

    Attributes:
        function: The hook.
        on: Patterns for names of functions.
    """

    __slots__ = ("function", "on")

    def __init__(self, function: Hook, on: tuple[str, ...]) -> None:
        self.function: Hook = function
        self.on: tuple[str, ...] = on

    def __call__(self, call: Any, proceed: Proceed) -> Any:
        """Call the hook, whatever the function: a hook can be tried without a guest."""
        function: Any = self.function
        return function(call, proceed)

    def __repr__(self) -> str:
        return f"wasihost.hook({self.function!r}, on={self.on!r})"


class _Limit(Protocol):
    def __call__(self, function: Hook, /) -> LimitedHook: ...


@overload
def hook(function: Hook, *, on: str | Collection[str]) -> LimitedHook: ...


@overload
def hook(*, on: str | Collection[str]) -> _Limit: ...


def hook(function: Hook | None = None, *, on: str | Collection[str]) -> LimitedHook | _Limit:
    """Limit a hook to some functions: all others keep their speed. Also a decorator, `@hook(on="path_*")`.

    Args:
        function: The hook.
        on: The name of a function, such as "fd_write", a pattern with `*`, `?` and `[...]`, or several of them. One
            with `!` before it excludes functions.

    Returns:
        The limited hook; without `function` a decorator that makes it.

    Raises:
        ConfigError: `on` is empty, or is not text.
    """
    patterns = patterns_of(on)
    return LimitedHook(function, patterns) if function is not None else lambda given: LimitedHook(given, patterns)


def patterns_of(on: Any) -> tuple[str, ...]:
    """Return `on` as a tuple of patterns. Raises ConfigError for anything else."""
    patterns = (on,) if isinstance(on, str) else tuple(on) if isinstance(on, Collection) else ()
    if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigError(f"a hook cannot be limited to {on!r}: give on='fd_write', on='path_*', or several of these")
    return patterns
