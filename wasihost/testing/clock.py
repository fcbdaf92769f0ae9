"""`FakeClock`: time that passes when a guest sleeps, and takes none."""

from __future__ import annotations

from typing import Final

from wasihost.config import ModuleConfig

NEW_YEAR_2026: Final = 1_767_225_600_000_000_000
"""2026-01-01 00:00 UTC in ns since 1970: where a `FakeClock` starts."""


class FakeClock:
    """A clock that advances only when the guest sleeps, and by `tick_ns` per reading, so that busy waiting ends.

    It is both of the guest's clocks; the monotonic one starts at 0. `sleeps` lists the guest's sleeps in ns. For the
    times of files pass `MemoryFS(clock=clock.walltime)`.

    Args:
        start_ns: Wall time at the start, in ns since 1970.
        tick_ns: How far each reading advances the clock, in ns.
    """

    def __init__(self, start_ns: int = NEW_YEAR_2026, tick_ns: int = 0) -> None:
        self.start_ns = start_ns
        self.tick_ns = tick_ns
        self.sleeps: list[int] = []
        self._passed = 0

    def walltime(self) -> int:
        """Return ns since 1970."""
        return self.start_ns + self.nanotime()

    def nanotime(self) -> int:
        """Return ns since this clock was made."""
        now = self._passed
        self._passed += self.tick_ns
        return now

    def sleep(self, ns: int) -> None:
        """Advance the clock by `ns` at once, and record the sleep."""
        self.sleeps.append(ns)
        self._passed += ns

    def advance(self, ns: int) -> None:
        """Advance the clock by `ns`."""
        self._passed += ns

    def configure(self, config: ModuleConfig) -> ModuleConfig:
        """Return `config` with this clock for both of the guest's clocks and for its sleeps."""
        config = config.with_walltime(self.walltime, 1).with_nanotime(self.nanotime, 1)
        return config.with_nanosleep(self.sleep)
