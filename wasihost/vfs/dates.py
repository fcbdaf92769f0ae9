"""Dates without a zone as seconds. `calendar` does the same, but imports `locale`, which takes long."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

_EPOCH = datetime.date(1970, 1, 1).toordinal()


def seconds(parts: Sequence[int]) -> int:
    """Since 1970, of (year, month, day, hour, minute, second, ...), taken as UTC. ValueError for a month or a year that
    there is not; what is beyond the end of a month, a day or a minute runs on into the next."""
    year, month, day, hour, minute, second = parts[:6]
    days = datetime.date(year, month, 1).toordinal() - _EPOCH + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second
