"""`args_*` and, with the same layout, `environ_*`: strings that the guest fetches in two steps, sizes first.

Sizes are computed once and kept in plain attributes: a `cached_property` would need a `__dict__` of the host, which
makes every call of every handler 30 ns slower on CPython 3.11.
"""

from __future__ import annotations

from wasi_preview1.guest import Pointer
from wasi_preview1.handlers import ArgsHandlers, EnvironHandlers
from wasi_preview1.types import Size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_AT_ONCE: Final = 1024
"""Pointers that are written at once: with many more, Python's garbage collector would scan them all repeatedly."""


def write_strings(strings: tuple[bytes, ...], table: Pointer[Pointer[int]], text: Pointer[int]) -> None:
    """Write the strings with their NULs to `text`, one after the other, and a pointer to each to `table`."""
    joined = b"".join(string + b"\0" for string in strings)
    place = text.bytes(len(joined))
    starts: list[Pointer[int]] = []
    at = 0
    for string in strings:
        starts.append(text.offset(at))
        at += len(string) + 1
        if len(starts) == _AT_ONCE:
            table.write(starts)
            table = table.offset(_AT_ONCE)
            starts.clear()
    table.write(starts)
    place[:] = joined


def sizes(strings: tuple[bytes, ...]) -> tuple[Size, Size]:
    """Return the number of strings, and of their bytes including the NULs."""
    return len(strings), sum(map(len, strings)) + len(strings)


class ArgsFunctions(ArgsHandlers):
    """The guest's arguments, which do not change while it runs."""

    __slots__ = ()

    args: tuple[bytes, ...]
    args_sizes: tuple[Size, Size]

    def args_get(self, argv: Pointer[Pointer[int]], argv_buf: Pointer[int]) -> None:
        write_strings(self.args, argv, argv_buf)

    def args_sizes_get(self) -> tuple[Size, Size]:
        return self.args_sizes


class EnvironFunctions(EnvironHandlers):
    """The guest's environment, which does not change while it runs."""

    __slots__ = ()

    environ: tuple[bytes, ...]
    environ_sizes: tuple[Size, Size]

    def environ_get(self, environ: Pointer[Pointer[int]], environ_buf: Pointer[int]) -> None:
        write_strings(self.environ, environ, environ_buf)

    def environ_sizes_get(self) -> tuple[Size, Size]:
        return self.environ_sizes
