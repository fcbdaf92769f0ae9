"""Warnings by `logging`, to loggers whose names begin with `wasihost.`, for causes that an errno cannot say.

Rules of this file: `logging` is imported with the first warning, because few runs have one. A guest can cause a line
with each call, so there is a limit of lines per message and minute.
"""

from __future__ import annotations

import time
from typing import Final

_MOST: Final = 20
"""Lines of one message in one period."""
_PERIOD: Final = 60.0
"""Seconds."""
_written: dict[str, tuple[float, int]] = {}
"""Message -> the start of its period, and the number of its lines since."""


def warn(logger: str, message: str, *args: object) -> None:
    """Log a warning to `wasihost.<logger>`; `logging` formats `message` with `args`.

    Per minute, 20 lines of one `message` are logged, whatever its `args`, and then one that says more are left out.
    """
    now = time.monotonic()
    begun, count = _written.get(message, (now, 0))
    if now - begun >= _PERIOD:
        begun, count = now, 0
    _written[message] = begun, count + 1
    if count > _MOST:
        return
    import logging

    log = logging.getLogger(f"wasihost.{logger}")
    if count == _MOST:
        log.warning("more lines such as the last are left out, for %.0f s", begun + _PERIOD - now)
    else:
        log.warning(message, *args)
