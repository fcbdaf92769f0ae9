"""`make packages`: published modules as wheels, each installed in a clean environment from the wheels that users get.

The environment has the wheel of this repository, and what that depends on from the package index. `test_wheel` does
the same with two small ones, in an environment that borrows the packages of the tests.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.packaging.programs import ALL, ROOT, Program, build, install, use


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "compiled"


@pytest.mark.parametrize("program", ALL, ids=lambda program: str(program.name))
def test_a_published_module_as_a_wheel(program: Program, host: Path, cache: Path, tmp_path: Path) -> None:
    made = build(program, tmp_path)
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(made)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install(python, host, made, alone=False)
    use(program, python, tmp_path / "work", cache)
