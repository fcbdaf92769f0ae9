"""`run_async`: threads of its own, streams that are awaited, cancelling, and what comes out."""

from __future__ import annotations

import asyncio
import contextvars
import io
import threading
import time
from typing import Any

import pytest

from tests.support.guests import build_c
from tests.support.wheels import python
from wasihost import PIPE, STDOUT, ConfigError, Module, ModuleConfig, outcome, run, run_async
from wasihost.embedding import run_async as runs_async

TOOL = Module(build_c("tool"))
DATA = b"a line\n" * 3000
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


def test_each_guest_has_a_thread_and_none_of_asyncio_s() -> None:
    """40 guests wait for each other and for a function in asyncio's own pool, which has at most 32 threads."""
    together = threading.Barrier(41)

    def read(_size: int) -> bytes:
        together.wait(60)
        return b""

    async def main() -> None:
        config = ModuleConfig().with_stdin(read)
        guests = [asyncio.create_task(run_async(TOOL, config, args=["cat"])) for _ in range(40)]
        await asyncio.to_thread(together.wait, 60)
        assert {done.returncode for done in await asyncio.gather(*guests)} == {0}

    asyncio.run(main())


def test_streams_are_called_with_the_context_of_the_task() -> None:
    seen = []

    async def main() -> None:
        variable.set("the task's")
        await run_async(TOOL, args=["both"], stdout=lambda _data: seen.append(variable.get()))

    asyncio.run(main())
    assert seen == ["the task's"]


def test_coroutine_functions_are_awaited_in_the_loop() -> None:
    async def main() -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        here = threading.current_thread()
        source = io.BytesIO(DATA)

        async def read(size: int) -> bytes:
            assert threading.current_thread() is here
            await asyncio.sleep(0)
            return source.read(size)

        async def write(data: bytes) -> None:
            assert threading.current_thread() is here
            await queue.put(data)

        stdin: Any = read
        guest = asyncio.create_task(run_async(TOOL, args=["cat"], stdin=stdin, stdout=write))
        got = b""
        async with asyncio.timeout(20):
            while len(got) < len(DATA):
                got += await queue.get()
        assert got == DATA
        assert (await guest).returncode == 0

    asyncio.run(main())


def test_asyncio_s_own_streams() -> None:
    async def main() -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stdin: Any = reader
            done = await run_async(TOOL, args=["cat"], stdin=stdin, stdout=writer, stderr=STDOUT)
            writer.close()
            heard.set_result(b"%d" % done.returncode)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(DATA)
            writer.write_eof()
            assert await reader.read() == DATA
            assert await heard == b"0"
            writer.close()

    asyncio.run(main())


def test_cancelling_ends_what_a_stream_awaits() -> None:
    async def main() -> None:
        awaited = asyncio.Event()
        ended = []

        async def never(_data: bytes) -> None:
            awaited.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(True)
                raise

        task = asyncio.create_task(run_async(TOOL, args=["both"], stdout=never))
        await awaited.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        assert ended == [True]

    asyncio.run(main())


def test_an_exception_of_a_stream_reaches_the_caller_unchanged() -> None:
    error = KeyError("mine")

    async def broken(_data: bytes) -> None:
        raise error

    async def main() -> None:
        with pytest.raises(KeyError) as caught:
            await run_async(TOOL, args=["both"], stdout=broken, stderr=PIPE)
        assert caught.value is error
        assert outcome(error) is not None

    asyncio.run(main())


def test_run_does_not_take_what_has_to_be_awaited() -> None:
    class Writes:
        async def write(self, _data: bytes) -> None:
            raise AssertionError

    for stream in (Writes().write, Writes()):
        with pytest.raises(ConfigError, match="only run_async"):
            run(TOOL, args=["both"], stdout=stream)


def test_cancelling_does_not_wait_for_a_module_to_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    go, compiled = threading.Event(), threading.Event()

    def slowly(*_: object) -> Module:
        assert go.wait(30)
        compiled.set()
        return TOOL

    def nothing(*_: object) -> None:
        raise AssertionError("the guest ran")

    monkeypatch.setattr(runs_async, "as_module", slowly)

    async def main() -> None:
        task = asyncio.create_task(run_async("any.wasm", args=["both"], stdout=nothing))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not compiled.is_set()
        go.set()
        while not compiled.is_set() or any(thread.name == "wasihost guest" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_cancelling_twice_waits_for_the_end_still() -> None:
    def block(_data: bytes) -> None:
        entered.set()
        left.wait(30)

    entered, left = threading.Event(), threading.Event()

    async def main() -> None:
        task = asyncio.create_task(run_async(TOOL, args=["both"], stdout=block))
        while not entered.is_set():
            await asyncio.sleep(0.01)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.02)
        assert not task.done()
        left.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)

    asyncio.run(main())


def test_a_loop_that_is_closed_leaves_no_guest_running() -> None:
    code = f"""
import asyncio, threading, wasihost
loop = asyncio.new_event_loop()
module = wasihost.Module({str(build_c("tool"))!r})
tasks = [loop.create_task(wasihost.run_async(module, args=[*what])) for what in (("spin",), ("sleep", "60"))]
loop.run_until_complete(asyncio.sleep(0.3))
print(sum(thread.name == "wasihost guest" for thread in threading.enumerate()))
import os, logging
logging.disable()  # asyncio's words about tasks that were never awaited
"""
    begin = time.monotonic()
    done = python(code)
    assert (done.stdout, done.returncode) == ("2\n", 0)
    assert time.monotonic() - begin < 30
