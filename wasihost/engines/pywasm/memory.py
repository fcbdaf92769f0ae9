"""The linear memory of a guest: pages of the system that are reserved at once, so that it never moves when it grows.

That is what views of it rely on, see `wasi_preview1.guest`. The interpreter uses it as it would use a bytearray.
"""

from __future__ import annotations

import mmap

from wasihost.errors import LimitExceeded

PAGE = 1 << 16
EMPTY = memoryview(bytearray())
_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)


class LinearMemory(mmap.mmap):
    """A memory whose first `used` bytes are there for the guest."""

    used: int

    def __len__(self) -> int:
        return self.used

    def view(self) -> memoryview:
        """The memory as it is now."""
        return memoryview(self)[: self.used]


def reserve(size: int, most: int) -> LinearMemory:
    """A memory of `size` bytes that may grow to `most`. LimitExceeded if the system has not that much."""
    try:
        made = LinearMemory(-1, max(most, PAGE), flags=_FLAGS)
    except (OSError, MemoryError) as error:
        raise LimitExceeded(
            "memory",
            f"the system does not reserve {most:,} bytes for the guest's memory ({error}): give less by max_memory",
        ) from None
    made.used = size
    return made
