"""A module is tried in a child process for each wheel of the engine: none may end the process, or take it too long."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tests.support import wheels
from wasihost.errors import ModuleError
from wasihost.inspection import inspect

ROOT = Path(__file__).resolve().parents[2]
MICROSECONDS_PER_BYTE = 100
"""What `inspect` may take on a busy machine, besides its start."""


class Broken(AssertionError):
    """Something that must hold does not."""


class Child:
    """A process on one wheel, started anew after it has died."""

    def __init__(self, site: Path | None) -> None:
        self.site = site
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, module: bytes) -> str:
        """What came of a module. Raises `Broken` where the process ended."""
        if self.process is None:
            path = [str(self.site)] if self.site else []
            env = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, str(ROOT)])}
            command = [sys.executable, "-m", "tests.fuzz.module_child"]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=ROOT
            )
            assert _pipe(self.process.stdout).readline() == b"ready\n", "the child does not start"
        process = self.process
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).write(len(module).to_bytes(4, "little") + module)
            _pipe(process.stdin).flush()
        line = _pipe(process.stdout).readline()
        if not line:
            self.close()
            raise Broken(f"the process ended with {process.returncode}")
        return line.decode().rstrip("\n")

    def close(self) -> None:
        """End it."""
        process, self.process = self.process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    _pipe(pipe).close()
            process.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


@functools.cache
def children() -> tuple[Child, ...]:
    """On the wheel that is installed, and on the oldest that is supported."""
    made = (Child(None), Child(wheels.wasmtime(wheels.OLDEST)))
    for child in made:
        atexit.register(child.close)
    return made


def check(module: bytes) -> None:
    """Try it on each. Raises `Broken`."""
    started = time.thread_time()
    with contextlib.suppress(ModuleError):
        inspect(module, "guest").text()
    took = time.thread_time() - started
    if took > 0.5 + len(module) * MICROSECONDS_PER_BYTE / 1e6:
        raise Broken(f"inspect took {took:.3f} s for {len(module)} bytes")
    for child in children():
        if (said := child.ask(module)).startswith("!"):
            raise Broken(f"{child.site or 'the installed wheel'}: {said[1:]}")
