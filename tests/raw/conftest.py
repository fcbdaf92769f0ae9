"""The scene of `tests.raw.scene`, new for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raw.scene import make
from tests.support.raw import Raw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The host folder that is descriptor 3."""
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def raw(folder: Path) -> Iterator[Raw]:
    with make(folder) as made:
        yield made
