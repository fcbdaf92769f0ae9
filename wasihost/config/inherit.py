"""`INHERIT`: a stream that is this process's own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from wasihost.config.limits import OutputLimit


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
