"""Guests for the tests of `start`: they compute, sleep, read or write for as long as nothing ends them."""

from __future__ import annotations

import time
from typing import Any

from tests.support.guests import build_c
from wasihost import (
    Module,
    Process,
    start,
)

TOOL, SERVER, TALKER = (Module(build_c(name)) for name in ("tool", "server", "talker"))
TRAP = Module('(module (memory (export "memory") 1) (func (export "_start") unreachable))')
KINDS = {"computes": (TOOL, ["spin"]), "sleeps": (TOOL, ["sleep", "60"]), "reads": (TOOL, ["cat"]),
         "writes": (TALKER, ["flood"])}  # fmt: skip


def begin(kind: str) -> Process[Any, Any, Any]:
    module, args = KINDS[kind]
    return start(module, args=args)


def wait_for(process: Process[Any, Any, Any]) -> None:
    """Its end, without asking how."""
    while process.poll() is None:
        time.sleep(0.001)
