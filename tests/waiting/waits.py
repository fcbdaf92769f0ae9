"""Guests that wait for each kind of thing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

from tests.support.guests import build_c
from wasihost import (
    Module,
    ModuleConfig,
)
from wasihost.config import Inherit

TOOL = Module(build_c("tool"))


@contextlib.contextmanager
def empty_pipe() -> Iterator[ModuleConfig]:
    reads, writes = os.pipe()
    try:
        yield ModuleConfig().with_args("tool", "cat").with_stdin(Inherit(reads))
    finally:
        os.close(reads)
        os.close(writes)


@contextlib.contextmanager
def full_pipe() -> Iterator[ModuleConfig]:
    """Standard output that is never read, and endless input."""
    reads, writes = os.pipe()
    with open("/dev/zero", "rb", buffering=0) as zeros:
        try:
            yield ModuleConfig().with_args("tool", "cat").with_stdin(zeros).with_stdout(Inherit(writes))
        finally:
            os.close(reads)
            os.close(writes)


@contextlib.contextmanager
def silent_socket() -> Iterator[ModuleConfig]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ModuleConfig().with_args("tool", "cat").with_stdin(Inherit(ours.fileno()))


@contextlib.contextmanager
def plain(*args: str) -> Iterator[ModuleConfig]:
    yield ModuleConfig().with_args("tool", *args)


WAITS: dict[str, Callable[[], contextlib.AbstractContextManager[ModuleConfig]]] = {
    "computing": lambda: plain("spin"),
    "sleeping": lambda: plain("sleep", "60"),
    "reading a pipe": empty_pipe,
    "reading a socket": silent_socket,
    "writing to a full pipe": full_pipe,
}
