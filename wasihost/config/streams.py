"""What can be given to a guest as a stream, or as its randomness."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wasihost.config.limits import OutputLimit


class Reader(Protocol):
    """What can be standard input.

    It may also have `readable(timeout)`: wait up to so many seconds, and answer whether there is something to read, or
    how many bytes. Without it, a guest that polls is told what a thread finds that reads ahead; see `docs/input.md`.
    """

    def read(self, size: int, /) -> bytes | str | None:
        """Up to `size` bytes or characters; empty at the end, None if there is nothing now."""


class Writer(Protocol):
    """What can be standard output or standard error.

    Only an `io.RawIOBase` may take less than it was given; what any other returns is ignored.
    """

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


class TextStream(Protocol):
    """The same for an object that wants str."""

    def write(self, data: str, /) -> object:
        """Take all of `data`."""


class RandomSource(Protocol):
    """Where random bytes come from: anything with `read`, such as an open file or `io.BytesIO`."""

    def read(self, size: int, /) -> bytes:
        """Exactly `size` bytes, or fewer, and the rest is asked for again; b"" is an error."""


class Inherit:
    """The type of `INHERIT`: `fd` is a descriptor of this process, or None for the one of the same number; `budget` is
    what may be written to it, if there is a limit."""

    __slots__ = ("budget", "fd")

    owned = False
    """Whether the guest closes it."""

    def __init__(self, fd: int | None = None, budget: OutputLimit | None = None) -> None:
        self.fd = fd
        self.budget = budget

    def __repr__(self) -> str:
        return "wasihost.INHERIT" if self is INHERIT else f"wasihost.config.Inherit({self.fd})"

    def __reduce__(self) -> str | tuple[type[Inherit], tuple[int | None, OutputLimit | None]]:
        return "INHERIT" if self is INHERIT else (Inherit, (self.fd, self.budget))


INHERIT: Final = Inherit()
"""As a stream: this process' own standard input, output or error, by its file descriptor."""

Stdin: TypeAlias = "Buffer | Reader | Callable[[int], bytes | None] | Inherit"
Stdout: TypeAlias = "Writer | TextStream | Callable[[bytes], object] | Inherit"
