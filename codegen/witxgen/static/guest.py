"""The runtime of generated code: a guest's linear memory, its faults, and typed views of it.

Rules of this file: standard library only, and nothing specific to one spec. An address is unsigned and is checked
before it is used; a size that the guest passed is compared with the memory before anything is allocated by it. Stubs
use `Guest.view` directly and call the methods here when something looks wrong: only these refresh the view and raise.
"""

from __future__ import annotations

import struct

from .light_typing import Generic, NamedTuple, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn, Self, TypeAlias

    from typing_extensions import Buffer

T = TypeVar("T")

if TYPE_CHECKING:

    def make(record: type[T], fields: Iterable[Any], /) -> T:
        """Make a record from its fields, `make(types.Point, (x, y))`, three times as fast as calling the class."""

else:
    make = tuple.__new__

Stub: TypeAlias = "Callable[..., Any]"
"""A function as the engine calls it: canonical numbers in (unsigned unless the witx type is signed), the errno out."""

StructError = struct.error
"""What `struct` raises where a value would be outside the buffer."""

INTERFACE = 1
"""What a host may expect of a generated package: another number where that has changed."""
MAX_BUFFERS = 1024
"""How many buffers one call may name, as POSIX' IOV_MAX: more is a bad value, not work for the host."""
MAX_TOTAL = 2**31 - 1
"""How many bytes several buffers of one call may be together, as POSIX' SSIZE_MAX on 32 bits."""
MAX_VALUES = 1 << 20
"""How many values the lists of one call may have together: lists that overlap in memory could name any amount."""

_NOTHING = memoryview(bytearray())


class Guest:
    """A guest's linear memory as the stubs see it.

    `view` may be shorter than the memory (it grew since) but never longer. `memory` returns the whole current memory
    as a writable buffer. `errno_of` turns an `OSError` of a handler into the number the guest gets. `left` is how many
    values lists may still have, of `MAX_VALUES` for a call; `refresh` begins to count anew.
    """

    __slots__ = ("errno_of", "left", "memory", "view")

    def __init__(self, memory: Callable[[], Buffer], errno_of: Callable[[OSError], int]) -> None:
        self.left: int = MAX_VALUES
        self.memory: Callable[[], Buffer] = memory
        self.errno_of: Callable[[OSError], int] = errno_of
        self.view: memoryview = _NOTHING

    def refresh(self) -> memoryview:
        """Take a new view of the memory as it is now. TypeError if it is not writable."""
        view = memoryview(self.memory())
        if view.format != "B":
            view = view.cast("B")
        if view.readonly:
            raise TypeError("the guest's memory must be a writable buffer, such as a bytearray")
        self.view = view
        self.left = MAX_VALUES
        return view

    def release(self) -> None:
        """Drop the view, so that the owner of the memory may resize it."""
        self.view = _NOTHING

    def checked_view(self, address: int, size: int, align: int, what: str) -> memoryview:
        """The view, after checking that `size` bytes at `address` are inside it. GuestFault if they are not.

        `align` is the alignment that `address` must have; `what` names the function and the parameter in the fault.
        """
        if address & (align - 1):
            raise GuestFault(what, address, size, align, len(self.view))
        view = self.view
        if address + size > len(view):
            view = self.refresh()
            if address + size > len(view):
                raise GuestFault(what, address, size, align, len(view))
        return view

    def region(self, address: int, size: int, what: str) -> memoryview:
        """`size` bytes at `address`, without a copy; for 0 bytes any address is valid. Raises GuestFault."""
        if not size:
            return self.view[:0]
        return self.checked_view(address, size, 1, what)[address : address + size]

    def buffers(self, address: int, count: int, what: str) -> list[memoryview]:
        """The buffers of an iovec array: `count` pairs of address and length at `address`.

        LookupError above `MAX_BUFFERS`, and where they have more than `MAX_TOTAL` bytes together: they may overlap, so
        a guest with a small memory could otherwise name any amount.
        """
        if not count:
            return []
        if count > MAX_BUFFERS:
            raise LookupError(f"{what}: {count} buffers, at most {MAX_BUFFERS}")
        view = self.checked_view(address, 8 * count, 4, what)
        buffers = []
        for start, size in _PAIR.iter_unpack(view[address : address + 8 * count]):
            buffer = view[start : start + size]
            buffers.append(buffer if len(buffer) == size else self.region(start, size, what))
        if count > 1 and sum(map(len, buffers)) > MAX_TOTAL:
            raise LookupError(f"{what}: more than {MAX_TOTAL} bytes")
        return buffers

    def values(self, address: int, count: int, codec: Codec[T], what: str) -> list[T]:
        """`count` values at `address`; BadValue if one is not of its type, or for more than `left`."""
        pointer = make(ConstPointer, (self, address, codec, what))
        if count > self.left:
            self.checked_view(address, codec.size * count, codec.align, what)  # a bad pointer is a fault first
            raise BadValue(f"{what}: {count} values, at most {self.left} more in lists of this call")
        self.left -= count
        return pointer.read(count)

    def text(self, address: int, size: int, what: str) -> str:
        """UTF-8 text; UnicodeDecodeError if it is not."""
        return str(self.region(address, size, what), "utf-8")


