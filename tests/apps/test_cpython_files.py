"""CPython's own way with files, on a host folder, on a MemoryFS and on an Overlay over a folder.

The program is tests/guests/cpython_files.py, run once on each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

import wasihost
from tests.apps.test_applications import CPYTHON
from tests.guests.cpython_files import SECTIONS
from tests.support.guests import GUESTS
from wasihost import MemoryFS, ModuleConfig, Overlay

SMALL_FILES = 5_000
SLOW = 60
"""Seconds; each section takes at most one on a quiet machine."""

TREES = ["host", "memory", "overlay"]


class Ran(NamedTuple):
    """What a run said of each section (its seconds, its traceback if it failed), and the files it left behind."""

    sections: dict[str, tuple[float, str | None]]
    left: set[str]


def run(config: ModuleConfig, small_files: int = SMALL_FILES) -> dict[str, tuple[float, str | None]]:
    """The guest's program is in a separate mount; the files it works on are in its root."""
    config = config.with_mount("/program", {"main.py": (GUESTS / "cpython_files.py").read_bytes()})
    args = ["/program/main.py", "/", str(small_files)]
    done = wasihost.run(CPYTHON, config, args=args, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout is not None
    return {name: (seconds, wrong) for name, seconds, wrong in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def ran(compiled_apps: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """A run on each kind of tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WASIHOST_CACHE_DIR", str(compiled_apps))
        folder, fs = tmp_path_factory.mktemp("root"), MemoryFS()
        on_host = run(ModuleConfig().with_host_directory_preopen("/", folder))
        in_memory = run(ModuleConfig().with_mount("/", fs))
        with Overlay(tmp_path_factory.mktemp("lower")) as overlay:
            in_overlay = run(ModuleConfig().with_mount("/", overlay), small_files=500)
            changed = {one.path for one in overlay.changes() if one.filetype == "file"}
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    return {"host": Ran(on_host, files), "memory": Ran(in_memory, set(fs)), "overlay": Ran(in_overlay, changed)}


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("section", [section.__name__ for section in SECTIONS])
def test_section(ran: dict[str, Ran], tree: str, section: str) -> None:
    seconds, wrong = ran[tree].sections[section]
    assert wrong is None, wrong
    assert seconds < SLOW


def test_all_trees_have_the_same_files(ran: dict[str, Ran]) -> None:
    assert ran["host"].left == ran["memory"].left == ran["overlay"].left
    assert len(ran["host"].left) > 50
