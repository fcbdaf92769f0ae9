"""What all tests need, and the order in which two processes share them (`make test`)."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LONG = (
    "tests/engines/test_versions.py",
    "tests/apps/",
    "tests/package/test_wheel.py",
    "tests/toolchains/",
    "tests/codegen/",
    "tests/process/",
    "tests/suites/",
)
"""What takes long begins first, or the last file would keep one process busy while the other has nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others stay in their order; so do the tests of each file."""
    root = Path(__file__).parents[1]
    missing = [path for path in LONG if not (root / path).exists()]
    assert not missing, f"LONG in tests/conftest.py has moved: {missing}"

    def place(item: pytest.Item) -> int:
        return next((number for number, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))

    items.sort(key=place)


@pytest.fixture(scope="session")
def compiled_apps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for the real applications, shared by all processes of this run: CPython takes seconds to compile."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "compiled-apps"


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
