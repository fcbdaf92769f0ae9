"""A folder of the host, Raw states that give it to a guest as descriptor 3, and a limit for tests that may wait."""

import signal
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


@pytest.fixture
def in_time() -> Iterator[None]:
    """What waits for ever is a failure."""

    def late(*_: object) -> None:
        pytest.fail("it still waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
