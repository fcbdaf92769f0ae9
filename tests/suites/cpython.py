"""CPython's own tests of what it does with files, on the CPython that tests/apps run.

Rules: the package `test` is not in that module, so it comes from a Python of the machine that has it and is of the same
version but for the last number, with the one other file that its tests want. It is copied for each run: tests write
beside their files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.apps.test_applications import CPYTHON
from tests.suites.child import Dir
from tests.suites.program import Output, Program, Run, SuiteError
from tests.support.guests import GUESTS

MODULES = ("test_os", "test_posix", "test_pathlib", "test_shutil", "test_tempfile", "test_fileio", "test_io",
           "test_zipfile", "test_sqlite3")  # fmt: skip
RUNNER = "cpython_suite.py"

_LINE = re.compile(rb"^\0(\w+) (.+)$", re.MULTILINE)
_END = re.compile(rb"^\0end$", re.MULTILINE)


class CPythonModule(Program):
    """One module of the package `test`."""

    def __init__(self, name: str, tests: Path) -> None:
        self.name = name
        self.module = CPYTHON
        self._tests = tests

    def prepare(self, scratch: Path, but: Collection[str]) -> Run:
        root = scratch / "root"
        shutil.copytree(self._tests, root / "lib" / "test", ignore=shutil.ignore_patterns("__pycache__"))
        for file in (GUESTS / RUNNER, self._tests.parent / "_pyio.py"):
            shutil.copy(file, root / "lib")
        (root / "tmp").mkdir()
        dirs = [Dir(guest="/", folder=str(root))]
        env = {"PYTHONPATH": "/lib", "PYTHONDONTWRITEBYTECODE": "1"}
        return Run(["python", f"/lib/{RUNNER}", f"test.{self.name}"], env, dirs, json.dumps(sorted(but)).encode())

    def read(self, run: Run, stdout: bytes) -> Output:
        lines = [(word.decode(), name.decode()) for word, name in _LINE.findall(stdout)]
        verdicts = {name: word for word, name in lines if word != "begin"}
        return Output(verdicts, [name for word, name in lines if word == "begin"], bool(_END.search(stdout)))


def programs() -> Iterator[Program]:
    """All of them. SuiteError where the machine has no such package."""
    tests = _tests(CPYTHON.stem.removeprefix("python-").rpartition(".")[0])
    return (CPythonModule(name, tests) for name in MODULES)


def _tests(version: str) -> Path:
    """The folder of the package `test` of a Python on this machine, which is on PATH or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    folders = [*map(Path, os.get_exec_path()), *sorted(pyenv.glob(f"{version}.*/bin"))]
    for python in (folder / f"python{version}" for folder in folders):
        if os.access(python, os.X_OK):
            code = "import os, test.test_os as it; print(os.path.dirname(it.__file__))"
            done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return Path(done.stdout.strip())
    raise SuiteError(
        f"no python{version} here has the package `test`: `pyenv install {version}` brings one, "
        f"and so does Debian's libpython{version}-testsuite"
    )
