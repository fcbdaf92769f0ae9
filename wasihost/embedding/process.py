"""`Process`: a guest that runs in a thread while the caller talks with it, as a `subprocess.Popen`. `start` makes it.

Rules of this file: the exception that ended a guest is raised once, by whichever comes first: the end of its output,
`wait`, `communicate`, or the end of the `with` block. A guest that the caller ends has a negative return code and
raises nothing.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from wasihost.common.unpatched import threading
from wasihost.embedding.background import GuestThread
from wasihost.embedding.pipes import Communication
from wasihost.embedding.run import make_guest
from wasihost.errors import LimitExceeded, TimeoutExpired, TrapError, WasihostError
from wasihost.guest.module import ModuleSource, as_module
from wasihost.guest.options import RunSetup, check_seconds
from wasihost.outcomes import outcome

if TYPE_CHECKING:
    from wasihost.descriptors.pipe_end import PipeEnd
    from wasihost.stats import Stats
    from wasihost.vfs.changes import Changes
    from wasihost.waiting.cancel_scope import Endable

In = TypeVar("In")
Out = TypeVar("Out")
Err = TypeVar("Err")

_STATUS: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (TimeoutExpired, 124),
    (LimitExceeded, 125),
    (TrapError, 134),
    (BaseException, 1),
)
"""Return codes of guests that did not exit: those of the command."""
_GRACE = 0.2
"""Seconds to wait for a guest's end after the end of its output, which the guest may also have closed itself."""


class Killed(WasihostError):
    """Ends a guest for `kill`, `terminate` and `send_signal`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the guest was ended by signal {number}")
        self.code: int = -number


class StillRunning(TimeoutExpired):
    """`wait` gave up. The guest goes on."""

    def __str__(self) -> str:
        return f"guest {' '.join(self.cmd)!r} is still running after {self.timeout} seconds"


class Guest:
    """The guest of a `Process`, which its thread holds: the thread must not keep the `Process` alive."""

    def __init__(self, module: ModuleSource, options: Any, setup: RunSetup, ends: list[PipeEnd]) -> None:
        self.args: list[str] = [os.fsdecode(arg) for arg in setup.config.args]
        self.pid: int = os.getpid()
        self.setup = setup
        self.stats: Stats | None = None
        self._ends = ends
        self._returned = False
        self._not_raised: list[bool] = [True]

        def work(on_made: Callable[[Endable], None]) -> int:
            try:
                with make_guest(as_module(module, options), setup, on_made) as guest:
                    try:
                        return guest.run_to_end(setup.timeout)
                    finally:
                        self._returned = True
                        self.stats = guest.stats
            finally:
                self._returned = True

        self.thread: GuestThread[int] = GuestThread(work, self._over)

    def _over(self) -> None:
        for end in self._ends:
            end.close()

    @property
    def code(self) -> int | None:
        """The return code, once the guest has ended."""
        if not self.thread.over.is_set:
            return None
        error = self.thread.error
        if error is None:
            return self.thread.result
        if isinstance(error, Killed):
            return error.code
        return next(code for kind, code in _STATUS if isinstance(error, kind))

    @property
    def wrote_after_close(self) -> bool:
        """True if the guest wrote to a pipe whose other end was closed here."""
        return any(end.broken for end in self._ends)

    def error(self) -> BaseException | None:
        """Return the exception that ended the guest; None before its end, and from the second call on."""
        if not self.thread.over.is_set:
            return None
        try:
            self._not_raised.pop()  # one operation: a signal handler may come here, too
        except IndexError:
            return None
        return None if isinstance(self.thread.error, Killed) else self.thread.error

    def at_end(self) -> None:
        """Called when all output has been read: raise the exception that ended the guest."""
        self.thread.over.wait(None if self._returned else _GRACE)
        if (error := self.error()) is not None:
            raise error


class _Handle:
    """Held by the `Process` and its streams. When all are gone, no caller can reach the guest, and it is ended."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.at_end = guest.at_end

    def __del__(self, _warn: Any = warnings.warn) -> None:
        guest = getattr(self, "guest", None)  # a signal may have ended `__init__`
        if guest is not None and not guest.thread.over.is_set and os.getpid() == guest.pid:
            _warn(f"guest {' '.join(guest.args)!r} was still running, and is ended", ResourceWarning, source=self)
            guest.thread.end(Killed(signal.SIGTERM))


