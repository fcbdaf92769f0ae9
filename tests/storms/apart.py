"""A storm in a separate process, so that a crash or a hang is a result: apart.py NAME SECONDS SEED."""

from __future__ import annotations

import faulthandler
import importlib
import random
import subprocess
import sys

NAMES = ("signals", "forks", "threads", "handles", "cancellations", "descriptors", "disk", "killed", "starts")
PATIENCE = 240
"""Seconds that a storm may take beyond its own."""


def apart(name: str, seconds: float, seed: int) -> tuple[bool, str]:
    """Whether it failed, and what it says."""
    command = [sys.executable, "-m", "tests.storms.apart", name, str(seconds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return True, f"status {done.returncode}\n{done.stderr[-6000:]}"
    return False, done.stdout.strip()


def main() -> None:
    """In that process."""
    name, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    faulthandler.dump_traceback_later(seconds + PATIENCE, exit=True)
    print(importlib.import_module(f"tests.storms.{name}").storm(seconds, random.Random(seed)))


if __name__ == "__main__":
    main()
