"""How tests of the extension compare its errors with those of Python."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def raised(call: Callable[..., object], *args: object) -> tuple[object, ...]:
    """What an error says."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is what is compared
        call(*args)
    return type(caught.value), caught.value.errno, caught.value.strerror, caught.value.filename
