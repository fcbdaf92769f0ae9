"""`random_bytes`: randomness that repeats."""

from __future__ import annotations

import random

from wasihost.config import RandomSource


class _RandomBytes:
    _CHUNK = 4096

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        missing = size - len(self._rest)
        if missing > 0:
            self._rest += self._random.randbytes(-(-missing // self._CHUNK) * self._CHUNK)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def random_bytes(seed: int) -> RandomSource:
    """Return a source for `with_rand_source` that yields the same bytes for the same seed, in reads of any size."""
    return _RandomBytes(seed)
