"""One raw call on the stubs in Python and on those in C, over equal memories, with handlers that return the same.

Rules of this file: nothing of any one spec. Everything is drawn from a `Random`, so that hypothesis can choose too.
What is compared: the arguments of the handler, the result or what was raised, the memory, and where views lie.
"""

from __future__ import annotations

import re
import struct
import typing
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from functools import partial
from importlib import import_module
from random import Random
from types import ModuleType
from typing import Any, NamedTuple, get_args, get_type_hints

SIZE = 256
"""Bytes of the memory."""
NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    63,
    64,
    100,
    200,
    SIZE - 8,
    SIZE - 1,
    SIZE,
    SIZE + 1,
    1024,
    1025,
    2**16,
    2**31 - 1,
)
WIDE = (*NUMBERS, 2**31, 2**32 - 8, 2**32 - 1)
WIDEST = (*WIDE, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
STRANGE: tuple[object, ...] = (
    -1,
    2**16,
    2**32,
    2**64,
    -(2**63) - 1,
    None,
    "text",
    1.5,
    float("inf"),
    1e300,
    True,
    [],
    (1, 2, 3),
    b"",
)
"""What a handler with a bug may return in place of a number."""


class Outcome(NamedTuple):
    """What a call did, in a form that can be compared."""

    returned: object
    raised: tuple[object, ...]
    handled: list[object]
    memory: bytes | None


class Call(NamedTuple):
    """A call, and all that it meets."""

    module: str
    name: str
    numbers: tuple[float, ...]
    memory: bytes
    shown: int
    """How many bytes of the memory `guest.view` shows before; the rest is found by a refresh."""
    result: object
    """What the handler returns, or an exception that it raises."""
    scribbles: bool
    """Whether the handler writes into the views that it gets."""
    times: int
    """How often the call is made: the second may use objects of the first again."""
    keeps: int
    """How many views of the first call the handler keeps, -1 for the whole list."""


class Package:
    """A generated package in both languages."""

    def __init__(self, name: str, native: Any) -> None:
        self.name = name
        self.native = native
        self.guest: ModuleType = import_module(f"{name}.guest")
        self.types: ModuleType = import_module(f"{name}.types")
        self.errors: ModuleType = import_module(f"{name}.errors")
        self.stubs: ModuleType = import_module(f"{name}.stubs")
        self.signatures: dict[str, dict[str, Any]] = import_module(f"{name}.signatures").SIGNATURES
        self.handlers: Any = import_module(f"{name}.handlers").Handlers
        self.methods = {
            (module, function): stub.__name__
            for module, functions in self.stubs.bind(_Anything(), None).items()
            for function, stub in functions.items()
        }
        self.names = sorted(self.methods)

    def draw(self, random: Random, module: str, name: str) -> Call:
        """A call of a function that may or may not be as it should."""
        memory = _memory(random)
        numbers = tuple(_number(random, kind) for kind in self.signatures[module][name].slots)
        method = getattr(self.handlers, self.methods[module, name])
        hints = get_type_hints(method, {**vars(typing), **vars(self.guest), **vars(self.types)})
        return Call(
            module,
            name,
            numbers,
            memory,
            random.choice((SIZE, SIZE, SIZE, 0, 8, 100)),
            self._result(random, hints["return"]),
            random.random() < 0.3,
            random.choice((1, 1, 2, 3)),
            random.choice((0, 0, 0, 1, -1)),
        )

    def compare(self, call: Call) -> None:
        """AssertionError where the two differ."""
        python, c = self.outcome(call, native=False), self.outcome(call, native=True)
        if self._both_at_fault(python.raised, c.raised):
            return
        for what, one, other in zip(Outcome._fields, python, c, strict=True):
            assert one == other, f"{what} of {call}: {one} in Python, {other} in C"

    def _both_at_fault(self, python: tuple[object, ...], c: tuple[object, ...]) -> bool:
        """Whether the guest's pointer is bad and the handler returned no tuple: either may be reported first."""
        shapes = {TypeError, IndexError}
        return len(python) == len(c) > 0 and {*python[::3]} == {self.errors.GuestFault} and {*c[::3]} <= shapes

    def outcome(self, call: Call, *, native: bool) -> Outcome:
        """Make the call."""
        memory = bytearray(call.memory)
        guest = self.guest.Guest(lambda: memory, lambda error: 1000 + error.errno)
        handlers = _Recorder(call, memory)
        if native:
            stub = self.native.Guest(self.name, guest).stub(handlers, call.module, call.name)
        else:
            stub = self.stubs.bind(handlers, guest)[call.module][call.name]
        guest.view = memoryview(memory)[: call.shown]
        returned: list[object] = []
        raised: tuple[object, ...] = ()
        for _ in range(call.times):
            try:
                returned.append(stub(*call.numbers))
            except Exception as error:
                text = re.sub(
                    r"Value after \* must be an iterable, not (.*)", r"'\1' object is not iterable", str(error)
                )
                raised += (type(error), text, error.args if error is call.result else vars(error))
                if not isinstance(error, (self.errors.GuestFault, self.errors.BadValue)) and error is not call.result:
                    memory[:] = bytes(len(memory))  # what `struct` wrote before it failed differs
        handlers.kept.clear()
        guest.release()
        with suppress(AttributeError):
            call.result.__traceback__ = None  # type: ignore[attr-defined]  # only exceptions have one
        memory.append(0)  # BufferError if a view of it is left
        return Outcome(returned, raised, handlers.handled, bytes(memory))

    def codecs(self) -> list[tuple[Any, Any]]:
        """The package's codecs that are replaced in C, in Python and in C."""
        in_python = import_module(f"{self.name}.native").CODECS
        both = zip(in_python, self.native.codecs(self.name), strict=True)
        return [(one, other) for one, other in both if one is not other]

    def compare_codecs(self, random: Random, python: Any, c: Any) -> None:
        """Read values from memory and write others there, as a handler does. AssertionError where the two differ."""
        memory, count = _memory(random), random.choice((0, 1, 1, 2, 3))
        room = SIZE - python.size * count
        at = random.randrange(0, room, python.align) if room > 0 and random.random() < 0.95 else random.choice(WIDE)
        classes = import_module(f"{self.name}.native").CLASSES
        good = bytearray(memory)
        for place in range(at, min(at + python.size * count, SIZE)):
            good[place] = random.choice((0, 0, 0, 1, 2)) if random.random() < 0.5 else good[place]
        values = [self._value(random, random.choice([*classes, tuple])) for _ in range(count)]
        found = [self._read_and_write(codec, bytes(good), at, count, values) for codec in (python, c)]
        assert found[0] == found[1], f"{python} at {at}, {count} values, {values}, {good.hex()}: {found}"

    def _read_and_write(self, codec: Any, memory: bytes, at: int, count: int, values: list[Any]) -> object:
        held = bytearray(memory)
        pointer = self.guest.make(self.guest.Pointer, (self.guest.Guest(lambda: held, int), at, codec, "what"))
        read = _tried(lambda: pointer.read(count))
        loaded = _tried(pointer.load)
        own = read[1] if isinstance(read[1], list) else []
        wrote = [_tried(lambda: pointer.write(own)), bytes(held), _tried(lambda: pointer.write(values)), bytes(held)]
        stored = [_tried(partial(pointer.store, value)) for value in values]
        pointer[0].release()
        held.append(0)  # BufferError if a view of it is left
        return _plain(read), _plain(loaded), wrote, stored, bytes(held)

    def _result(self, random: Random, kind: Any) -> object:
        """What a handler returns or raises."""
        if random.random() < 0.2:
            return random.choice(self._exceptions())
        if random.random() < 0.1:
            return random.choice(STRANGE)
        return self._value(random, kind)

    def _exceptions(self) -> list[BaseException]:
        known: list[BaseException] = [
            OSError(2, "none"),
            FileExistsError(17, "there"),
            ValueError("bug"),
            ZeroDivisionError(),
        ]
        known += [self.errors.BadValue("bad"), self.errors.GuestFault("x", 1, 2, 4, 3), KeyError(1)]
        if hasattr(self.errors, "WasiError"):
            for definition in vars(self.types).values():
                if isinstance(definition, type) and issubclass(definition, IntEnum):
                    known += [self.errors.WasiError(random_member) for random_member in list(definition)[:3]]
        return known

    def _value(self, random: Random, kind: Any) -> object:
        if random.random() < 0.02:
            return random.choice(STRANGE)
        if get_args(kind):
            values = [self._value(random, one) for one in get_args(kind) if one is not Ellipsis]
            if getattr(kind, "__origin__", None) is tuple:
                if random.random() < 0.05:
                    return random.choice((values, tuple(values[:-1]), (*values, 1)))
                return tuple(values)
            return random.choice(values) if values else None
        if not isinstance(kind, type) or kind is type(None):
            return None
        fields = getattr(kind, "_fields", None)
        if fields is not None:
            hints = get_type_hints(kind, {**vars(typing), **vars(self.guest), **vars(self.types)})
            values = [self._value(random, hints[name]) for name in fields]
            if random.random() < 0.05:
                return random.choice((values, tuple(values[:-1])))
            return kind(*values)
        if issubclass(kind, IntEnum):
            return random.choice(list(kind))
        if kind is str:
            return random.choice(("a", "\u20ac", "\U0001f600", "ab", ""))
        if kind is float:
            return random.choice((0.0, -1.5, 1e300, float("nan"), float("inf"), 7))
        if kind is bool:
            return random.random() < 0.5
        if issubclass(kind, int):
            mask = getattr(kind, "MASK", None)
            return kind(random.choice(WIDEST) & mask) if mask is not None else random.choice((*WIDEST, 5, 9, -1, -5))
        return None


def _tried(call: Callable[[], object]) -> tuple[object, ...]:
    """What it raises, or None and what it returns."""
    try:
        return None, call()
    except Exception as error:
        return type(error), str(error)


def _plain(value: object) -> object:
    """A value in which types count too, and floats are their bits."""
    if isinstance(value, float):
        return float, struct.pack("<d", value)
    if isinstance(value, tuple | list):
        with suppress(TypeError):  # what cannot be hashed
            return type(value), [_plain(one) for one in value], hash(value)
        return type(value), [_plain(one) for one in value]
    return type(value), value


class _Anything:
    """Handlers that are only bound."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class _Recorder:
    """Handlers that note their arguments and return or raise what the call says."""

    def __init__(self, call: Call, memory: bytearray) -> None:
        self.call = call
        self.memory = memory
        self.handled: list[object] = []
        self.kept: list[object] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        def handle(*args: object) -> object:
            self.handled.append((name, [self._noted(arg) for arg in args]))
            if self.call.keeps < 0:
                self.kept += args
            elif self.call.keeps:
                self.kept += [arg[0] if isinstance(arg, list) and arg else arg for arg in args]
            if isinstance(self.call.result, BaseException):
                raise self.call.result
            return self.call.result

        return handle

    def _noted(self, arg: object) -> object:
        if isinstance(arg, memoryview):
            if self.call.scribbles and len(arg):
                arg[len(self.handled) % len(arg)] = 0xEE
            return memoryview, arg.format, arg.readonly, arg.ndim, bytes(arg)
        if isinstance(arg, list):
            return list, [self._noted(one) for one in arg]
        if isinstance(arg, float):
            return float, struct.pack("<d", arg)
        if type(arg).__name__ in ("Pointer", "ConstPointer"):
            pointer: Any = arg
            _, at, codec, what = pointer
            in_python = getattr(getattr(codec[2], "__self__", None), "python", codec)
            return type(arg), at, codec[:2], in_python[2].__qualname__, what
        if isinstance(arg, tuple):
            return type(arg), [self._noted(one) for one in arg]
        return type(arg), arg


def _memory(random: Random) -> bytes:
    """Mostly small numbers, so that addresses and lengths in it are often inside it; sometimes text."""
    if random.random() < 0.3:
        return (b"path/\xc3\xa9\xe2\x82\xac" * SIZE)[:SIZE] if random.random() < 0.7 else bytes([0xFF]) * SIZE
    words = [random.choice((0, 1, 2, 3, 8, 40, 100, 200, random.choice(WIDE))) for _ in range(SIZE // 4)]
    return struct.pack(f"<{SIZE // 4}I", *words)


def _number(random: Random, kind: str) -> float:
    match kind:
        case "I":
            return random.choice(WIDE) if random.random() < 0.4 else random.choice((0, 1, 2, 3, 8, 16, 24, 64, 128))
        case "i":
            return random.choice((*NUMBERS, -1, -128, -129, -(2**31)))
        case "Q":
            return random.choice(WIDEST) if random.random() < 0.6 else random.getrandbits(30)
        case "q":
            return random.choice((*NUMBERS, 2**62, -1, -(2**63), 2**63 - 1))
    return random.choice((0.0, 1.5, -0.0, 3.0e38, float("inf")))
