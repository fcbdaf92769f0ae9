"""What all tests need, and the order in which two processes share them (`make test`)."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.support.native  # noqa: F401 - before wasihost
from tests.support.raw import Raw
from wasihost import ModuleConfig

LONG = (
    "tests/docs/test_examples.py",
    "tests/apps/",
    "tests/toolchains/",
    "tests/bench/",
    "tests/package/",
    "tests/process/",
    "tests/codegen/",
    "tests/engines/test_versions.py",
)
"""What takes long begins first, or the last file would keep one process busy while the other has nothing left."""


ALONE = "tests/storms/"
"""Where tests that need the machine for themselves are: `make test` looks for them nowhere else."""

_KEEPS_NO_BYTECODE = sys.dont_write_bytecode
sys.dont_write_bytecode = False  # while tests are collected: pytest takes long to rewrite all their asserts


def pytest_collection_finish() -> None:
    """What is there now stays. Collections of garbage need not look at nine thousand tests each time."""
    sys.dont_write_bytecode = _KEEPS_NO_BYTECODE
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let all of it end as without that: before modules are emptied, which destructors need."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others stay in their order; so do the tests of each file."""
    root = Path(__file__).parents[1]
    missing = [path for path in LONG if not (root / path).exists()]
    assert not missing, f"LONG in tests/conftest.py has moved: {missing}"
    strays = [item.nodeid for item in items if item.get_closest_marker("alone") and not item.nodeid.startswith(ALONE)]
    assert not strays, f"`make test` does not find these outside {ALONE}: {strays}"

    def place(item: pytest.Item) -> int:
        return next((number for number, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def compiled_apps(shared: Path) -> Path:
    """A cache for the real applications: CPython takes seconds to compile."""
    return shared / "compiled-apps"


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is left out because of another test's."""
    if "wasihost.common.logs" in sys.modules:
        monkeypatch.setattr(sys.modules["wasihost.common.logs"], "_written", {})


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C is Python's in this process, and the system's in those that it starts: whoever runs the tests in the
    background of a script (`nohup`, `&`) has it ignored, and so has every child."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
