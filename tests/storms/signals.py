"""Signals whose handlers raise, at any moment of a run: see tests/process/interrupts.py."""

from __future__ import annotations

import random
import time

from tests.process import interrupts


def storm(seconds: float, chance: random.Random) -> str:
    """Each is raised once, out of the run that it came in."""
    until, done = time.monotonic() + seconds, 0
    while not done or time.monotonic() < until:
        done += sum(interrupts.storm(150, chance.randrange(1 << 30)).values())
    return f"{done:,} interrupted runs"