class Process(Generic[In, Out, Err]):
    """A guest that was started. Use it in a `with` block, which closes the pipes and waits for the guest's end.

    `stdin`, `stdout` and `stderr` are the caller's ends of the pipes, as files; None where the guest has no pipe.
    `args` is the argument vector. Several threads may use it, each stream by one at a time. It cannot be pickled.
    """

    def __init__(self, guest: Guest, stdin: In, stdout: Out, stderr: Err) -> None:
        self.args: list[str] = guest.args
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._guest = guest
        self._handle = _Handle(guest)
        self._communication: Communication | None = None
        self._outputs: list[Any] = [stream for stream in (stdout, stderr) if stream is not None]
        for stream in self._outputs:
            stream.handle = self._handle if stream is stdout else _SilentHandle(self._handle)

    @property
    def returncode(self) -> int | None:
        """The exit status (0 to 2**32-1); None while the guest runs.

        -9 after `kill`, -15 after `terminate`. If an exception ended the guest: 134 for a trap, 124 for its timeout,
        125 for a limit, 1 for any other.
        """
        return self._guest.code

    @property
    def stats(self) -> Stats | None:
        """What the guest used; None while it runs."""
        return self._guest.stats if self._guest.thread.over.is_set else None

    @property
    def files(self) -> Changes | None:
        """The changes so far to the files in memory; None if the guest got none."""
        return self._guest.setup.changes()

    @property
    def truncated(self) -> tuple[str, ...]:
        """The streams to which the guest wrote more than `communicate` keeps."""
        return () if self._communication is None else tuple(self._communication.truncated)

    def poll(self) -> int | None:
        """Return the return code, or None while the guest runs. Raises nothing."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the guest's end.

        A guest that waits until its output is read does not end: see `communicate`.

        Args:
            timeout: Seconds to wait; None for no limit.

        Returns:
            The return code.

        Raises:
            TimeoutExpired: `timeout` seconds passed, and the guest goes on; or the `timeout` of `start` ended it.
            GuestError: The guest ended by a trap or a limit. Raised once.
            Exception: A host function or a stream of yours raised it, which ended the guest. Raised once.
        """
        self._check()
        if not self._guest.thread.over.wait(_countable(timeout)):
            assert timeout is not None
            raise StillRunning(self.args, timeout)
        if (error := self._guest.error()) is not None:
            raise error
        code = self.returncode
        assert code is not None
        return code

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Write `input` and close stdin, read all output, and wait for the guest's end.

        At most `max_output` bytes of each stream are kept; see `truncated`. After a TimeoutExpired it can be called
        again, without `input`, and nothing is lost.

        Args:
            input: bytes, or str with `text=True`; None for nothing.
            timeout: Seconds to wait; None for no limit.

        Returns:
            Standard output and standard error; None for what is not a pipe.

        Raises:
            Exception: What `wait` raises. `outcome` of it has the output that was read.
            ValueError: Input was passed before, or stdin is not a pipe.
            TypeError: `input` is str but the guest was started for bytes, or the other way round.
        """
        self._check()
        wait = _countable(timeout)
        until = None if wait is None else time.monotonic() + wait
        if self._communication is None:
            limit = self._guest.setup.config.limits.output
            self._communication = Communication(self.stdin, self.stdout, self.stderr, input, limit)
        elif input:
            raise ValueError("the input was given before: call communicate() without it")
        talk = self._communication
        try:
            if not talk.join(until):
                assert timeout is not None
                raise StillRunning(self.args, timeout)
            try:
                self.wait(None if until is None else max(0.0, until - time.monotonic()))
            except StillRunning:
                assert timeout is not None
                raise StillRunning(self.args, timeout) from None
        except BaseException as error:
            if (found := outcome(error)) is not None:
                found.stdout, found.stderr = talk.texts()
            raise
        return talk.texts()

    def send_signal(self, number: int) -> None:
        """End the guest, whatever it is doing, with the return code -`number`. Nothing happens if it has ended.

        Raises:
            ValueError: A signal other than SIGKILL, SIGTERM and SIGINT: a guest has no signal handlers.
        """
        if number not in _ENDING:
            raise ValueError(f"a guest can be ended, by SIGKILL, SIGTERM or SIGINT, and knows no signal {number}")
        self._check()
        self._guest.thread.end(Killed(int(number)))

    def kill(self) -> None:
        """End the guest now, whether it computes, sleeps, reads or writes. What it wrote can still be read."""
        self.send_signal(_KILL)

    def terminate(self) -> None:
        """Do what `kill` does, with the return code of SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _check(self) -> None:
        if os.getpid() != self._guest.pid:
            raise RuntimeError("this guest belongs to the process that was forked: start one in this process")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Close the pipes and wait. After an exception the guest is killed first.

        Raises the exception that ended the guest, unless it was raised before. A trap of a guest that wrote to a pipe
        after it was closed is not raised: programs that cannot write tend to trap.
        """
        if os.getpid() != self._guest.pid:
            return
        if error is not None:
            ended_by = self._guest.error()  # before it is killed
            self.kill()
        for stream in self._outputs:
            stream.close()
        if self.stdin is not None:
            with suppress(BrokenPipeError):  # the guest did not read all of its input, which is allowed
                self.stdin.close()  # type: ignore[attr-defined]  # a file
        try:
            self._guest.thread.over.wait()
        except BaseException:
            self._guest.thread.end(Killed(_KILL))
            raise
        if error is None:
            ended_by = self._guest.error()
            if ended_by is not None and not (self._guest.wrote_after_close and isinstance(ended_by, TrapError)):
                raise ended_by
        elif ended_by is not None and isinstance(error, BrokenPipeError):
            raise ended_by from error
        elif ended_by is not None:
            error.add_note(f"the guest had ended by {ended_by!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: returncode: {self.returncode} args: {self.args!r}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a running guest cannot be pickled or copied: pickle its Module and its config")


def _countable(timeout: float | None) -> float | None:
    """Return seconds as the system can count them. Raises ConfigError for what is not a number of seconds."""
    if timeout is None:
        return None
    check_seconds("timeout", timeout if not isinstance(timeout, (int, float)) or timeout >= 0 else -timeout)
    return min(float(timeout), threading.TIMEOUT_MAX / 2)


_KILL: Final = getattr(signal, "SIGKILL", 9)
_ENDING: Final = (_KILL, signal.SIGTERM, signal.SIGINT)


class _SilentHandle:
    """Keeps the guest for the reader of standard error, whose end raises nothing."""

    def __init__(self, handle: _Handle) -> None:
        self._handle = handle

    def at_end(self) -> None:
        pass
