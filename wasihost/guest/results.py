"""What a guest has produced so far: output, files and what was cut off.

Rules of this file: nothing here knows where the guest runs; `Instance` and `isolation.guest` both build on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from wasihost.guest.options import RunSetup
    from wasihost.vfs.changes import Changes


class GuestResults:
    """What a guest has produced so far, in this process or in one of its own. Close it, or use it in a `with` block."""

    def __init__(self, setup: RunSetup) -> None:
        self._setup = setup

    @property
    def stdout(self) -> bytes | str | None:
        """Standard output so far; None if it is not captured."""
        return self._setup.text_mode.decode(self._setup.captured_stdout)

    @property
    def stderr(self) -> bytes | str | None:
        """Standard error so far; None if it is not captured."""
        return self._setup.text_mode.decode(self._setup.captured_stderr)

    @property
    def files(self) -> Changes | None:
        """The changes so far to the files in memory; None if there are none."""
        return self._setup.changes()

    @property
    def truncated(self) -> tuple[str, ...]:
        """The captured streams to which the guest wrote more than was kept."""
        return self._setup.truncated

    def close(self) -> None:
        """End the guest, and free what it holds."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
