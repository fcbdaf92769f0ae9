"""How much is tried: the same few examples in the tests, and new ones for as long as there is time in `make fuzz`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T", bound=Callable[..., Any])

_PHASES = (Phase.explicit, Phase.generate, Phase.shrink)


def quick(examples: int) -> settings:
    """In the tests: these many examples, the same every time and on every machine."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=_PHASES,
        suppress_health_check=list(HealthCheck),
    )


def long(examples: int) -> settings:
    """One round of `make fuzz`: other examples every time."""
    return settings(quick(examples), derandomize=False)
