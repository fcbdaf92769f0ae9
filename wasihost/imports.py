"""Host functions of your own: an annotated Python function becomes a wasm import.

    host = wasihost.Imports("env")

    @host.function
    def log(level: int, text: str) -> None: ...

| annotation | in wasm |
| --- | --- |
| `int`, `Unsigned` | one i32 or i64, whichever the module has; signed, or not |
| `float` | one f32 or f64 |
| `bool` | one i32 |
| `bytes`, `str` | a pointer and a length: two i32; text is UTF-8 |
| `memoryview` | the same; the function may write to it, and must not keep it |
| `Memory` | nothing: the guest's memory, by pointer |
| `*args` | all that is left of the parameters, as numbers |
| `-> bytes`, `-> str` | an i64, `pointer << 32 | length`, of memory that the guest's own allocator gave |
| `-> Any`, beside `*args` | what the module has: nothing, a number, or a tuple of several |

What a function raises ends the run and comes out of it. `Imports.stub` stands in for functions that are never called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    NamedTuple,
    NewType,
    Protocol,
    TypeAlias,
    TypeVar,
    get_type_hints,
    overload,
)

from wasi_preview1.signatures import Signature

from wasihost.common.names import shown
from wasihost.errors import ConfigError, LinkError, TrapError
from wasihost.memory import FAULT, Memory

if TYPE_CHECKING:
    from wasi_preview1.guest import Guest, Stub

    from wasihost.engines.values import Item
    from wasihost.hooks import Hook
    from wasihost.stats import Stats
    from wasihost.waiting.cancel_scope import CancelScope

F = TypeVar("F", bound=Callable[..., Any])

Unsigned = NewType("Unsigned", int)
"""Annotation of an unsigned i32 or i64 parameter or result."""

_NUMBER_TYPES: Final = (int, Unsigned, float, bool)
_BUFFER_TYPES: Final = (bytes, str, memoryview)
_SLOTS = {"i32": "i", "i64": "q", "f32": "f", "f64": "d"}
_NUMBERS: Final[Mapping[object, tuple[str, ...]]] = {
    int: ("i32", "i64"),
    Unsigned: ("i32", "i64"),
    float: ("f32", "f64"),
    bool: ("i32",),
}
_RESERVED = ("wasi_snapshot_preview1", "wasi_unstable")

Bound: TypeAlias = dict[str, tuple[Signature, "Stub"]]


class Caller(NamedTuple):
    """The guest that imports: its memory as stubs see it and as Python functions see it, and when it has to end.

    `stats` counts its calls, if they are counted; `hooks` see those of generated packages, and `around` returns a stub
    to call in place of each other one: it takes the import module, the name and the stub.
    """

    guest: Guest
    memory: Memory
    scope: CancelScope
    stats: Stats | None = None
    hooks: Sequence[Hook] = ()
    around: Callable[[str, str, Stub], Stub] | None = None


class Provider(Protocol):
    """Functions for one import module of a guest: `Imports`, or another guest's exports."""

    @property
    def module(self) -> str:
        """The name of the import module."""

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Return a stub for each of `wanted`, the guest's imports from this module, that it provides."""


class Providers(Protocol):
    """What has functions for several import modules: a `Binding`."""

    @property
    def names(self) -> Iterable[str]:
        """The names of all functions."""

    def providers(self, caller: Caller) -> Sequence[Provider]:
        """Return a provider for each import module, for one guest."""


ImportsOption: TypeAlias = Provider | Providers | Sequence[Provider | Providers]
"""The option `imports`."""


def import_module_name(module: str) -> str:
    """Return the name of a user's import module. Raises ConfigError for a name of WASI's."""
    if module in _RESERVED:
        raise ConfigError(f"{module} is WASI's own: functions of your own in place of its are handlers=[...]")
    return module


