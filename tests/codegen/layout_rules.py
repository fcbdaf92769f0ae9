"""How values lie in guest memory, worked out from the rules of the ABI alone: the other opinion on generated codecs.

Rules of this file: nothing of the generator is used. A `Kind` is a type; its values are plain Python: numbers, strings,
bytes, lists, tuples, and for a case of a variant its number and its payload.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any


class Heap:
    """Memory from 4096 on, given out piece by piece; all bytes are 0xAA at first."""

    def __init__(self, size: int = 1 << 16) -> None:
        self.memory = bytearray(b"\xaa" * size)
        self.end = 4096

    def place(self, size: int, align: int) -> int:
        """An address for `size` bytes."""
        at = -(-self.end // align) * align
        self.end = at + size
        assert self.end <= len(self.memory)
        return at

    def store(self, kind: Kind, value: Any) -> int:
        """The address of a value that was put into memory."""
        at = self.place(kind.size, kind.align)
        self.memory[at : at + kind.size] = kind.pack(value, self)
        return at


class Kind:
    """A type: how a spec writes it, how it lies in memory, and which values it has."""

    writable = True

    def __init__(self, text: str, size: int, align: int) -> None:
        self.text, self.size, self.align = text, size, align

    def some(self, rng: random.Random, heap: Heap) -> Any:
        """A value."""
        raise NotImplementedError

    def pack(self, value: Any, heap: Heap) -> bytes:
        """The bytes of a value; data that they point at goes to the heap."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """What the generated code made, as a plain value."""
        return value

    def flat(self, value: Any, heap: Heap) -> tuple[Any, ...]:
        """The value as arguments of a call."""
        return (heap.store(self, value),)


class Number(Kind):
    def __init__(self, text: str, char: str) -> None:
        super().__init__(text, struct.calcsize(f"<{char}"), struct.calcsize(f"<{char}"))
        self.char = char

    def some(self, rng: random.Random, heap: Heap) -> Any:
        if self.char in "fd":
            return rng.choice([0.0, -1.5, 2.0**30, 0.25])
        bits = 8 * self.size
        low = -(1 << bits - 1) if self.char.islower() else 0
        return rng.choice([low, low + (1 << bits) - 1, rng.randrange(low, low + (1 << bits)), 0, 1])

    def pack(self, value: Any, heap: Heap) -> bytes:
        return struct.pack(f"<{self.char}", value)

    def flat(self, value: Any, heap: Heap) -> tuple[Any, ...]:
        return (value,)


class Bool(Number):
    def __init__(self) -> None:
        super().__init__("bool", "I")

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return rng.random() < 0.5

    def plain(self, value: Any) -> Any:
        assert isinstance(value, bool)
        return value


class Char(Number):
    def __init__(self) -> None:
        super().__init__("char", "I")

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return ord(rng.choice("a\0é中\U0010ffff"))

    def plain(self, value: Any) -> Any:
        return ord(value)


class Choice(Number):
    """An enum or flags: the values `below` a bound."""

    def __init__(self, text: str, char: str, below: int) -> None:
        super().__init__(text, char)
        self.below = below

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return rng.choice([0, self.below - 1, rng.randrange(self.below)])

    def plain(self, value: Any) -> Any:
        return int(value)


class Pointer(Number):
    """The addresses are odd on purpose: nothing is read through them here."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "I")

    def plain(self, value: Any) -> Any:
        return value.address


class Text(Kind):
    writable = False

    def __init__(self, text: str = "string") -> None:
        super().__init__(text, 8, 4)

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return rng.choice(["", "abc", "käse\0中"])

    def flat(self, value: Any, heap: Heap) -> tuple[Any, ...]:
        data = value.encode() if isinstance(value, str) else value
        at = heap.place(len(data), 1)
        heap.memory[at : at + len(data)] = data
        return at, len(data)

    def pack(self, value: Any, heap: Heap) -> bytes:
        return struct.pack("<II", *self.flat(value, heap))


