"""Fork, multiprocessing, pickling, asyncio: wasihost in a program that does other things as well."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
import threading
import time

import pytest

from tests.process.soak import footprint
from tests.support.guests import build_c
from tests.support.timing import few_tries, in_time
from tests.support.wheels import python
from wasihost import (
    PIPE,
    Imports,
    Instance,
    MemoryFS,
    Module,
    ModuleConfig,
    TimeoutExpired,
    instantiate,
    run,
    run_async,
)

TOOL = Module(build_c("tool"))
SPIN = '(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'


def test_hundreds_of_runs_leave_nothing() -> None:
    """Not even for the collector of garbage to find."""
    code = f"""
import gc, sys
sys.path.insert(0, {os.getcwd()!r})
from tests.process.soak import grown, soak
gc.collect()
gc.disable()
print(grown(*soak(600, warm=200)))
"""
    assert python(code).stdout == "[]\n"


# -- fork --------------------------------------------------------------------------------------------------------------

PRELOADED = f"""
import os, sys, threading, time
sys.path.insert(0, {os.getcwd()!r})
import wasihost
module = wasihost.Module({str(build_c("tool"))!r})
other = wasihost.instantiate(module, args=["exit", "1"])
spin = wasihost.Module({SPIN!r})
busy = threading.Thread(target=lambda: wasihost.run(spin, timeout=1.5), daemon=True)
threading.excepthook = lambda _: None
busy.start()
time.sleep(0.2)  # it runs, and compiles no more: whoever forks while a thread compiles forks a held lock of the engine
children = []
for worker in range(4):
    child = os.fork()
    if not child:
        import signal
        signal.alarm(30)
        wrong = 0
        for number in range(20):
            wrong += wasihost.run(module, args=["exit", str(number)], timeout=20).returncode != number
        try:
            wasihost.run({SPIN!r}, timeout=0.05)
            wrong += 1
        except wasihost.TimeoutExpired:
            pass
        wrong += wasihost.run('(module (memory (export "memory") 1) (func (export "_start") nop))').returncode
        try:
            other.run()
            wrong += 1
        except RuntimeError as error:
            wrong += "forked" not in str(error)
        os._exit(wrong)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], other.run())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is of POSIX systems")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 3.12 warns of fork with threads, which is the point
def test_a_server_that_loads_before_it_forks() -> None:
    done = python(PRELOADED)
    assert done.stdout == "[0, 0, 0, 0] 1\n", done.stderr


def status(module: Module, config: ModuleConfig, number: int) -> int:
    """What a worker process does."""
    return run(module, config, args=["exit", str(number)], timeout=30).returncode


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing(method: str) -> None:
    config = ModuleConfig().with_env("A", "b").with_mount("/", MemoryFS({"f": b"1"})).with_limits(fuel=10_000_000)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(status, [(TOOL, config, number) for number in range(6)]) == list(range(6))


def test_a_running_guest_is_not_pickled_or_copied() -> None:
    with instantiate(TOOL) as guest:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                attempt(guest)


# -- asyncio -----------------------------------------------------------------------------------------------------------


def test_many_at_once() -> None:
    async def main() -> list[str]:
        done = await asyncio.gather(*(run_async(TOOL, args=["cat"], input=f"{number}", text=True, stdout=PIPE)
                                      for number in range(20)))  # fmt: skip
        return [one.stdout for one in done]

    assert asyncio.run(main()) == [str(number) for number in range(20)]


@pytest.mark.parametrize("args", [["spin"], ["sleep", "60"]])
@few_tries
def test_cancelling_a_task_ends_its_guest(args: list[str]) -> None:
    async def main() -> float:
        task = asyncio.create_task(run_async(TOOL, args=args))
        await asyncio.sleep(0.2)
        begin = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.perf_counter() - begin

    before = footprint()
    in_time(asyncio.run(main()), 0, 0.15)
    assert footprint().descriptors <= before.descriptors


@few_tries
def test_cancelling_ends_a_guest_in_its_start_section() -> None:
    spin = Module('(module (memory (export "memory") 1) (func $s (loop (br 0))) (start $s) (func (export "_start")))')

    async def main() -> float:
        task = asyncio.create_task(run_async(spin))
        await asyncio.sleep(0.1)
        begin = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.perf_counter() - begin

    in_time(asyncio.run(main()), 0, 0.15)


def test_cancelling_between_two_steps_ends_the_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    through = Instance.run_to_end

    def slowly(guest: Instance, timeout: float | None) -> int:
        time.sleep(0.2)  # its instance is made, and nothing runs
        return through(guest, timeout)

    async def main() -> None:
        task = asyncio.create_task(run_async(TOOL, args=["sleep", "60"]))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)

    monkeypatch.setattr(Instance, "run_to_end", slowly)
    asyncio.run(main())


def test_cancelling_at_any_moment_ends_the_guest() -> None:
    async def main() -> None:
        for number in range(60):
            task = asyncio.create_task(run_async(TOOL, args=["sleep", "60"]))
            await asyncio.sleep(number / 20_000)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)

    asyncio.run(main())


def test_errors_and_timeouts_come_out_of_the_await() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutExpired):
            await run_async(TOOL, args=["sleep", "60"], timeout=0.05)
        with pytest.raises(FileNotFoundError):
            await run_async("nothing.wasm")

    asyncio.run(main())


# -- threads -----------------------------------------------------------------------------------------------------------


def test_guests_in_two_threads_run_at_once() -> None:
    """One computes without any call, and is ended only once the other has run from its start to its end."""
    text = """(module (import "env" "begin" (func $begin)) (memory (export "memory") 1)
      (func (export "_start") (call $begin) (loop (br 0))))"""
    host, begun = Imports("env"), threading.Event()
    ends: list[str] = []

    @host.function
    def begin() -> None:
        begun.set()

    def compute() -> None:
        try:
            endless.run()
        except RuntimeError as error:
            ends.append(str(error))

    with instantiate(text, imports=host, timeout=60) as endless:
        thread = threading.Thread(target=compute)
        thread.start()
        assert begun.wait(60)
        assert run(TOOL, args=["exit", "3"]).returncode == 3
        assert ends == []
        endless.end(RuntimeError("enough"))
        thread.join()
    assert ends == ["enough"]


def test_a_guest_in_a_thread_does_not_hear_ctrl_c() -> None:
    code = f"""
import sys, threading, time, _thread
sys.path.insert(0, {os.getcwd()!r})
import wasihost
ends = []
def work():
    try: wasihost.run({SPIN!r}, timeout=0.5)
    except BaseException as error: ends.append(type(error).__name__)
thread = threading.Thread(target=work); thread.start()
try:
    time.sleep(0.2); _thread.interrupt_main(); time.sleep(5)
except KeyboardInterrupt:
    ends.append("KeyboardInterrupt")
thread.join(); print(ends)
"""
    assert python(code).stdout == "['KeyboardInterrupt', 'TimeoutExpired']\n"
