"""One process of a column, and what it printed. Rules: a process that fails is an error, never a missing number."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tests.bench.hosts import ROOT, Host


def numbers_of(
    command: Sequence[str], env: Mapping[str, str], stdin: BinaryIO | None = None
) -> Iterator[tuple[str, list[float]]]:
    """The lines that a process prints: a name and its numbers. RuntimeError if it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr[-2000:]}")
    for line in done.stdout.splitlines():
        name, *numbers = line.split()
        yield name, [float(number) for number in numbers]


def guest_numbers(
    host: Host, guest: Path, folder: Path, args: Sequence[str], stdin: BinaryIO | None = None
) -> Iterator[tuple[str, list[float]]]:
    """What a guest that measures itself prints."""
    return numbers_of([*host.command(str(guest), str(folder)), *args], host.env, stdin)


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
