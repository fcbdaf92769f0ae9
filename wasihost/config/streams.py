"""The types of what can be a guest's stream, or its source of random bytes.

Rule of this file: it is for type checkers and for users, and imports `typing`; so a run does not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from wasihost.config.inherit import Inherit


class Reader(Protocol):
    """What can be standard input.

    It may also have `readable(timeout)`, which waits up to `timeout` seconds and returns whether there is something to
    read, or how many bytes. Without it, a thread reads ahead for a guest that polls; see `docs/input.md`.
    """

    def read(self, size: int, /) -> bytes | str | None:
        """Return up to `size` bytes or characters: empty at the end, None if there is nothing now."""


class Writer(Protocol):
    """What can be standard output or standard error, and wants bytes.

    Only an `io.RawIOBase` may write less than all of `data`; what any other object returns is ignored.
    """

    def write(self, data: bytes, /) -> object:
        """Write all of `data`."""


class TextStream(Protocol):
    """What can be standard output or standard error, and wants str."""

    def write(self, data: str, /) -> object:
        """Write all of `data`."""


class RandomSource(Protocol):
    """A source of random bytes: anything with `read`, such as an open file or `io.BytesIO`."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, at least one; b"" is an error. If there are fewer, `read` is called again."""


Stdin: TypeAlias = "Buffer | Reader | Callable[[int], bytes | None] | Inherit"
Stdout: TypeAlias = "Writer | TextStream | Callable[[bytes], object] | Inherit"
