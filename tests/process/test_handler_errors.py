"""An OSError that a signal handler raises while a run is prepared or cleaned up comes out of the run.

A trace function stands for the handler: it raises at one place after the other. Within the guest real signals do, see
`test_signals`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import wasihost
from tests.storms.modules import status
from tests.support.guests import build_c
from wasihost.common.interrupts import FRAGILE

STEP = 13
"""Every place takes minutes, and was tried."""


class Handler:
    """Raises TimeoutError at event number `at`, or the next one at which Python lets exceptions out."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.events = 0
        self.where = ""

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        """Count the event."""
        self.events += 1
        if self.events >= self.at and not self.where and not _lost(frame):
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            sys.settrace(None)
            raise TimeoutError("of the handler")
        return self.trace


def _lost(frame: FrameType | None) -> bool:
    """Whether the guest called this, or Python discards its errors: in finalizers, weak references and imports."""
    first = frame
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if (
            frame.f_code in FRAGILE
            or (name.endswith(".native_instance") and frame.f_code.co_name == "function" and frame is not first)
            or frame.f_code.co_name == "__del__"
            or name in ("weakref", "_weakrefset")
            or "importlib" in name
        ):
            return True
        frame = frame.f_back
    return False


def _traced(way: Callable[[], object], handler: Handler) -> None:
    sys.settrace(handler.trace)
    try:
        way()
    finally:
        sys.settrace(None)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of guests whose `close` the handler interrupts
@pytest.mark.parametrize("kind", ["memory", "folder", "cached file"])
def test_the_error_of_a_handler_comes_out_wherever_it_is_raised(kind: str, tmp_path: Path) -> None:
    module = wasihost.Module(status(0, 3))
    path = os.fspath(build_c("tool"))
    ways: dict[str, Callable[[], object]] = {
        "memory": lambda: wasihost.run(module, files={"a": b"x"}, timeout=60),
        "folder": lambda: wasihost.run(module, dirs={"/": tmp_path}, stdout=wasihost.PIPE),
        "cached file": lambda: wasihost.run(path, timeout=60),
    }
    way = ways[kind]
    way()
    way()
    before = sys.gettrace()
    wrong: list[str] = []
    try:
        counted = Handler(sys.maxsize)
        _traced(way, counted)
        assert counted.events > 1000
        for at in range(1, counted.events, STEP):
            handler = Handler(at)
            try:
                _traced(way, handler)
            except TimeoutError:
                continue
            except Exception as error:
                wrong.append(f"{handler.where}: {error!r}")
                continue
            if handler.where:
                wrong.append(f"{handler.where}: nothing came out")
    finally:
        sys.settrace(before)
        gc.collect()  # what was interrupted, before another test is blamed for it
    assert not wrong, "\n".join(wrong)
