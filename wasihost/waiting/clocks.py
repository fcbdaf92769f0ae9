"""A guest's clocks, and how it sleeps: as its config says, or as the system does. Times are in ns."""

from __future__ import annotations

import time

from wasihost.config import SYS_CLOCK_RESOLUTION_NANOTIME, SYS_CLOCK_RESOLUTION_WALLTIME, ModuleConfig
from wasihost.waiting.cancel_scope import CancelScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Clocks:
    """`now` and `resolutions` by clock id: realtime, monotonic, process and thread CPU time.

    `wall_is_set`: the wall clock is the system's, which may be set while a guest waits for a time of it.
    """

    __slots__ = ("now", "resolutions", "sleep", "sleeps_really", "wall_is_set")

    def __init__(self, config: ModuleConfig, scope: CancelScope) -> None:
        walltime = config.clock_walltime or (time.time_ns, SYS_CLOCK_RESOLUTION_WALLTIME)
        nanotime = config.clock_nanotime or (time.monotonic_ns, SYS_CLOCK_RESOLUTION_NANOTIME)
        self.now: tuple[Callable[[], int], ...] = (walltime[0], nanotime[0], time.process_time_ns, time.thread_time_ns)
        self.resolutions: tuple[int, int, int, int] = (walltime[1], nanotime[1], 1, 1)
        self.sleep: Callable[[int], object] = config.clock_nanosleep or scope.sleep
        self.sleeps_really: bool = config.clock_nanosleep is None
        self.wall_is_set: bool = self.sleeps_really and config.clock_walltime is None