_PAIR = struct.Struct("<II")


class GuestFault(Exception):
    """The guest passed a pointer that is out of bounds or misaligned; by the rules of witx it traps.

    `what` names the function and the parameter; `address`, `size` and `memory` are in bytes.
    """

    def __init__(self, what: str, address: int, size: int, align: int, memory: int) -> None:
        super().__init__(what, address, size, align, memory)
        self.what = what
        self.address = address
        self.size = size
        self.align = align
        self.memory = memory

    def __str__(self) -> str:
        if self.address & (self.align - 1):
            return f"{self.what}: address {self.address:#x} is not a multiple of {self.align}"
        end = self.address + self.size
        return f"{self.what}: bytes {self.address:#x} to {end:#x} are outside the memory of {self.memory:#x} bytes"


class BadValue(Exception):
    """A number in guest memory is not a value of its type: an unknown case, an unknown bit."""


class Codec(NamedTuple, Generic[T]):
    """The layout of a type in memory: its size and alignment in bytes, and its reader and writer.

    Reader and writer expect an address that was checked before, by `Guest.checked_view`. `get_all` and `put_all` read
    and write a number of values from an address on, where that is faster than one by one.
    """

    size: int
    align: int
    get: Callable[[Guest, int], T]
    put: Callable[[Guest, int, T], None]
    get_all: Callable[[Guest, int, int], list[T]] | None = None
    put_all: Callable[[Guest, int, list[T]], None] | None = None


class ConstPointer(tuple[Guest, int, Codec[T], str], Generic[T]):
    """A typed address in guest memory that a handler may read from. Every access is checked.

    It is a tuple, (guest, address, codec, what), because stubs make one at every call.
    """

    __slots__ = ()

    def read(self, count: int) -> list[T]:
        """The `count` values that start at this address, at most `MAX_VALUES`. BadValue if one is not of the type."""
        guest, at, (size, align, get, _, get_all, _), what = self
        values: list[T] = []
        if not count:
            return values
        guest.checked_view(at, size * count, align, what)
        if count > MAX_VALUES:
            raise BadValue(f"{what}: {count} values, at most {MAX_VALUES}")
        try:
            if get_all is not None:
                return get_all(guest, at, count)
            for place in range(at, at + size * count, size):
                values.append(get(guest, place))  # a comprehension is a call more on 3.11
        except LookupError as error:
            raise BadValue(f"{what}: {error}") from None
        return values

    def load(self) -> T:
        """The value at this address. BadValue if it is not a value of the type."""
        guest, at, (size, align, get, _, _, _), what = self
        guest.checked_view(at, size, align, what)
        try:
            return get(guest, at)
        except LookupError as error:
            raise BadValue(f"{what}: {error}") from None

    def raw_bytes(self, count: int) -> bytes:
        """A copy of the bytes of `count` values: as long as they are equal, so are the values that `read` returns."""
        guest, at, (size, align, _, _, _, _), what = self
        return bytes(guest.checked_view(at, size * count, align, what)[at : at + size * count])

    def offset(self, count: int) -> Self:
        """The pointer that is `count` values further on."""
        guest, at, codec, what = self
        return make(type(self), (guest, at + codec.size * count, codec, what))

    @property
    def address(self) -> int:
        """The address as a number."""
        return self[1]


class Pointer(ConstPointer[T]):
    """A typed address in guest memory that a handler may also write to."""

    __slots__ = ()

    def write(self, values: list[T]) -> None:
        """Store `values` from this address on."""
        guest, at, (size, align, _, put, _, put_all), what = self
        guest.checked_view(at, size * len(values), align, what)
        if put_all is not None:
            put_all(guest, at, values)
            return
        for value in values:
            put(guest, at, value)
            at += size

    def store(self, value: T) -> None:
        """Store `value` at this address."""
        guest, at, (size, align, _, put, _, _), what = self
        guest.checked_view(at, size, align, what)
        put(guest, at, value)

    def bytes(self, size: int) -> memoryview:
        """The `size` bytes that start at this address, without a copy."""
        guest, at, _, what = self
        return guest.region(at, size, what)


