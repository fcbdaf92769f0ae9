"""Reads the parts that sections of a module consist of.

Rules of this file: what does not parse is a ModuleError. A count is compared with the bytes that are left before a list
of that length is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from pywasm import core

from wasihost.errors import ModuleError

VALUE_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
TYPES: dict[int, core.ValType] = {code: core.ValType(code) for code in VALUE_TYPES}
"""One object for each type: comparing an object with itself is quick."""
ZEROS: dict[int, core.ValInst] = {code: core.ValInst.zero(type) for code, type in TYPES.items()}
"""The value that a local variable of each type begins with. The interpreter never changes a value."""
NOT_HERE = "a feature that this engine (pywasm) does not have"
_PAGES = 1 << 16
_ELEMENTS = (1 << 32) - 1
_WIDE = 4


class Reader:
    """The bytes of a module from `at` to `end`, read in order. Positions are those in the module."""

    def __init__(self, code: bytes, at: int, end: int) -> None:
        self.code: bytes = code
        self.at: int = at
        self.end: int = end

    def part(self, size: int) -> Reader:
        """The next `size` bytes, as a reader of their own."""
        at = self.at
        self._step(size)
        return Reader(self.code, at, self.at)

    def _step(self, size: int) -> None:
        if size > self.end - self.at:
            raise ModuleError("it ends in the middle of something")
        self.at += size

    def byte(self) -> int:
        """One byte."""
        self._step(1)
        return self.code[self.at - 1]

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        self._step(size)
        return self.code[self.at - size : self.at]

    def _leb128(self, bits: int) -> tuple[int, int]:
        """A number in LEB128 as if it had no sign, and the size of its encoding in bits."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value, shift
            if shift >= bits:
                raise ModuleError("a number is too long")

    def number(self) -> int:
        """An unsigned number of 32 bits, in LEB128."""
        value, _ = self._leb128(32)
        if value >> 32:
            raise ModuleError("a number is too large")
        return value

    def signed(self, bits: int) -> int:
        """A signed number of so many bits, in LEB128."""
        value, shift = self._leb128(bits)
        if value >> shift - 1:  # the sign
            value -= 1 << shift
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ModuleError("a number is too large")
        return value

    def count(self, least: int = 1) -> int:
        """How many things follow, each of at least so many bytes."""
        count = self.number()
        if count * least > self.end - self.at:
            raise ModuleError("it ends in the middle of a list")
        return count

    def index(self, things: Sequence[object], what: str) -> int:
        """An index into a list."""
        index = self.number()
        if index >= len(things):
            raise ModuleError(f"index {index} is used, and there are {len(things)} {what}")
        return index

    def text(self) -> str:
        """A name."""
        try:
            return self.take(self.number()).decode()
        except UnicodeDecodeError:
            raise ModuleError("a name is not UTF-8") from None

    def value_type(self) -> int:
        """The code of a value type."""
        code = self.byte()
        if code not in VALUE_TYPES:
            raise ModuleError(f"it needs {NOT_HERE}: the value type {code:#x}")
        return code

    def limits(self, most: int) -> core.Limits:
        """The limits of a memory or table; pywasm has 0 for no maximum."""
        flags = self.byte()
        if flags > 1:
            what = "a 64-bit memory" if flags & _WIDE else "a shared memory or pages of another size"
            raise ModuleError(f"it needs {NOT_HERE}: {what}")
        limits = core.Limits(self.number(), self.number() if flags else 0)
        if limits.n > most or limits.m > most or (flags and limits.m < limits.n):
            raise ModuleError("the limits of a memory or table cannot be")
        if flags and not limits.m:
            limits.m = -1  # none at all
        return limits

    def table(self) -> core.TableType:
        """The type of a table."""
        code = self.value_type()
        if code not in (0x70, 0x6F):
            raise ModuleError("a table of numbers")
        return core.TableType(TYPES[code], self.limits(_ELEMENTS))

    def memory(self) -> core.MemType:
        """The type of a memory."""
        return core.MemType(self.limits(_PAGES))

    def global_type(self) -> core.GlobalType:
        """The type of a global."""
        code, mutable = self.value_type(), self.byte()
        if mutable > 1:
            raise ModuleError("a global that is neither mutable nor immutable")
        return core.GlobalType(TYPES[code], mutable)
