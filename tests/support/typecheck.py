"""mypy with the project's own configuration and cache, as `make types` runs it.

Rule: one at a time. Two that write to the same cache are in each other's way.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.guests import cache_dir, one_at_a_time

ROOT = Path(__file__).resolve().parents[2]


def mypy(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run in the root of the project; `arguments` are options and files."""
    command = [sys.executable, "-m", "mypy", *map(str, arguments)]
    with one_at_a_time(cache_dir() / "mypy"):
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
