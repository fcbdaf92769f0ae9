"""What the tests of `start` share."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest


def pipes() -> int:
    """How many ends of pipes this process has open."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
    return count


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Threads and pipes are gone after each test."""
    before = pipes()
    yield
    gc.collect()
    until = time.monotonic() + 10
    while any(thread.name.startswith("wasihost g") for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wasihost g")]
    assert pipes() <= before
