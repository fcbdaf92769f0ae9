"""Every public type is declared, so that pyright, which may infer otherwise than mypy, sees what mypy checks."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

BEYOND = "wasihost.engines.pywasm."
"""Its classes inherit from those of a package that does not say that it has types; mypy reads them all the same."""


@pytest.mark.parametrize("package", ["wasihost", "wasi_preview1"])
def test_every_public_type_is_declared(python: Path, tmp_path: Path, package: str) -> None:
    folder = python.parent
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(folder.parent)}
    command: list[str | Path] = [folder / "basedpyright", "--verifytypes", package, "--ignoreexternal", "--outputjson"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    symbols = [one for one in json.loads(done.stdout)["typeCompleteness"]["symbols"] if one["isExported"]]
    assert sum(one["isTypeKnown"] for one in symbols) > 500, done.stdout[-2000:]
    unknown = {one["name"]: one["diagnostics"] for one in symbols if not one["isTypeKnown"] or one["isTypeAmbiguous"]}
    assert {name: why for name, why in unknown.items() if not name.startswith(BEYOND)} == {}
