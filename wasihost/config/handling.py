"""What `with_handlers` and `with_hooks` accept. ConfigError for anything else, before a guest is made.

Rules of this file: imported only for a config that has one of them.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from types import FunctionType, MethodType
from typing import Any, TypeAlias

from wasi_preview1 import handlers
from wasi_preview1.signatures import SIGNATURES

from wasihost.errors import ConfigError
from wasihost.hooks import Hook

HandlerClass: TypeAlias = (
    type[handlers.ArgsHandlers]
    | type[handlers.EnvironHandlers]
    | type[handlers.ClockHandlers]
    | type[handlers.FdHandlers]
    | type[handlers.PathHandlers]
    | type[handlers.PollHandlers]
    | type[handlers.ProcHandlers]
    | type[handlers.SchedHandlers]
    | type[handlers.RandomHandlers]
    | type[handlers.SockHandlers]
)
"""A class that has functions of one group: a subclass of a class of `wasi_preview1.handlers`, or of ours in
`wasihost.handlers`."""

_GROUPS = handlers.Handlers.__bases__
_FUNCTIONS = [name for functions in SIGNATURES.values() for name in functions]
_PREFIXES = {name.partition("_")[0] for name in _FUNCTIONS}
_ASYNC = 0x80 | 0x200 | 0x20  # CO_COROUTINE, CO_ASYNC_GENERATOR, CO_GENERATOR


def listed(given: Any) -> tuple[Any, ...]:
    """Return an option's value as a tuple: one of them may be given without a list."""
    return tuple(given) if isinstance(given, (list, tuple)) else (given,)


def checked_hooks(given: Sequence[Any]) -> tuple[Hook, ...]:
    """Return the hooks. ConfigError for what is not a hook."""
    for hook in given:
        if isinstance(hook, type):
            raise ConfigError(f"a hook cannot be a class: give an object, {hook.__name__}(...)")
        if not callable(hook) and not hasattr(hook, "open"):
            raise ConfigError(f"a hook cannot be {_name(hook)}: give a function hook(call, proceed)")
        if problem := _unfit(getattr(hook, "function", hook), ("call", "proceed")):
            raise ConfigError(f"a hook cannot be {_name(hook)}: it {problem}")
    return tuple(given)


def checked_classes(given: Sequence[Any]) -> tuple[HandlerClass, ...]:
    """Return the classes. ConfigError for what is not a class of handlers, or can only be a mistake in one."""
    for one in given:
        if not isinstance(one, type):
            advice = f"the class itself, {type(one).__name__}" if isinstance(one, _GROUPS) else "a class"
            raise ConfigError(f"handlers cannot be {_name(one)}: give {advice}; each guest gets an object of it")
        if not issubclass(one, _GROUPS):
            raise ConfigError(
                f"handlers cannot be the class {one.__name__}: derive it from a group of functions, "
                "such as wasihost.handlers.FdFunctions or wasi_preview1.RandomHandlers"
            )
        for cls in one.__mro__:
            if not cls.__module__.startswith(("wasi_preview1.", "wasihost.handlers")):
                _check_body(cls)
    return tuple(given)


def _check_body(cls: type) -> None:
    """ConfigError for a method that is no function of the spec but is called like one, or that cannot be called."""
    for name, method in vars(cls).items():
        if name in _FUNCTIONS:
            parameters = _parameters(name)
        elif name == "__init__":
            parameters = ()
        elif name.partition("_")[0] in _PREFIXES and callable(method):
            import difflib

            near = difflib.get_close_matches(name, _FUNCTIONS, 1)
            raise ConfigError(
                f"{cls.__name__}.{name} is not a function of WASI"
                + (f"; did you mean {near[0]}?" if near else ": let the names of your own methods begin with _")
            )
        else:
            continue
        if isinstance(method, FunctionType) and (problem := _unfit(method, ("self", *parameters))):
            raise ConfigError(f"{cls.__name__}.{name} cannot be called: it {problem}")


def _parameters(name: str) -> tuple[str, ...]:
    function: Any = getattr(handlers.Handlers, name)
    code = function.__code__
    return tuple(code.co_varnames[1 : code.co_argcount])


def _unfit(function: Any, parameters: tuple[str, ...]) -> str:
    """Return why a function cannot be called with these parameters, as the end of "it ..."; empty if it can."""
    if not isinstance(function, (FunctionType, MethodType)):
        function = getattr(type(function), "__call__", None)  # noqa: B004  # the function is wanted, not whether it is
        parameters = ("self", *parameters)
    elif isinstance(function, MethodType):
        function, parameters = function.__func__, ("self", *parameters)
    if not isinstance(function, FunctionType):
        return ""  # in C: its call says what is wrong
    code = function.__code__
    if code.co_flags & _ASYNC:
        return "is asynchronous or a generator: a guest waits for its calls, so write a plain function"
    most = None if code.co_flags & 0x4 else code.co_argcount  # CO_VARARGS
    least = code.co_argcount - len(function.__defaults__ or ())
    needed = code.co_kwonlyargcount - len(function.__kwdefaults__ or ())
    if least <= len(parameters) and (most is None or most >= len(parameters)) and not needed:
        return ""
    own = ", ".join(code.co_varnames[: code.co_argcount])
    return f"takes ({own}), and is called with ({', '.join(parameters)})"


def _name(hook: Any) -> str:
    return getattr(hook, "__qualname__", None) or reprlib.repr(hook)
