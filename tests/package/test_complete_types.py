"""Every public type is declared, so that pyright, which may infer otherwise than mypy, sees what mypy checks."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

COUNT = re.compile(r"With (known|ambiguous|unknown) type: (\d+)")


@pytest.mark.parametrize("package", ["wasihost", "wasi_preview1"])
def test_every_public_type_is_declared(python: Path, tmp_path: Path, package: str) -> None:
    folder = python.parent
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(folder.parent)}
    command: list[str | Path] = [folder / "basedpyright", "--verifytypes", package, "--ignoreexternal"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    counts = COUNT.findall(done.stdout)
    assert sum(int(number) for kind, number in counts if kind == "known") > 500, done.stdout[-2000:]
    assert [pair for pair in counts if pair[0] != "known" and pair[1] != "0"] == [], done.stdout[-9000:]
