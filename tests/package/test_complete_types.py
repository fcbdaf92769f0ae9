"""The types of all that users import are complete for pyright, which infers nothing that is not declared."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.package.test_wheel import python, wheel

__all__ = ["python", "wheel"]  # fixtures

COUNT = re.compile(r"With (known|ambiguous|unknown) type: (\d+)")
INCOMPLETE = re.compile(r"site-packages/(\S+?):(\d+):\d+ - error: (.*)")
ROOMS = ("embedding", "guest")
"""Packages whose classes users hold: `Instance`, `Process`, `Module` ..."""


def test_no_type_that_a_user_sees_is_unknown(python: Path, tmp_path: Path) -> None:
    folder = python.parent
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(folder.parent)}
    command: list[str | Path] = [folder / "basedpyright", "--verifytypes", "wasihost", "--ignoreexternal"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    counts = COUNT.findall(done.stdout)
    assert sum(int(number) for kind, number in counts if kind == "known") > 1000, done.stdout[-2000:]
    assert sum(int(number) for kind, number in counts if kind == "unknown") == 0, done.stdout[-2000:]
    public = re.compile(rf"wasihost/(?:(?:{'|'.join(ROOMS)})/)?\w+\.py")
    missing = [one for one in INCOMPLETE.findall(done.stdout) if public.fullmatch(one[0]) and "missing" in one[2]]
    assert missing == []
