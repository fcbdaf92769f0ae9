"""`random_get`: random bytes from the system or from the embedder.

Small requests are served from a pool, because a system call costs more than all the rest of the call. A byte of the
pool is used once, and a forked process discards its copy of the pool.
"""

from __future__ import annotations

import os

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import RandomHandlers
from wasi_preview1.types import Errno

from wasihost.common.forking import in_forked_child
from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.pieces import PIECE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasihost.config import RandomSource

_SMALL = 64
_POOL_SIZE = 4096

_forks = 0


@in_forked_child
def _forked() -> None:
    global _forks
    _forks += 1


class RandomPool:
    """Random bytes for one guest, of which the first `used` were used already. Invalid after a fork."""

    __slots__ = ("content", "forks", "used")

    def __init__(self) -> None:
        self.content: bytes = b""
        self.forks: int = _forks
        self.used: int = _POOL_SIZE

    def fill(self) -> None:
        """Fill the pool with new bytes from the system."""
        self.content = os.urandom(_POOL_SIZE)
        self.forks = _forks
        self.used = 0


class RandomFunctions(RandomHandlers):
    """Fills the guest's buffer in pieces: a large request needs no large copy, and stops when the guest has to end."""

    __slots__ = ()

    scope: CancelScope
    rand_source: RandomSource | None
    random_pool: RandomPool

    def random_get(self, buf: memoryview) -> None:
        # IO if the embedder's source has no more bytes.
        size = len(buf)
        if self.rand_source is not None:
            self._from_source(buf, self.rand_source)
        elif size <= _SMALL:
            pool = self.random_pool
            if pool.used + size > _POOL_SIZE or pool.forks != _forks:
                pool.fill()
            at = pool.used
            pool.used = end = at + size
            buf[:] = pool.content[at:end]
        else:
            for at in range(0, size, PIECE):
                if at:
                    self.scope.check()
                piece = buf[at : at + PIECE]
                piece[:] = os.urandom(len(piece))

    def _from_source(self, buf: memoryview, source: RandomSource) -> None:
        at = 0
        while at < len(buf):
            if at:
                self.scope.check()
            size = min(len(buf) - at, PIECE)
            data = source.read(size)
            if not data:
                raise WasiError(Errno.IO)
            if len(data) > size:
                raise ValueError(f"the source of randomness gave {len(data)} bytes when asked for {size}")
            buf[at : at + len(data)] = data
            at += len(data)
