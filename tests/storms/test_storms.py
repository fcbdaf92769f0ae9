"""The short forms of `make storm`: every storm for a moment."""

from __future__ import annotations

import os

import pytest

from tests.storms import disk
from tests.storms.apart import NAMES, apart

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals, forks and descriptors of POSIX"),
    pytest.mark.alone,
]
ELSEWHERE = ("signals",)
"""In tests/process/test_signals.py."""
SECONDS = {"forks": 2, "threads": 2, "descriptors": 1, "disk": 1}
"""The others: 1.5."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_a_short_storm(name: str) -> None:
    if name == "disk" and not disk.possible():
        pytest.skip("this system lets us mount nothing")
    failed, text = apart(name, SECONDS.get(name, 1.5), 1)
    assert not failed, text
