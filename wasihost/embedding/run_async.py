"""`run_async`: `run` for asyncio.

Rules of this file: the guest's thread never touches the event loop but by `call_soon_threadsafe` and
`run_coroutine_threadsafe`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, overload

from wasihost.common.unpatched import threading
from wasihost.config import ModuleConfig
from wasihost.embedding.background import GuestThread
from wasihost.embedding.run import CompletedProcess, finish
from wasihost.embedding.signatures import describe
from wasihost.errors import WasihostError
from wasihost.guest.module import ModuleSource, as_module
from wasihost.guest.options import RunSetup
from wasihost.outcomes import attach, outcome
from wasihost.waiting.stream_objects import is_async

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from wasihost.embedding import signatures
    from wasihost.vfs.changes import Changes
    from wasihost.waiting.cancel_scope import Endable


class Cancelled(WasihostError):
    """Ends the guest of a task that was cancelled; the task itself gets asyncio's CancelledError."""


if TYPE_CHECKING:

    @overload
    async def run_async(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.KeepNothing]
    ) -> CompletedProcess[None, None, None]: ...

    @overload
    async def run_async(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.CaptureBytes]
    ) -> CompletedProcess[bytes, bytes, None]: ...

    @overload
    async def run_async(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.CaptureText]
    ) -> CompletedProcess[str, str, None]: ...

    @overload
    async def run_async(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.PipeBytes]
    ) -> CompletedProcess[bytes, None, None]: ...

    @overload
    async def run_async(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.PipeText]
    ) -> CompletedProcess[str, None, None]: ...

    @overload
    async def run_async(
        module: ModuleSource, config: ModuleConfig | None = None, **options: Unpack[signatures.GiveFiles]
    ) -> CompletedProcess[Any, Any, Changes]: ...

    @overload
    @signatures.with_parameters_of(signatures.OF_RUN)
    async def run_async() -> CompletedProcess[Any, Any, Any]: ...


@describe
async def run_async(
    module: ModuleSource, config: ModuleConfig | None = None, *, check: bool = False, **options: Any
) -> CompletedProcess[Any, Any, Any]:
    """`run` for asyncio: the guest runs in a thread of its own, and cancelling the task ends it, wherever it is.

    asyncio's own pool of threads is not used. Objects passed as streams are called in the guest's thread, which has a
    copy of the task's context variables. Coroutine functions, objects whose `read` or `write` is one, and asyncio's
    `StreamReader` and `StreamWriter` are awaited in the event loop, while the guest waits.

    A task that is cancelled waits for the guest's end, but not for a module that is being compiled.

    Args:
        module: As for `run`.
        config: As for `run`.
        check: As for `run`.
        **options: See `wasihost.Options`; `help(wasihost.run_async)` lists their names.

    Returns:
        What `run` returns.

    Raises:
        asyncio.CancelledError: The task was cancelled. What there was of the guest is attached, see `outcome`.
        RuntimeError: No event loop of asyncio is running.
        Exception: What `run` raises.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "run_async needs the event loop of asyncio: with another one, call run in a thread of it"
        ) from None
    calls = _Calls(loop)
    setup = RunSetup(module, config, calls.wrapped(options))
    over = loop.create_future()

    def work(on_made: Callable[[Endable], None]) -> CompletedProcess[Any, Any, Any]:
        return finish(as_module(module, options), setup, check, on_made)

    def settle() -> None:
        if not over.done():
            over.set_result(None)

    def when_over() -> None:
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(settle)

    thread = GuestThread(work, when_over)
    thread.start()
    try:
        await asyncio.shield(over)
    except asyncio.CancelledError as error:
        reason = Cancelled("the task was cancelled")
        if thread.end(reason):
            calls.end(reason)
            while not over.done():
                with suppress(asyncio.CancelledError):  # cancelled once more
                    await asyncio.wait([over])
        if thread.error is not None and (kept := outcome(thread.error)):
            attach(error, kept)
        raise
    try:
        if thread.error is not None:
            raise thread.error
        assert thread.result is not None
        return thread.result
    finally:
        del thread  # what was raised holds this frame


class _Calls:
    """Calls of coroutine functions by the guest's thread: run in the event loop, waited for in the thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lock = threading.Lock()
        self._loop = loop
        self._pending: Future[Any] | None = None
        self._reason: BaseException | None = None

    def wrapped(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with streams that the thread can call."""
        given = dict(options)
        for name, method in (("stdin", "read"), ("stdout", "write"), ("stderr", "write")):
            stream = given.get(name)
            own = getattr(stream, method, None)
            if method == "write" and is_async(getattr(stream, "drain", None)):
                given[name] = self._waiting(_drained(stream))
            elif is_async(own):
                given[name] = self._waiting(own)
            elif own is None and is_async(stream):
                given[name] = self._waiting(stream)
        return given

    def _waiting(self, function: Any) -> Callable[[Any], Any]:
        async def call(argument: Any) -> Any:
            return await function(argument)

        def wait(argument: Any) -> Any:
            with self._lock:
                if self._reason is not None:
                    raise self._reason
                self._pending = pending = asyncio.run_coroutine_threadsafe(call(argument), self._loop)
            try:
                return pending.result()
            except CancelledError:
                raise self._reason or RuntimeError(f"{function!r} was cancelled") from None
            finally:
                self._pending = None

        return wait

    def end(self, reason: BaseException) -> None:
        """End the guest: make no further calls, and cancel the call that it waits for."""
        with self._lock:
            self._reason, pending = reason, self._pending
        if pending is not None:
            pending.cancel()


def _drained(writer: Any) -> Callable[[bytes], Awaitable[None]]:
    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    return write
