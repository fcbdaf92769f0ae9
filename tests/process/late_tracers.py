"""Tracers that a host function sets while a guest runs, and those around a user's own Linker, that raise at each event.

python -m tests.process.late_tracers own|linker settrace|setprofile|monitoring EVENT
"""

from __future__ import annotations

import os
import sys
from types import CodeType
from typing import Any

import wasihost
from tests.process.tracers import Stop, Tracer
from wasihost import Imports, Module, State, run

_WAT = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  {imports}
  (memory (export "memory") 1)
  (func (export "_start") (local $i i32)
    (loop $l
      {call}
      (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))))"""
_TOOL = 3
_HOST = os.path.dirname(wasihost.__file__)


def anywhere(code: CodeType) -> bool:
    """What lies between a guest and the embedder."""
    if code.co_filename.endswith("tracing.py"):  # setting a tracer is not part of the run
        return False
    return code.co_filename.startswith((_HOST, "<trampoline of")) or code.co_name in ("host", "unwound")


def unwound() -> None:
    raise KeyError


def start(tool: str, tracer: Tracer) -> None:
    """Set it now."""
    if tool == "settrace":
        sys.settrace(tracer.trace)
        frame = sys._getframe(1)
        while frame.f_back is not None:  # as debuggers do
            frame = frame.f_back
            if anywhere(frame.f_code):
                frame.f_trace = frame.f_trace or tracer.trace
    elif tool == "setprofile":
        sys.setprofile(tracer.profile)
    else:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # from 3.12 on
        event = getattr(monitoring.events, tracer.event)
        monitoring.use_tool_id(_TOOL, "tracers")
        monitoring.register_callback(_TOOL, event, lambda code, *_: tracer.hit(code))
        monitoring.set_events(_TOOL, event)


def stop(tool: str) -> None:
    sys.settrace(None)
    sys.setprofile(None)
    if tool == "monitoring":
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        if monitoring.get_tool(_TOOL):
            monitoring.set_events(_TOOL, 0)
            monitoring.free_tool_id(_TOOL)


def main(where: str, tool: str, event: str) -> list[str]:
    """What was wrong."""
    given: list[Tracer] = []

    def host(number: int) -> int:
        if given:
            start(tool, given.pop())
        for _ in range(2):  # else nothing that the guest calls is left by an exception
            try:
                unwound()
            except KeyError:
                pass
        return number

    imports = Imports("env")
    imports.function(host)
    module = Module(
        _WAT.format(
            imports='(import "env" "host" (func $host (param i32) (result i32)))',
            call="(drop (call $host (i32.const 1)))",
        )
    )

    def own() -> None:
        run(module, imports=imports, timeout=20)

    def linker() -> None:
        import wasmtime

        from wasihost.engines.wasmtime.linker import define

        engine = wasmtime.Engine()
        store, link = wasmtime.Store(engine), wasmtime.Linker(engine)
        with State() as state:
            entered = define(link, state)
            code = wasmtime.Module(engine, _WAT.format(imports="", call=""))
            instance = entered.instantiate(store, code)
            while given:
                start(tool, given.pop())
            entered.call(instance.exports(store)["_start"], store)  # type: ignore[arg-type]

    work = own if where == "own" else linker
    work()
    wrong: list[str] = []
    sys.unraisablehook = lambda what: wrong.append(f"ignored: {what.exc_value!r} in {what.object!r}")
    raised = 0
    for at in range(1, 400):
        tracer = Tracer(event, anywhere, at)
        given[:] = (tracer,)
        try:
            work()
        except Stop:
            raised += 1
        finally:
            stop(tool)
        work()
        if not tracer.place:
            break
    print(where, tool, event, raised)
    return wrong


if __name__ == "__main__":
    if problems := main(*sys.argv[1:]):
        sys.exit("\n".join(problems[:10]))
