"""kill -9 while a compiled module is being written: the next run finds a sound cache, and leftovers go away."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WRITER = """
import sys
from tests.storms.modules import status
import wasihost
number, functions = map(int, sys.argv[1:])
code = status(number, functions)
print("ready", flush=True)
sys.exit(wasihost.run(code).returncode)
"""


def writer(folder: str, number: int, functions: int = 60) -> subprocess.Popen[bytes]:
    """A process that compiles a new module and keeps it in the folder."""
    command = [sys.executable, "-c", WRITER, str(number), str(functions)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "WASIHOST_CACHE_DIR": folder})


_MOST = 30
"""Tries to kill a writer; `usual` is too long where the first ones ran beside more load."""


def storm(seconds: float, chance: random.Random) -> str:
    """Each time at another moment, mostly near the writing; then the same module again, to its end."""
    with tempfile.TemporaryDirectory() as folder:
        until, done, within = time.monotonic() + seconds, 0, 0
        first = writer(folder, 99)
        first.communicate()
        begun = time.monotonic()
        again = writer(folder, 199)
        again.communicate()
        usual = time.monotonic() - begun
        while time.monotonic() < until or (not within and done < _MOST):
            number = 1000 + 100 * done + chance.randrange(100)
            process = writer(folder, number)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0.2, 1) * usual)
            process.kill()
            process.communicate()
            within += process.returncode == -9
            for _ in range(2):  # compiled anew or found, then found
                process = writer(folder, number)
                process.communicate()
                assert process.returncode == number % 100, f"status {process.returncode} of module {number}"
            done += 1
        assert within, "no writer was killed before its end"
        for path in Path(folder).iterdir():  # a day later
            about = path.stat()
            os.utime(path, (about.st_atime - 25 * 3600, about.st_mtime - 25 * 3600))
        writer(folder, 98).communicate()
        left = [path.name for path in Path(folder).iterdir() if path.suffix in (".tmp", ".lock")]
        assert len(left) <= 1, f"left: {left}"
    return f"{within} of {done} writers killed"
