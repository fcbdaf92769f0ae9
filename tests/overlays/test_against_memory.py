"""Random calls: an overlay over a folder, and one over a `MemoryFS`, does what a plain `MemoryFS` does."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.overlays.machine import Comparison


def test_an_overlay_is_as_a_plain_tree() -> None:
    run_state_machine_as_test(
        Comparison,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
