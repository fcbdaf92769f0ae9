"""One process of a column, and what it printed. Rules: a process that fails is an error, never a missing number."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[2]


def printed(command: list[str], cases: list[str], stdin: BinaryIO) -> Iterator[tuple[str, list[float]]]:
    """Run the cases; each one's name and its numbers. RuntimeError where the process fails."""
    done = subprocess.run(
        [*command, ",".join(cases)], cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:5])}: exit status {done.returncode}\n{done.stdout}")
    for line in done.stdout.splitlines():
        case, *numbers = line.split()
        yield case, [float(number) for number in numbers]


@contextmanager
def endless() -> Iterator[BinaryIO]:
    """An input that always has something."""
    with open("/dev/zero", "rb") as stream:
        yield stream


@contextmanager
def silent() -> Iterator[BinaryIO]:
    """An input that never has anything, and does not end."""
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb"):
        yield stream
