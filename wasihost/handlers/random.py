"""`random_get`: random bytes from the system or from the embedder."""

from __future__ import annotations

import os

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import RandomHandlers
from wasi_preview1.types import Errno

from wasihost.config import RandomSource

_CHUNK = 1 << 20


class Random(RandomHandlers):
    """Fills the guest's buffer in pieces, so a large one costs the host no large copy."""

    rand_source: RandomSource | None

    def random_get(self, buf: memoryview) -> None:
        """Fill `buf`; IO where the embedder's source has run dry."""
        if self.rand_source is None:
            if len(buf) <= _CHUNK:
                buf[:] = os.urandom(len(buf))
                return
            for at in range(0, len(buf), _CHUNK):
                piece = buf[at : at + _CHUNK]
                piece[:] = os.urandom(len(piece))
            return
        at = 0
        while at < len(buf):
            data = self.rand_source.read(min(len(buf) - at, _CHUNK))
            if not data:
                raise WasiError(Errno.IO)
            if len(data) > len(buf) - at:
                raise ValueError(f"the source of randomness gave {len(data)} bytes when asked for {len(buf) - at}")
            buf[at : at + len(data)] = data
            at += len(data)
