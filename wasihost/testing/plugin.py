"""The plugin of pytest: the fixture `wasi`, and the marker of the same name, which has its settings.

    @pytest.mark.wasi(files={"in.txt": "text"}, seed=7)
    def test_it(wasi):
        assert wasi.run("guest.wasm", "in.txt").stdout == "TEXT"

Rules of this file: every run of pytest where wasihost is installed loads it (`-p no:wasihost` leaves it out), so it
imports nothing else before a test asks for the fixture.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from wasihost.cassettes import Cassette
    from wasihost.testing.world import Wasi

_WORLD: Final = pytest.StashKey["Wasi"]()

MARKER: Final = (
    "wasi(files=, folder=, seed=0, start_ns=, tick_ns=0, timeout=60, cassette=, scrub=): settings of the fixture "
    "`wasi`, as wasihost.testing.Wasi has them; cassette is the mode of one beside the test"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line record cassettes again."""
    parser.getgroup("wasihost").addoption(
        "--wasi-cassettes",
        metavar="MODE",
        choices=("none", "once", "new_episodes", "all"),
        help="the mode of the cassettes of all tests that have one: all records them anew, none never records",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def wasi(request: pytest.FixtureRequest) -> Wasi:
    """Runs guests with files in memory, a clock that jumps, and randomness from a seed: `wasihost.testing.Wasi`."""
    from wasihost.testing.world import Wasi

    settings: dict[str, object] = {}
    for mark in reversed(list(request.node.iter_markers("wasi"))):  # those of a class and a module first
        if mark.args:
            raise pytest.UsageError(f"the marker wasi has settings by name only, not {mark.args[0]!r}: {MARKER}")
        settings |= mark.kwargs
    if mode := settings.pop("cassette", None):
        settings["cassette"] = _cassette(request, "once" if mode is True else mode, settings.pop("scrub", ()))
    try:
        made = Wasi(beside=request.path.parent, **settings)  # type: ignore[arg-type]  # a wrong one is reported here
    except TypeError as error:
        raise pytest.UsageError(f"the marker wasi: {error}; it has the settings {MARKER}") from None
    request.node.stash[_WORLD] = made
    return made


def _cassette(request: pytest.FixtureRequest, mode: Any, scrub: Any) -> Cassette:
    """Return the cassette of a test: cassettes/MODULE/TEST.cassette beside it."""
    from wasihost.cassettes import Cassette

    test = request.node.nodeid.partition("::")[2].replace("::", ".")
    name = re.sub(r"[^\w.=,\[\]-]+", "_", test)[:150]
    path = request.path.parent / "cassettes" / request.path.stem / f"{name}.cassette"
    return Cassette(path, request.config.getoption("--wasi-cassettes") or mode, scrub=scrub)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show how the guests of a failed test ended."""
    report = yield
    world = item.stash.get(_WORLD, None)
    if report.failed and world is not None and world.runs:
        report.sections.append(("Guests of the fixture wasi", world.report()))
    return report
