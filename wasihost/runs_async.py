"""`run_async`: `run` for asyncio."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from wasihost.config import ModuleConfig
from wasihost.errors import WasihostError
from wasihost.instance import Instance, as_module
from wasihost.module import ModuleSource
from wasihost.options import Options, Prepared
from wasihost.outcomes import give, outcome
from wasihost.runs import CompletedProcess, finish

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Cancelled(WasihostError):
    """Ends the guest of a task that was cancelled; the task itself gets asyncio's CancelledError."""


async def run_async(
    module: ModuleSource,
    config: ModuleConfig | None = None,
    *,
    text: bool | None = None,
    encoding: str | None = None,
    timeout: float | None = None,
    check: bool = False,
    **options: Unpack[Options],
) -> CompletedProcess[Any]:
    """`run` for asyncio: the guest runs in a thread of its own, and cancelling the task ends it, wherever it is.

    Objects given as streams are called in that thread.
    """
    prepared = Prepared(module, config, options, text, encoding, timeout)
    guests: list[Instance] = []
    cancelled = threading.Event()
    reason = Cancelled("the task was cancelled")

    def made(guest: Instance) -> None:
        guests.append(guest)
        if cancelled.is_set():
            raise reason

    def work() -> CompletedProcess[Any]:
        return finish(as_module(module, options), prepared, timeout, check, made)

    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError as error:
        cancelled.set()
        for guest in guests:
            guest.end(reason, for_good=True)
        await asyncio.wait([running])
        end = running.exception()  # looked at also so that asyncio does not complain of one that nobody saw
        if end is not None and (kept := outcome(end)):
            give(error, kept)
        raise
