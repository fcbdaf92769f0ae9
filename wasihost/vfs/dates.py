"""Dates without a zone as seconds. `calendar.timegm` does the same, but imports `locale`, which is slow."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

_EPOCH = datetime.date(1970, 1, 1).toordinal()


def seconds(parts: Sequence[int]) -> int:
    """Return the seconds since 1970 of (year, month, day, hour, minute, second, ...), taken as UTC.

    A day, hour, minute or second that is too large runs on into the next month, day, hour or minute. Raises ValueError
    for a month or year that does not exist.
    """
    year, month, day, hour, minute, second = parts[:6]
    days = datetime.date(year, month, 1).toordinal() - _EPOCH + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second
