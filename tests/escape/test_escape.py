"""A short race, and the proof that it can fail: a resolver that only opens the path is caught at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.escape.race import race
from tests.support.descriptors import open_files
from wasihost.sandbox import resolve
from wasihost.sandbox.bounds import ANYWHERE, Bounds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="swapping needs Linux' renameat2")


@pytest.mark.parametrize("strategy", [resolve.by_openat2, resolve.by_walk], ids=["openat2", "walk"])
def test_no_guest_gets_out(tmp_path: Path, strategy: resolve.Strategy) -> None:
    before = open_files()
    outcome = race(tmp_path, strategy, 1.5)
    assert outcome.escapes == []
    assert outcome.calls > 1000
    assert outcome.swaps > 1000
    assert outcome.results["PERM"] > 100, "the links outwards were never met"
    assert outcome.results["SUCCESS"] > 100
    assert open_files() <= before


def test_no_guest_gets_out_through_an_overlay(tmp_path: Path) -> None:
    before = open_files()
    outcome = race(tmp_path, resolve.by_openat2, 1.0, through_overlay=True)
    assert outcome.escapes == []
    assert outcome.calls > 500
    assert outcome.swaps > 500
    assert outcome.results["PERM"] > 50, "the links outwards were never met"
    assert outcome.results["SUCCESS"] > 50
    assert open_files() <= before


def naive(
    dirfd: int,
    path: str,
    flags: int,
    mode: int,
    follow: bool,
    _bounds: Bounds = ANYWHERE,
    held: list[int] | None = None,
) -> int:
    """What a host does that does not care."""
    held = [] if held is None else held
    held.append(os.open(path, flags if follow else flags | os.O_NOFOLLOW, mode, dir_fd=dirfd))
    return held[-1]


def test_a_careless_host_would_be_caught(tmp_path: Path) -> None:
    assert race(tmp_path, naive, 0.5).escapes
