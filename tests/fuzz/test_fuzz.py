"""Each target on a few inputs, the same every time, and on what has failed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.budget import quick
from tests.fuzz.targets import TARGETS, Target

KEPT = [
    pytest.param(target, path, id=path.stem) for target in TARGETS for path in sorted(CORPUS.glob(f"{target.name}-*"))
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_random_inputs(target: Target[Any]) -> None:
    @quick(target.examples)
    @given(target.inputs)
    def holds(one: Any) -> None:
        target.check(one)

    holds()


@pytest.mark.parametrize(("target", "path"), KEPT)
def test_inputs_that_failed_once(target: Target[Any], path: Path) -> None:
    target.check(target.parse(path.read_text("utf-8")))


def test_every_kept_input_is_run() -> None:
    assert set(CORPUS.iterdir()) == {param.values[1] for param in KEPT}


@pytest.mark.parametrize(("target", "path"), KEPT)
def test_kept_inputs_can_be_read_and_written(target: Target[Any], path: Path) -> None:
    one = target.parse(path.read_text("utf-8"))
    assert target.parse(target.text(one)) == one
