"""A folder of the host, and Raw states that give it to a guest as descriptor 3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw import Raw
from wasihost import ModuleConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The host folder that is descriptor 3."""
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def raw(folder: Path) -> Iterator[Raw]:
    """A State that may change the folder."""
    with Raw(ModuleConfig().with_host_directory_preopen("/", folder)) as made:
        yield made
