"""A module with tests in it, run on one host until each of them has a verdict.

Rules: a program that crashes or hangs in a test loses that test only. It is run again without those that have a
verdict, until none is left; a run that brings none at all is an error, not an empty result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from tests.suites.child import Dir, Order

ROOT = Path(__file__).resolve().parents[2]
PASSED: Final = "passed"
SKIPPED: Final = "skipped"
FAILED: Final = "failed"
CRASHED: Final = "crashed"
HUNG: Final = "hung"
VERDICTS: Final = (PASSED, SKIPPED, FAILED, CRASHED, HUNG)
"""From the best to the worst."""

Verdicts: TypeAlias = dict[str, str]


class SuiteError(Exception):
    """A suite that is not to be had here, or a program that brings no verdict."""


class Run(NamedTuple):
    """What a program is given for one run."""

    args: list[str]
    env: dict[str, str]
    dirs: list[Dir]
    input: bytes = b""


@dataclass
class Output:
    """What a run said: the tests that have a verdict, those that began, and whether it came to its own end."""

    verdicts: Verdicts = field(default_factory=dict)
    began: list[str] = field(default_factory=list)
    ended: bool = False


class Said(NamedTuple):
    """What a run wrote, and whether it had to be ended."""

    run: Run
    stdout: bytes
    stderr: bytes
    hung: bool


class Program(ABC):
    """A module with tests in it."""

    name: str
    module: Path

    @abstractmethod
    def prepare(self, scratch: Path, but: Collection[str]) -> Run:
        """A run of all its tests but these; all that it may change is in `scratch`, an empty folder."""

    @abstractmethod
    def read(self, run: Run, stdout: bytes) -> Output:
        """What the program said on standard output in that run."""

    def verdicts(self, host: str, timeout: float) -> Verdicts:
        """The verdict of each test on that host. `timeout` is in seconds, for one run. SuiteError if there is none."""
        found: Verdicts = {}
        while True:
            said = self.run(host, found, timeout)
            output = self.read(said.run, said.stdout)
            new = dict(output.verdicts)
            if not output.ended:
                new |= {name: HUNG if said.hung else CRASHED for name in output.began if name not in new}
            if not new.keys() - found.keys() and not (output.ended and found):
                stderr = said.stderr.decode(errors="replace")[-2000:]
                raise SuiteError(f"{self.name} brought no verdict on {host}: {stderr}")
            found = new | found
            if output.ended:
                return found

    def run(self, host: str, but: Collection[str], timeout: float) -> Said:
        """One run on that host."""
        with tempfile.TemporaryDirectory(prefix="wasihost-suites-") as scratch:
            run = self.prepare(Path(scratch), but)
            order = Order(host=host, module=str(self.module), args=run.args, env=run.env, dirs=run.dirs)
            command = [sys.executable, "-m", "tests.suites.child", json.dumps(order)]
            env = {**os.environ, "RUST_BACKTRACE": "0"}  # with another value, wasmtime takes long to describe a trap
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=env, input=run.input, capture_output=True, timeout=timeout, check=False
                )
            except subprocess.TimeoutExpired as error:
                return Said(run, error.stdout or b"", error.stderr or b"", True)
            return Said(run, done.stdout, done.stderr, False)