def copied(value: T) -> T:
    """The value with `bytes` in place of every view of memory; pointers stay what they are."""
    made: Any = value
    if isinstance(value, memoryview):
        made = bytes(value)
    elif isinstance(value, list):
        made = list(map(copied, value))
    elif isinstance(value, tuple) and not isinstance(value, ConstPointer):
        made = make(type(value), map(copied, value))
    same: T = made  # as far as a type checker knows: `bytes` can be read as a view can
    return same


N = TypeVar("N", int, float)


def number(char: str, _kind: type[N]) -> Codec[N]:
    """The codec of a number by its `struct` character."""
    layout = struct.Struct("<" + char)

    def get(guest: Guest, at: int) -> N:
        value: N = layout.unpack_from(guest.view, at)[0]
        return value

    def put(guest: Guest, at: int, value: N) -> None:
        layout.pack_into(guest.view, at, value)

    return Codec(layout.size, layout.size, get, put)


U8, U16, U32, U64 = (number(c, int) for c in "BHIQ")
S8, S16, S32, S64 = (number(c, int) for c in "bhiq")
F32, F64 = (number(c, float) for c in "fd")


def _get_bool(guest: Guest, at: int) -> bool:
    return (False, True)[U32.get(guest, at)]


def _get_char(guest: Guest, at: int) -> str:
    return character(U32.get(guest, at))


BOOL: Codec[bool] = Codec(4, 4, _get_bool, lambda guest, at, value: U32.put(guest, at, value))
CHAR: Codec[str] = Codec(4, 4, _get_char, lambda guest, at, value: U32.put(guest, at, ord(value)))


def character(code: int) -> str:
    """The Unicode scalar value `code`; LookupError if there is none."""
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise LookupError(f"{code:#x} is not a Unicode scalar value")
    return chr(code)


def table_codec(base: Codec[int], table: tuple[T, ...] | dict[int, T]) -> Codec[T]:
    """The codec of an enum or of flags: a number that is looked up in a table."""

    def get(guest: Guest, at: int) -> T:
        return table[base.get(guest, at)]

    def put(guest: Guest, at: int, value: Any) -> None:
        base.put(guest, at, value)

    return Codec(base.size, base.align, get, put)


P = TypeVar("P", bound="ConstPointer[Any]")


def _pointers(cls: type[P], codec: Codec[Any]) -> Codec[P]:
    def get(guest: Guest, at: int) -> P:
        return make(cls, (guest, U32.get(guest, at), codec, "pointer in memory"))

    return Codec(4, 4, get, lambda guest, at, value: U32.put(guest, at, value.address))


def pointer_to(codec: Codec[T]) -> Codec[Pointer[T]]:
    """The codec of a pointer that is stored in memory."""
    return _pointers(Pointer, codec)


def const_pointer_to(codec: Codec[T]) -> Codec[ConstPointer[T]]:
    """As `pointer_to`, for a pointer that handlers only read from."""
    return _pointers(ConstPointer, codec)


def _pair(guest: Guest, at: int) -> tuple[int, int]:
    start, size = _PAIR.unpack_from(guest.view, at)
    return start, size


def _unwritable(_guest: Guest, _at: int, value: object) -> NoReturn:
    raise TypeError(f"{value!r:.80} cannot be written to guest memory: the ABI has no place for a list or text")


def _get_text(guest: Guest, at: int) -> str:
    try:
        return guest.text(*_pair(guest, at), "text in memory")
    except UnicodeDecodeError as error:
        raise LookupError(str(error)) from None


TEXT: Codec[str] = Codec(8, 4, _get_text, _unwritable)
BYTES: Codec[memoryview] = Codec(
    8, 4, lambda guest, at: guest.region(*_pair(guest, at), "bytes in memory"), _unwritable
)


def list_of(codec: Codec[T]) -> Codec[list[T]]:
    """The codec of a list that is stored as address and count; it can only be read."""

    def get(guest: Guest, at: int) -> list[T]:
        start, count = _pair(guest, at)
        return guest.values(start, count, codec, "list in memory")

    return Codec(8, 4, get, _unwritable)


class RawCalls:
    """Base of the generated `RawAbi`: calls a stub with a fresh view of the memory.

    The view is dropped after each call, so the owner of the memory may grow it in between.
    """

    guest: Guest
    stubs: Mapping[str, Mapping[str, Stub]]

    def _call(self, module: str, name: str, *args: float) -> int:
        """Call a stub and return its number: a float where the function returns one, as its method declares."""
        guest = self.guest
        guest.refresh()
        try:
            number: int = self.stubs[module][name](*args)
            return number
        finally:
            guest.release()


def s32(value: int) -> int:
    """Any int as a signed 32-bit number."""
    return ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def s64(value: int) -> int:
    """Any int as a signed 64-bit number."""
    return ((value & 0xFFFFFFFFFFFFFFFF) ^ 0x8000000000000000) - 0x8000000000000000
