"""The tests of this folder again, in a process of their own, on the oldest wheel.

Rule: those of our own locks, folders and limits are not repeated. The workflow of CI runs all tests on that wheel.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import wheels
from wasihost.engines.wasmtime import library

HERE = Path(__file__).parent
LEFT_OUT = ("test_compile_lock.py", "test_cache_folder.py", "test_module_limits.py", "test_versions.py")


def test_the_oldest_wheel(tmp_path: Path) -> None:
    if library.load().version == wheels.OLDEST:
        pytest.skip("all tests run on the oldest wheel")
    site = wheels.wasmtime(wheels.OLDEST)
    told = wheels.python("from wasihost.engines.wasmtime import library as l; print(l.load().version)", site=site)
    assert told.stdout.strip() == wheels.OLDEST, told.stderr
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--show-capture=no"]
    command += ["-k", "not test_threads_get_their_own", *(f"--ignore={HERE / name}" for name in LEFT_OUT)]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'base'}", str(HERE)],
        cwd=HERE.parents[1],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
