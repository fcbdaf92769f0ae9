"""`clock_*`: the four clocks, from the system or from the embedder."""

from __future__ import annotations

from wasi_preview1.errors import WasiError
from wasi_preview1.handlers import ClockHandlers
from wasi_preview1.types import Clockid, Errno, Timestamp

from wasihost.waiting.clocks import Clocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LAST: Final = 0xFFFFFFFFFFFFFFFF
"""In ns since 1970: the year 2554."""


class ClockFunctions(ClockHandlers):
    """Reads `clocks`. `precision` is ignored: every clock is read as precisely as it can be."""

    __slots__ = ()

    clocks: Clocks

    def clock_res_get(self, id: Clockid) -> Timestamp:
        return self.clocks.resolutions[id]

    def clock_time_get(self, id: Clockid, precision: Timestamp) -> Timestamp:
        # OVERFLOW for a time before the clock's zero, or one that does not fit into 64 bits.
        now = self.clocks.now[id]()
        if not 0 <= now <= _LAST:
            raise WasiError(Errno.OVERFLOW)
        return now
