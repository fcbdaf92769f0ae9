"""Other versions of the wasmtime wheel, for tests that must hold on each of them.

Rules: a wheel is installed once into a cache folder of the user's, alone and without its dependencies, and gets its
final name by a rename, under a lock, as compiled guests do. Tests put that folder on PYTHONPATH of a process of their
own; this process is not touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.guests import cache_dir, one_at_a_time

OLDEST = "25.0.0"
"""The oldest version that wasihost supports."""


def wasmtime(version: str) -> Path:
    """A folder in which `import wasmtime` finds this version; installed with pip when it is first needed.

    Raises RuntimeError with pip's messages where that fails.
    """
    target = cache_dir() / f"wasmtime-{version}-py{sys.version_info.major}{sys.version_info.minor}"
    if target.is_dir():
        return target
    with one_at_a_time(target), tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if target.is_dir():
            return target
        made = Path(scratch) / "site"
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(
            [*command, "--target", str(made), f"wasmtime=={version}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"wasmtime {version} cannot be installed:\n{done.stderr}")
        try:
            made.rename(target)
        except OSError:  # another process was faster: see one_at_a_time
            if not target.is_dir():
                raise
    return target


def python(code: str, *, site: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a separate Python process, with `site` before the installed packages."""
    env = dict(os.environ)
    if site:
        env["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [env.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env, cwd=cwd, timeout=60
    )
