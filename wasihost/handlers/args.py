"""`args_*` and, with the same layout, `environ_*`: strings that the guest fetches in two steps.

What is worked out once is kept in plain attributes: a `cached_property` asks the host for its `__dict__`, which makes
every call of every handler 30 ns slower on CPython 3.11.
"""

from __future__ import annotations

from typing import Final

from wasi_preview1.guest import Pointer
from wasi_preview1.handlers import ArgsHandlers, EnvironHandlers
from wasi_preview1.types import Size

_AT_ONCE: Final = 1024
"""Pointers that are held at once: with more, Python's garbage collection looks at all of them again and again."""


def write_strings(strings: tuple[bytes, ...], table: Pointer[Pointer[int]], text: Pointer[int]) -> None:
    """Each string with its NUL into `text`, one after the other, and where each begins into `table`."""
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
    """How many strings, and how many bytes they take with their NULs."""
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
