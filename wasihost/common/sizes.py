"""Sizes as text, such as 64MiB, and their check."""

from __future__ import annotations

from typing import Final

from wasihost.errors import ConfigError


def checked_size(name: str, value: object) -> int | None:
    """Return the limit called `name`: a number of 0 or more, a size as text, or None.

    Raises:
        ConfigError: It is none of these.
    """
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
    """Return the bytes that a text such as "1048576", "64MiB", "64M" or "1GiB" means; None if it is not a size."""
    import re  # only for a size as text

    found = re.fullmatch(r"(\d{1,30})\s*([kmg]?)(i?b)?", text.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else None