class Bytes(Text):
    """A list of bytes, or a record of an address and a length."""

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return rng.randbytes(rng.randrange(5))

    def plain(self, value: Any) -> Any:
        assert isinstance(value, memoryview)
        return bytes(value)


class Iovec(Bytes):
    def flat(self, value: Any, heap: Heap) -> tuple[Any, ...]:
        return (heap.store(self, value),)

    def pack(self, value: Any, heap: Heap) -> bytes:
        return struct.pack("<II", *super().flat(value, heap))


class List(Kind):
    writable = False

    def __init__(self, text: str, element: Kind) -> None:
        super().__init__(text, 8, 4)
        self.element = element

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return [self.element.some(rng, heap) for _ in range(rng.choice([0, 1, 3]))]

    def flat(self, value: Any, heap: Heap) -> tuple[Any, ...]:
        data = b"".join(self.element.pack(item, heap) for item in value)
        at = heap.place(len(data), self.element.align)
        heap.memory[at : at + len(data)] = data
        return at, len(value)

    def pack(self, value: Any, heap: Heap) -> bytes:
        return struct.pack("<II", *self.flat(value, heap))

    def plain(self, value: Any) -> Any:
        return [self.element.plain(item) for item in value]


class Record(Kind):
    """A record or a tuple: its members one after the other, each at its own alignment."""

    def __init__(self, text: str, members: Sequence[Kind], is_tuple: bool = False) -> None:
        end = 0
        for member in members:
            end = -(-end // member.align) * member.align + member.size
        align = max([1, *(member.align for member in members)])
        super().__init__(text, -(-end // align) * align, align)
        self.members, self.is_tuple = members, is_tuple
        self.writable = all(member.writable for member in members)

    def some(self, rng: random.Random, heap: Heap) -> Any:
        return tuple(member.some(rng, heap) for member in self.members)

    def pack(self, value: Any, heap: Heap) -> bytes:
        out = b""
        for member, part in zip(self.members, value, strict=True):
            out += bytes(-len(out) % member.align) + member.pack(part, heap)
        return out + bytes(self.size - len(out))

    def plain(self, value: Any) -> Any:
        return tuple(member.plain(part) for member, part in zip(self.members, value, strict=True))


class Variant(Kind):
    """A tag, then room for the largest payload at the strictest alignment of any."""

    def __init__(self, text: str, char: str, cases: Sequence[Kind | None]) -> None:
        tag = struct.calcsize(f"<{char}")
        payloads = [case for case in cases if case]
        align = max([tag, *(case.align for case in payloads)])
        inner = max([1, *(case.align for case in payloads)])
        self.offset = -(-tag // inner) * inner
        end = self.offset + max([0, *(case.size for case in payloads)])
        super().__init__(text, -(-end // align) * align, align)
        self.char, self.cases = char, cases
        self.writable = all(case.writable for case in payloads)

    def some(self, rng: random.Random, heap: Heap) -> Any:
        number = rng.randrange(len(self.cases))
        case = self.cases[number]
        return number, case.some(rng, heap) if case else None

    def pack(self, value: Any, heap: Heap) -> bytes:
        number, payload = value
        case = self.cases[number]
        out = struct.pack(f"<{self.char}", number)
        if case:
            out = out.ljust(self.offset, b"\0") + case.pack(payload, heap)
        return out.ljust(self.size, b"\0")

    def plain(self, value: Any) -> Any:
        case = self.cases[value.tag]
        return int(value.tag), case.plain(value.value) if case else None


NUMBERS = [
    *(Number(text, char) for text, char in zip(("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"), "BHIQbhiq",
                                               strict=True)),
    Number("f32", "f"), Number("f64", "d"), Number("(@witx char8)", "B"), Number("(@witx usize)", "I"),
]  # fmt: skip
WIDTHS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
