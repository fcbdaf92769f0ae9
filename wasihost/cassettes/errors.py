"""What is wrong with a cassette, or with a run that is to be as one recorded."""

from __future__ import annotations

from typing import Any

from wasihost.errors import GuestError, WasihostError


class CassetteError(WasihostError):
    """A cassette cannot be used: it is not there, is damaged or of another version, or would become too large."""


class ReplayError(GuestError):
    """The guest did not do what it did when it was recorded, and was ended.

    Attributes:
        number: The number of the call, from 1.
        function: What the guest called; None if it ended.
        argument: The name of the argument that differs; None if the function does.
        recorded: The argument, or the function, as recorded.
        found: The same of this run.
    """

    def __init__(
        self, message: str, number: int, function: str | None, argument: str | None, recorded: Any, found: Any
    ) -> None:
        super().__init__(message, number, function, argument, recorded, found)
        self.number = number
        self.function = function
        self.argument = argument
        self.recorded = recorded
        self.found = found

    def __str__(self) -> str:
        return str(self.args[0])
