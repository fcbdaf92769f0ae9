"""The log: loggers of the standard library whose names begin with `wasihost.`, for causes that a guest cannot be told.

`logging` is imported when there is something to say: few runs have that. A guest can cause as many lines as it makes
calls, so a kind of line is written a few times in a while, and then left out.
"""

from __future__ import annotations

import time
from typing import Final

_MOST: Final = 20
_WHILE: Final = 60.0
_written: dict[str, tuple[float, int]] = {}
"""By the message: when its while began, and how many lines there were since."""


def warn(logger: str, message: str, *args: object) -> None:
    """A warning to `wasihost.<logger>`; `args` go into `message` as `logging` has it. In a minute, 20 lines of one
    message are written, whatever is in it, and one that says that more are left out."""
    now = time.monotonic()
    begun, count = _written.get(message, (now, 0))
    if now - begun >= _WHILE:
        begun, count = now, 0
    _written[message] = begun, count + 1
    if count > _MOST:
        return
    import logging

    log = logging.getLogger(f"wasihost.{logger}")
    if count == _MOST:
        log.warning("more lines such as the last are left out, for %.0f s", begun + _WHILE - now)
    else:
        log.warning(message, *args)
