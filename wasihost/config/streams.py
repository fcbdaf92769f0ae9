"""The types of what can be a guest's stream, or its source of random bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wasihost.config.limits import OutputLimit


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


class Inherit:
    """The type of `INHERIT`.

    `fd` is a descriptor of this process; None is the one with the guest's number (0, 1 or 2). `budget` limits how many
    bytes may be written to it; None is no limit.
    """

    __slots__ = ("budget", "fd")

    owned = False
    """Whether the guest closes it."""

    def __init__(self, fd: int | None = None, budget: OutputLimit | None = None) -> None:
        self.fd: int | None = fd
        self.budget: OutputLimit | None = budget

    def __repr__(self) -> str:
        return "wasihost.INHERIT" if self is INHERIT else f"wasihost.config.Inherit({self.fd})"

    def __reduce__(self) -> str | tuple[type[Inherit], tuple[int | None, OutputLimit | None]]:
        return "INHERIT" if self is INHERIT else (Inherit, (self.fd, self.budget))


INHERIT: Final = Inherit()
"""As a stream: this process's own standard input, output or error, by its file descriptor."""

Stdin: TypeAlias = "Buffer | Reader | Callable[[int], bytes | None] | Inherit"
Stdout: TypeAlias = "Writer | TextStream | Callable[[bytes], object] | Inherit"
