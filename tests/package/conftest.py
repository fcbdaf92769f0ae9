"""What is built once for all tests of this folder, in whichever processes they run."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guests import one_at_a_time

ROOT = Path(__file__).resolve().parents[2]


def _once(target: Path, make: Callable[[Path], None]) -> Path:
    """Returns `target`, which the first process of the test run to need it makes."""
    made = target.with_name(f"{target.name}.made")
    with one_at_a_time(target):
        if not made.exists():
            make(target)
            made.touch()
    return target


@pytest.fixture(scope="session")
def dist(shared: Path) -> Path:
    """A folder with the source distribution, and the wheel that is built from it, as `make wheel` makes them."""

    def make(out: Path) -> None:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
        quick = os.environ | {"CFLAGS": "-O0"}
        done = subprocess.run(command, cwd=ROOT, env=quick, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return _once(shared / "dist", make)


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def python(shared: Path, wheel: Path) -> Path:
    """The interpreter of a new environment with the wheel, extras and dependencies."""

    def make(home: Path) -> None:
        venv.create(home, with_pip=False)  # the one of the tests does as well, and sooner
        command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
        command += [
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            f"{wheel}[witxgen,pywasm]",
            "basedpyright==1.40.2",
        ]
        subprocess.run(command, check=True, capture_output=True)

    return _once(shared / "user-venv", make) / "bin" / "python"