class Imports:
    """Python functions that a guest imports from one module.

        host = wasihost.Imports("env")

        @host.function
        def log(level: int, text: str) -> None: ...

        wasihost.run("guest.wasm", imports=host)

    Annotations say what a parameter is: `int`, `Unsigned`, `float` and `bool` are one number; `bytes`, `str` and
    `memoryview` are a pointer and a length; `Memory` is the guest's memory, and no number; `*args` takes all numbers
    that are left. A result of `bytes` or `str` is returned as an i64, `pointer << 32 | length`.

    What a function raises ends the run, and `run` raises it.

    Args:
        module: The name that the guest imports from. Compilers use "env" unless they are told another one.

    Raises:
        ConfigError: The name is one of WASI's own.
    """

    def __init__(self, module: str = "env") -> None:
        self.module: str = import_module_name(module)
        self._functions: dict[str, _Function] = {}

    @overload
    def function(self, function: F, /) -> F: ...
    @overload
    def function(self, /, *, name: str) -> Callable[[F], F]: ...

    def function(self, function: F | None = None, /, *, name: str | None = None) -> F | Callable[[F], F]:
        """Decorator: provide a function, under its own name or as `name`.

        Raises:
            ConfigError: The function is async, or its annotations are missing or of another type.
        """

        def add(function: F) -> F:
            self._functions[name or function.__name__] = _Function(function)
            return function

        return add if function is None else add(function)

    @staticmethod
    def stub(module: str) -> Stubs:
        """Return stubs for all functions of an import module that nothing else provides.

            run("edge.wasm", imports=[mine, Imports.stub("fastly")])

        With them the guest can begin. A call of one ends it with a TrapError of the kind "stub" that names the
        function.
        """
        return Stubs(module)

    @property
    def names(self) -> Iterable[str]:
        """The names of the functions, as a guest imports them."""
        return self._functions.keys()

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Return type and stub of each function that the guest imports, by name.

        Raises:
            LinkError: A function has other parameters or results than the guest's import.
        """
        return {
            item.name: self._functions[item.name].bind(item, caller.guest, caller.memory)
            for item in wanted
            if item.kind == "func" and item.name in self._functions
        }


class Stubs:
    """Stubs for what is left of an import module. `Imports.stub` makes it."""

    def __init__(self, module: str) -> None:
        self.module = module

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Return a stub for each of `wanted`, whatever its type."""
        return {
            item.name: (Signature(item.params, item.results, "", ""), self._stub(item.name))
            for item in wanted
            if item.kind == "func"
        }

    def _stub(self, name: str) -> Stub:
        message = f"the guest called {shown(self.module)}.{shown(name)}, which is a stub"

        def stub() -> None:
            raise TrapError(message, "stub")

        return stub


