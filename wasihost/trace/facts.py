"""What is known of one call: the data of a `TracedCall`."""

from __future__ import annotations

from typing import Any

from wasihost.common.unpatched import threading, time


class CallFacts:
    """One call of a guest.

    Attributes:
        call: The record of `wasi_preview1.calls`, with `bytes` for buffers as they were after the call.
        result: What the function returned; None if it failed.
        error: The errno, a member of `Errno`; None if it did not fail.
        ended: The name of the exception that ended the guest in this call; else None.
        time: When the call began, in seconds since 1970.
        seconds: How long it took.
        guest: The number of the guest among those of this trace, from 1.
        thread: The identifier of the thread, as `threading.get_ident` returns it.
        depth: How many calls of this guest it is nested in.
        descriptors: What descriptors are, by the argument's name; that of the result by an empty name.
        length: How many bytes of a buffer its line shows.
        details: What lies behind pointers: subscriptions of a poll, names of a directory, how much was read.
    """

    __slots__ = (
        "call",
        "depth",
        "descriptors",
        "details",
        "ended",
        "error",
        "guest",
        "length",
        "result",
        "seconds",
        "thread",
        "time",
    )

    def __init__(self, call: Any, guest: int, depth: int, length: int) -> None:
        self.call: Any = call
        self.guest: int = guest
        self.depth: int = depth
        self.thread: int = threading.get_ident()
        self.descriptors: dict[str, Any] = {}
        self.details: Any = None
        self.result: Any = None
        self.error: Any = None
        self.ended: str | None = None
        self.time: float = time.time()
        self.seconds: float = 0.0
        self.length: int = length
