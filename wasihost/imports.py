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
| `-> bytes`, `-> str` | an i64, `pointer << 32 | length`, of memory that the guest's own allocator gave |

What a function raises ends the run and comes out of it.
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

from wasihost.errors import ConfigError, LinkError
from wasihost.memory import Memory

if TYPE_CHECKING:
    from wasi_preview1.guest import Guest, Stub

    from wasihost.deadline import Deadline
    from wasihost.engines.wasmtime.module import Item

F = TypeVar("F", bound=Callable[..., Any])

Unsigned = NewType("Unsigned", int)
"""An int that arrives, and is answered, without a sign."""

_ONE: Final = (int, Unsigned, float, bool)
_PAIR: Final = (bytes, str, memoryview)
_SLOTS = {"i32": "i", "i64": "q", "f32": "f", "f64": "d"}
_NUMBERS: Final[Mapping[object, tuple[str, ...]]] = {
    int: ("i32", "i64"), Unsigned: ("i32", "i64"), float: ("f32", "f64"), bool: ("i32",)
}  # fmt: skip
_RESERVED = ("wasi_snapshot_preview1", "wasi_unstable")

Bound: TypeAlias = dict[str, tuple[Signature, "Stub"]]


class Caller(NamedTuple):
    """The guest that imports: its memory as stubs and as Python functions see it, and when it has to end."""

    guest: Guest
    memory: Memory
    deadline: Deadline


class Provider(Protocol):
    """Functions for one import module of a guest: `Imports`, or another guest's exports."""

    @property
    def module(self) -> str: ...

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Those of `wanted`, the imports from this module, that it has."""


def own_module(module: str) -> str:
    """The name, if it may be an import module of a user's. ConfigError if it is WASI's."""
    if module in _RESERVED:
        raise ConfigError(f"{module} is WASI's own: its functions are overridden by subclassing a generated class")
    return module


class Imports:
    """Functions for one import module of the guest; `env` is what compilers call it if nothing else is said."""

    def __init__(self, module: str = "env") -> None:
        self.module = own_module(module)
        self._functions: dict[str, _Function] = {}

    @overload
    def function(self, function: F, /) -> F: ...
    @overload
    def function(self, /, *, name: str) -> Callable[[F], F]: ...

    def function(self, function: F | None = None, /, *, name: str | None = None) -> F | Callable[[F], F]:
        """Decorator: the function is provided under its own name, or as `name`. ConfigError for what cannot be one."""

        def add(function: F) -> F:
            self._functions[name or function.__name__] = _Function(function)
            return function

        return add if function is None else add(function)

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Name -> type and stub of each function that the module wants. LinkError where the types do not fit."""
        return {
            item.name: self._functions[item.name].bind(item, caller.guest, caller.memory)
            for item in wanted
            if item.kind == "func" and item.name in self._functions
        }


def bind_all(imports: Provider | Sequence[Provider], wanted: Sequence[Item], caller: Caller) -> dict[str, Bound]:
    """What all of them provide, by module."""
    bound: dict[str, Bound] = {}
    for one in imports if isinstance(imports, Sequence) else [imports]:
        mine = [item for item in wanted if item.module == one.module]
        bound.setdefault(one.module, {}).update(one.bind(mine, caller))
    return bound


class _Function:
    """A Python function and what its annotations say."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", repr(function))
        if inspect.iscoroutinefunction(function):
            raise ConfigError(f"{self.name} is async: a guest waits for its host functions, give an ordinary one")
        hints = get_type_hints(function)
        self.params: list[object] = []
        for parameter in inspect.signature(function).parameters.values():
            kind = hints.get(parameter.name)
            if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                raise ConfigError(f"{self.name}: the parameter {parameter} cannot be given by a guest")
            if kind not in (*_ONE, *_PAIR, Memory):
                raise ConfigError(
                    f"{self.name}: annotate {parameter.name!r} as int, Unsigned, float, bool, bytes, str, memoryview "
                    f"or Memory, not {'nothing' if kind is None else kind!r}"
                )
            self.params.append(kind)
        self.result: object = hints.get("return", inspect.Signature.empty)
        if self.result not in (type(None), *_ONE, bytes, str):
            raise ConfigError(f"{self.name}: annotate the result as None, int, Unsigned, float, bool, bytes or str")

    def __str__(self) -> str:
        return f"{self.name}{inspect.signature(self.function)}"

    def bind(self, item: Item, guest: Guest, memory: Memory) -> tuple[Signature, Stub]:
        """The type and the stub for a module that imports it as `item`."""
        slots, kinds = "", list(item.params)
        fits = True
        for kind in self.params:
            if kind is Memory:
                continue
            taken, kinds = kinds[: 2 if kind in _PAIR else 1], kinds[2 if kind in _PAIR else 1 :]
            if kind in _PAIR:
                fits = fits and taken == ["i32", "i32"]
                slots += "II"
            else:
                fits = fits and len(taken) == 1 and taken[0] in _NUMBERS[kind]
                slots += "" if not fits else _slot(taken[0], kind)
        answers = "".join(_slot(one, Unsigned) for one in item.results)
        wanted = () if self.result is type(None) else ("i64",) if self.result in (bytes, str) else _NUMBERS[self.result]
        fits = fits and not kinds and (item.results == () if not wanted else
                                       len(item.results) == 1 and item.results[0] in wanted)  # fmt: skip
        if not fits:
            raise LinkError(
                f"import {item.module}.{item.name}: the module has ({', '.join(item.params)}) -> "
                f"({', '.join(item.results)}), the Python function is {self}"
            )
        return Signature(item.params, item.results, slots, answers), self._stub(item, guest, memory)

    def _stub(self, item: Item, guest: Guest, memory: Memory) -> Stub:
        what, params, result, function = f"{item.module}.{item.name}", self.params, self.result, self.function
        mask = 0xFFFF_FFFF if item.results == ("i32",) else 0xFFFF_FFFF_FFFF_FFFF

        def stub(*numbers: int | float) -> int | float | None:
            given: list[Any] = []
            rest = iter(numbers)
            for kind in params:
                if kind is Memory:
                    given.append(memory)
                elif kind in _PAIR:
                    region = guest.region(int(next(rest)), int(next(rest)), what)
                    given.append(
                        region if kind is memoryview else bytes(region) if kind is bytes else str(region, "utf-8")
                    )
                else:
                    given.append(bool(next(rest)) if kind is bool else next(rest))
            answer = function(*given)
            if result is type(None):
                return None
            if result in (bytes, str):
                data = answer.encode() if isinstance(answer, str) else answer
                return memory.alloc(data) << 32 | len(data)
            return float(answer) if result is float else int(answer) & mask

        return stub


def _slot(kind: str, annotation: object) -> str:
    """The `struct` character of a core type, as the annotation has its sign."""
    slot = _SLOTS[kind]
    return slot.upper() if annotation is Unsigned and slot in "iq" else slot