class _Function:
    """A Python function and what its annotations say."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", repr(function))
        if inspect.iscoroutinefunction(function):
            raise ConfigError(f"{self.name} is async: a guest waits for its host functions, give an ordinary one")
        try:
            hints = get_type_hints(function)
        except (NameError, TypeError, SyntaxError) as error:
            raise ConfigError(f"{self.name}: its annotations cannot be read: {error}") from error
        self.params: list[object] = []
        self.rest: object = None
        for parameter in inspect.signature(function).parameters.values():
            kind = hints.get(parameter.name)
            if parameter.kind is parameter.VAR_POSITIONAL:
                if kind not in (None, Any, object, int, Unsigned, float, int | float):
                    raise ConfigError(
                        f"{self.name}: annotate *{parameter.name} as int, Unsigned, float or Any, not {kind!r}"
                    )
                self.rest = Any if kind is None else kind
                continue
            if parameter.kind is parameter.VAR_KEYWORD or (
                parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
            ):
                continue  # no guest passes it
            if parameter.kind is parameter.KEYWORD_ONLY:
                raise ConfigError(f"{self.name}: the parameter {parameter} cannot be given by a guest")
            if kind not in (*_NUMBER_TYPES, *_BUFFER_TYPES, Memory):
                raise ConfigError(
                    f"{self.name}: annotate {parameter.name!r} as int, Unsigned, float, bool, bytes, str, memoryview "
                    f"or Memory, not {'nothing' if kind is None else kind!r}; or take any numbers with *args"
                )
            self.params.append(kind)
        self.result: object = hints.get("return", Any if self.rest else inspect.Signature.empty)
        if self.result not in (type(None), *_NUMBER_TYPES, bytes, str) and not (
            self.rest and self.result in (Any, object)
        ):
            raise ConfigError(
                f"{self.name}: annotate the result as None, int, Unsigned, float, bool, bytes or str"
                + ", or Any" * (self.rest is not None)
            )

    def __str__(self) -> str:
        return f"{self.name}{inspect.signature(self.function)}"

    def bind(self, item: Item, guest: Guest, memory: Memory) -> tuple[Signature, Stub]:
        """Return type and stub for a module that imports it as `item`."""
        slots, kinds = "", list(item.params)
        fits = True
        for kind in self.params:
            if kind is Memory:
                continue
            taken, kinds = kinds[: 2 if kind in _BUFFER_TYPES else 1], kinds[2 if kind in _BUFFER_TYPES else 1 :]
            if kind in _BUFFER_TYPES:
                fits = fits and taken == ["i32", "i32"]
                slots += "II"
            else:
                fits = fits and len(taken) == 1 and taken[0] in _NUMBERS[kind]
                slots += "" if not fits else _slot(taken[0], kind)
        if self.rest:
            fits = fits and all(one in _SLOTS for one in kinds)
            slots += "".join(_slot(one, self.rest) for one in kinds if fits)
            kinds = []
        fits = fits and not kinds and self._returns(item.results)
        if not fits:
            raise LinkError(
                f"import {shown(item.module)}.{shown(item.name)}: the module has ({', '.join(item.params)}) -> "
                f"({', '.join(item.results)}), the Python function is {self}"
            )
        result_slots = "".join(_slot(one, Unsigned) for one in item.results)
        return Signature(item.params, item.results, slots, result_slots), self._stub(item, guest, memory)

    def _returns(self, results: tuple[str, ...]) -> bool:
        """Return whether the function's result can be `results`."""
        if self.result in (Any, object):
            return all(one in _SLOTS for one in results)
        if self.result is type(None):
            return results == ()
        wanted = ("i64",) if self.result in (bytes, str) else _NUMBERS[self.result]
        return len(results) == 1 and results[0] in wanted

    def _stub(self, item: Item, guest: Guest, memory: Memory) -> Stub:
        what, params, result, function = f"{item.module}.{item.name}", self.params, self.result, self.function
        fixed, rest = _number_count(params), self.rest is not None
        convert = _to_numbers(what, item.results) if result in (Any, object) else _to_number(what, item.results)

        def text(region: memoryview) -> str:
            try:
                return str(region, "utf-8")
            except UnicodeDecodeError as error:
                raise TrapError(
                    f"{shown(item.module)}.{shown(item.name)} takes text, and the guest gave what is no "
                    f"UTF-8: {error.reason} at byte {error.start}",
                    FAULT,
                ) from error

        def stub(*numbers: int | float) -> Any:
            given: list[Any] = []
            left = iter(numbers)
            for kind in params:
                if kind is Memory:
                    given.append(memory)
                elif kind in _BUFFER_TYPES:
                    region = guest.region(int(next(left)), int(next(left)), what)
                    given.append(region if kind is memoryview else bytes(region) if kind is bytes else text(region))
                else:
                    given.append(bool(next(left)) if kind is bool else next(left))
            if rest:
                given += numbers[fixed:]
            value = function(*given)
            if result in (bytes, str):
                if not isinstance(value, (str, bytes, bytearray)):
                    raise TypeError(f"{what} returned {value!r}: annotated as {result}")
                data = value.encode() if isinstance(value, str) else value
                try:
                    return memory.alloc(data) << 32 | len(data)
                except LinkError as error:  # the module was linked: that it cannot take this is its own mistake
                    raise TrapError(f"{what} returns bytes: {error}", FAULT) from error
            return convert(value)

        return stub


def _number_count(params: Sequence[object]) -> int:
    """Return how many numbers these parameters take."""
    return sum(2 if kind in _BUFFER_TYPES else 1 for kind in params if kind is not Memory)


def _to_number(what: str, results: tuple[str, ...]) -> Callable[[Any], int | float | None]:
    """Return what converts a Python result to the one number of `results`, or to none."""
    if not results:
        return lambda _: None
    mask = 0xFFFF_FFFF if results == ("i32",) else 0xFFFF_FFFF_FFFF_FFFF

    def convert(value: Any) -> int | float:
        try:
            return float(value) if results[0][0] == "f" else int(value) & mask
        except (TypeError, ValueError) as error:
            raise TypeError(f"{what} returned {value!r}, which is no {results[0]}") from error

    return convert


def _to_numbers(what: str, results: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return what converts a Python result to the numbers of `results`: none, one, or a tuple."""
    each = [_to_number(what, (one,)) for one in results]
    if len(each) < 2:
        return each[0] if each else lambda _: None

    def convert(value: Any) -> tuple[int | float | None, ...]:
        if not isinstance(value, (tuple, list)) or len(value) != len(each):
            raise TypeError(f"{what} returned {value!r}, the module takes a tuple of {len(each)}")
        return tuple(one(number) for one, number in zip(each, value, strict=True))

    return convert


def _slot(kind: str, annotation: object) -> str:
    """Return the `struct` character of a core type, signed unless the annotation is `Unsigned`."""
    slot = _SLOTS[kind]
    return slot.upper() if annotation is Unsigned and slot in "iq" else slot
