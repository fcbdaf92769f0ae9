"""Fixtures of the sandbox tests: one tree per test, and every test that asks for it under both strategies."""

import os
from collections.abc import Iterator

import pytest

from tests.sandbox.trees import STRATEGIES, Tree, build, picture
from wasihost.sandbox import resolve


@pytest.fixture(scope="session")
def pristine() -> Iterator[list[Tree]]:
    """At most one tree that no test has changed, kept for the next: most tests end in a refusal, and mkdir is slow."""
    kept: list[Tree] = []
    yield kept
    for unused in kept:
        os.close(unused.fd)


@pytest.fixture
def tree(pristine: list[Tree], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """The tree of the case tables, for each test as if new."""
    given = pristine.pop() if pristine else build(tmp_path_factory.mktemp("tree"))
    before = picture(given.base.parent)
    yield given
    if picture(given.base.parent) == before:
        pristine.append(given)
    else:
        os.close(given.fd)


@pytest.fixture(params=sorted(STRATEGIES))
def strategy(request: pytest.FixtureRequest) -> Iterator[resolve.Strategy]:
    """Runs the test once with each strategy in use."""
    chosen = STRATEGIES[request.param]
    with resolve.using(chosen):
        yield chosen
