"""Instances and states that nobody closed give back what they hold, and say so."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wasihost import ModuleConfig, State, TrapError, WasihostError, instantiate, run

MEMORY = '(memory (export "memory") 1)'
LIBRARY = f'(module {MEMORY} (func (export "f")) (func (export "g") unreachable))'
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def dropped(config: ModuleConfig) -> None:
    instantiate(LIBRARY, config).exports.f()


def trapped(config: ModuleConfig) -> None:
    with pytest.raises(TrapError):
        instantiate(LIBRARY, config).exports.g()


def in_a_circle(config: ModuleConfig) -> None:
    guest = instantiate(LIBRARY, config)
    guest.prepared = [guest]  # type: ignore[attr-defined]


def state(config: ModuleConfig) -> None:
    State(config=config)


def gone(drop: Callable[[ModuleConfig], None], config: ModuleConfig) -> None:
    drop(config)
    gc.collect()


@pytest.mark.parametrize("drop", [dropped, trapped, in_a_circle, state])
def test_a_dropped_guest_closes_its_descriptors(drop: Callable[[ModuleConfig], None], tmp_path: Path) -> None:
    config = ModuleConfig().with_host_directory_preopen("/", str(tmp_path))
    with pytest.warns(ResourceWarning, match="not closed"):
        gone(drop, config)  # the first guest of a process opens what all of them share
    before = descriptors()
    for _ in range(5):
        with pytest.warns(ResourceWarning, match="not closed"):
            gone(drop, config)
    assert descriptors() <= before


REFUSED = {
    "an import": f'(module (import "env" "x" (func)) {MEMORY} (func (export "_start")))',
    "too large": '(module (memory (export "memory") 100000) (func (export "_start")))',
    "a trap at its start": f'(module {MEMORY} (func $s unreachable) (start $s) (func (export "_start")))',
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_guest_leaves_no_descriptors(name: str, tmp_path: Path) -> None:
    config = ModuleConfig().with_host_directory_preopen("/", str(tmp_path))
    with pytest.raises(WasihostError):
        run(REFUSED[name], config)
    before = descriptors()
    for make in (run, instantiate):
        with pytest.raises(WasihostError):
            make(REFUSED[name], config)
    with pytest.raises(WasihostError):
        run(LIBRARY, config.with_host_directory_preopen("/x", str(tmp_path / "none")))
    assert descriptors() <= before


def test_a_state_without_files_of_the_host_is_not_a_loss() -> None:
    State()
    gc.collect()


def test_the_end_of_python_is_quiet(tmp_path: Path) -> None:
    code = """import sys, wasihost
config = wasihost.ModuleConfig().with_host_directory_preopen("/", sys.argv[1])
kept = wasihost.instantiate(sys.argv[2], config, timeout=5)
kept.exports.f()
state = wasihost.State(config=config)
circle = wasihost.instantiate(sys.argv[2], config)
circle.itself = circle
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, str(tmp_path), LIBRARY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
