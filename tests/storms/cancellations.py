"""Tasks that are cancelled and guests that are killed at any moment: each is over soon, and leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import warnings
from typing import Any

import wasihost
from tests.process.soak import footprint
from tests.storms.modules import SPIN, status
from tests.support.guests import build_c

LATE = 10
"""Seconds within which a cancelled task is over, also beside a heavy load."""


async def endless(_size: int) -> bytes:
    """A stream that never has anything."""
    await asyncio.sleep(60)
    return b""


def kinds(chance: random.Random) -> tuple[Any, dict[str, Any]]:
    """A guest that never ends, in one of many waits; or one that is being compiled."""
    tool = build_c("tool")
    guests: list[tuple[Any, dict[str, Any]]] = [
        (SPIN, {}),
        (tool, {"args": ["spin"], "stdout": wasihost.PIPE}),
        (tool, {"args": ["sleep", "60"], "files": {"f": b"1"}}),
        (tool, {"args": ["cat"], "stdin": endless}),
        (tool, {"args": ["sleep", "60"], "timeout": 30}),
        (status(chance.randrange(10**9), 30), {}),
    ]
    return chance.choice(guests)


async def cancelled(chance: random.Random) -> None:
    """One run, cancelled after a moment."""
    module, options = kinds(chance)
    task = asyncio.create_task(wasihost.run_async(module, **options))
    await asyncio.sleep(chance.choice([0, chance.uniform(0, 0.003), chance.uniform(0, 0.1)]))
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=LATE)
    assert done, f"{options}: not over {LATE} s after it was cancelled"
    if not task.cancelled():
        task.result()  # it ended before


def killed(chance: random.Random) -> None:
    """A guest that one talks with: killed, left with an exception, dropped, or not read to its end."""
    tool = build_c("tool")
    process = wasihost.start(tool, args=chance.choice([["spin"], ["sleep", "60"], ["cat"]]))
    time.sleep(chance.choice([0, chance.uniform(0, 0.02)]))
    begun = time.monotonic()
    match chance.randrange(3):
        case 0:
            process.kill()
            assert process.wait(LATE) == -9
        case 1:
            try:
                with process:
                    raise KeyError
            except KeyError:
                pass
        case _:
            process.terminate()
            process.communicate(timeout=LATE)
    process.wait(LATE)
    for file in (process.stdin, process.stdout):
        file.close()
    assert time.monotonic() - begun < LATE


async def tasks(seconds: float, chance: random.Random) -> int:
    """Four at a time."""
    until, done = time.monotonic() + seconds, 0
    while not done or time.monotonic() < until:
        await asyncio.gather(*(cancelled(chance) for _ in range(4)))
        done += 4
    return done


def storm(seconds: float, chance: random.Random) -> str:
    """Tasks, then guests with handles."""
    warnings.simplefilter("ignore", ResourceWarning)
    asyncio.run(tasks(0, chance))
    killed(chance)
    gc.collect()
    before = footprint()
    done = asyncio.run(tasks(seconds / 2, chance))
    until, ended = time.monotonic() + seconds / 2, 0
    while not ended or time.monotonic() < until:
        killed(chance)
        ended += 1
    until = time.monotonic() + LATE
    while (now := footprint()).threads > before.threads and time.monotonic() < until:
        time.sleep(0.05)
    gc.collect()
    now = footprint()
    assert now.threads <= before.threads, f"threads: {before.threads}, then {now.threads}"
    assert now.descriptors <= before.descriptors, f"descriptors: {before.descriptors}, then {now.descriptors}"
    return f"{done} tasks cancelled, {ended} guests killed"
