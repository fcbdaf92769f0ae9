"""Sizes as text, such as 64MiB, and what may be given as one."""

from __future__ import annotations

from typing import Final

from wasihost.errors import ConfigError


def checked_size(name: str, value: object) -> int | None:
    """Bytes or a count that an object of ours is given as a limit, sizes also as text. ConfigError for what is none."""
    number = size(value) if isinstance(value, str) else value
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        number = None
    if number is None and value is not None:
        raise ConfigError(
            f"{name} cannot be {value!r}: give a number from 0 on, a size as '64MiB', or None for no limit"
        )
    return number


_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size(text: str) -> int | None:
    """Bytes: 1048576, 64MiB, 64M, 1GiB. None for what is no size."""
    import re  # which a run without sizes does without

    found = re.fullmatch(r"(\d{1,30})\s*([kmg]?)(i?b)?", text.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else None
