"""Samples of the stack of a guest: the interpreter's own stack has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasihost.engines.values import CUT
from wasihost.errors import FIRST_FRAMES, LAST_FRAMES

if TYPE_CHECKING:
    from typing import Any

    from wasihost.engines.pywasm.instance import PywasmInstance


class StackProfiler:
    """See `wasihost.engines.base.StackProfiler`. A guest is looked at about each millisecond, however short `interval`
    is."""

    def __init__(self, instance: PywasmInstance, interval: int) -> None:
        self.interval = interval
        self.readable: bool = True
        self._instance = instance
        self._taken: list[tuple[int, ...]] = []

    def start(self) -> None:
        """Nothing to be done: the interpreter looks at its scope all the time."""

    def stop(self) -> None:
        """Nothing to be done."""

    def sample(self) -> None:
        """Note which functions are running."""
        frames: list[Any] = self._instance.machine.stack.frame[1:]
        stack = [frame.number for frame in frames]
        if len(stack) > FIRST_FRAMES + LAST_FRAMES:
            stack[LAST_FRAMES:-FIRST_FRAMES] = [CUT]
        self._taken.append(tuple(stack))

    def take(self) -> list[tuple[int, ...]]:
        """The samples since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def close(self) -> None:
        """Nothing to be done."""
