"""Tracers that raise, at each event in turn: what they raise comes out of the run, and later runs are as before.

python -m tests.process.tracers settrace|setprofile|monitoring EVENT [--where callbacks|run] [--most 200]
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FrameType
from typing import Any

import wasihost
from wasihost import Imports, Module, run

_GUEST = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "env" "host" (func $host (param i32) (result i32)))
  (import "env" "quiet" (func $quiet))
  (memory (export "memory") 1)
  (func (export "_start") (local $i i32)
    (loop $l
      (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0)))
      (drop (call $host (i32.const 1)))
      (call $quiet)
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2))))))"""
_HOST = os.path.dirname(wasihost.__file__)
_TOOL = 3


class Stop(Exception):
    """What a tracer raises."""


def host(number: int) -> int:
    """The embedder's own function."""
    return number + 1


def quiet() -> None:
    """The same, without a result."""


def within_callbacks(code: CodeType) -> bool:
    return code.co_filename.startswith("<trampoline of") or (
        code.co_name == "enter" and code.co_filename.endswith("trampolines.py")
    )


def within_run(code: CodeType) -> bool:
    return code.co_filename.startswith((_HOST, "<trampoline of"))


def stack() -> Iterator[FrameType]:
    """What is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


class Tracer:
    """Raises at the event number `at` in code that is `wanted`."""

    def __init__(self, event: str, wanted: Callable[[CodeType], bool], at: int) -> None:
        self.event, self.wanted, self.left = event, wanted, at
        self.place = ""
        self.seen: set[str] = set()

    def hit(self, code: CodeType) -> None:
        """An event."""
        self.seen.add(code.co_name)
        if self.place or not self.wanted(code) or any(frame.f_code.co_name == "__del__" for frame in stack()):
            return
        self.left -= 1
        if not self.left:
            self.place = f"{os.path.basename(code.co_filename)}:{code.co_name}"
            raise Stop

    def trace(self, frame: FrameType, kind: str, _arg: object) -> Any:
        """A trace function."""
        frame.f_trace_opcodes = self.event == "opcode"
        if kind == self.event:
            self.hit(frame.f_code)
        return self.trace

    def profile(self, frame: FrameType, kind: str, _arg: object) -> None:
        """A profile function."""
        if kind == self.event:
            self.hit(frame.f_code)

    def use(self, tool: str, work: Callable[[], object]) -> str:
        """Do the work with this tracer: `raised`, `returned`, or what else came out."""
        try:
            if tool == "settrace":
                sys.settrace(self.trace)
            elif tool == "setprofile":
                sys.setprofile(self.profile)
            else:
                monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # from 3.12 on
                monitoring.use_tool_id(_TOOL, "tracers")
                monitoring.register_callback(
                    _TOOL, getattr(monitoring.events, self.event), lambda code, *_: self.hit(code)
                )
                monitoring.set_events(_TOOL, getattr(monitoring.events, self.event))
            work()
        except Stop:
            return "raised"
        finally:
            sys.settrace(None)
            sys.setprofile(None)
            if tool == "monitoring":
                monitoring.set_events(_TOOL, 0)
                monitoring.free_tool_id(_TOOL)
        return "returned"


def storm(tool: str, event: str, where: str, most: int, step: int = 1) -> list[str]:
    """What was wrong. Each `step`-th event is tried, up to the number `most`."""
    imports = Imports("env")
    imports.function(host)
    imports.function(quiet)
    work = partial(run, Module(_GUEST), imports=imports, timeout=20)
    work()
    spin = Module('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))')
    wanted = within_callbacks if where == "callbacks" else within_run
    wrong: list[str] = []
    sys.unraisablehook = lambda what: wrong.append(f"ignored: {what.exc_value!r} in {what.object!r}")
    raised = 0
    for at in range(1, most + 1, step):
        tracer = Tracer(event, wanted, at)
        end = tracer.use(tool, work)
        if tracer.place:
            raised += 1
            if end != "raised":
                wrong.append(f"raised at {tracer.place}, and the run {end}")
        elif tool != "setprofile" and event in ("call", "PY_START") and not {"host", "quiet"} <= tracer.seen:
            wrong.append("host functions were not traced")
        if work().returncode:
            wrong.append(f"raised at {tracer.place}: later runs end otherwise")
        if at % 20 == 1:
            with suppress(wasihost.TimeoutExpired):
                run(spin, timeout=0.01)
        if not tracer.place:
            break
    gc.collect()
    print(tool, event, where, raised)
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool")
    parser.add_argument("event")
    parser.add_argument("--where", default="callbacks")
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--step", type=int, default=1)
    given = parser.parse_args()
    if problems := storm(given.tool, given.event, given.where, given.most, given.step):
        sys.exit("\n".join(problems[:10]))
