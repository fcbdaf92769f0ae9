"""A command module from start to end, as fast as it can be: what the `wasihost` command does.

Rules of this file: nothing is imported that a plain run does not need.
"""

from __future__ import annotations

import os

from wasihost.config import ModuleConfig
from wasihost.engines.wasmtime.module import load
from wasihost.engines.wasmtime.run import execute as enter
from wasihost.errors import ExitError
from wasihost.state import State


def execute(module: str | bytes | os.PathLike[str], config: ModuleConfig, *, cache: bool = True) -> int:
    """Run a command module exactly as `config` says; its exit status. Raises as `run` does."""
    compiled = load(module, cache=cache)
    with State(config=config) as state:
        try:
            enter(compiled, state)
        except ExitError as end:
            return end.code
    return 0
