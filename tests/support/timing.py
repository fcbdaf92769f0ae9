"""How tests measure time on a machine that does other things as well.

Rule: what must not be too early holds at once, in each try. What must not be too late holds in one try of a few: beside
load the system keeps any process waiting for long now and then, but a host that is late is late each time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

TRIES = 8

P = ParamSpec("P")


class LateError(AssertionError):
    """Something took too long, this time."""


def in_time(took: float, least: float, most: float) -> None:
    """Seconds, or any other unit. Raises AssertionError below `least`, and LateError from `most` on."""
    assert took >= least, f"{took} is less than {least}"
    if took >= most:
        raise LateError(f"{took} is not less than {most}")


def few_tries(test: Callable[P, None]) -> Callable[P, None]:
    """The test runs again where it raised LateError, with the same fixtures; the last try counts."""

    @functools.wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(TRIES - 1):
            try:
                return test(*args, **kwargs)
            except LateError:
                pass
        return test(*args, **kwargs)

    return tried
