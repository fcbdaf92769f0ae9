"""Random calls: an overlay over a folder, and one over a `MemoryFS`, does what a plain `MemoryFS` does."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.overlays.machine import Comparison, Kept


@pytest.mark.parametrize("machine", [Comparison, Kept])
def test_an_overlay_is_as_a_plain_tree(machine: type[Comparison]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
