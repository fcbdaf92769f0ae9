"""A guest that waits, for each kind of wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.descriptors import open_files
from tests.waiting.waits import WAITS
from wasihost import ModuleConfig


@pytest.fixture(params=WAITS)
def config(request: pytest.FixtureRequest) -> Iterator[ModuleConfig]:
    before = open_files()
    with WAITS[request.param]() as made:
        yield made
    assert open_files() == before
