"""What is recorded while a profiled guest runs: samples of its stack, and each call of the host.

Time is attributed where it passes: until a call of the host begins it is the guest's, until it returns it is that
function's. A sample has the time since the last one as its weight, so weights add up to the run, whatever the rate.

Rules of this file: a guest chooses its stacks, its paths and the number of its calls, so each list here is bounded, and
counts what it leaves out. Times are in ns of `perf_counter_ns`. The recorder's own time is counted apart.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, TypeAlias

from wasihost.common.unpatched import threading, time
from wasihost.profile.timeline import GUEST, Timeline, category

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wasihost.engines.base import CancelCheck, EngineInstance, StackProfiler

get_ident: Callable[[], int] = threading.get_ident
perf_counter_ns: Callable[[], int] = time.perf_counter_ns
thread_time_ns: Callable[[], int] = time.thread_time_ns

INTERVAL: Final = 1_000_000
"""ns between two samples of a guest that computes."""
_SLOWEST: Final = 1_000_000_000
_SHARE: Final = 16
"""At most one part in so many of the guest's time is spent on samples; else the interval doubles."""
_SAMPLES: Final = 20_000
"""Samples after which the interval doubles, again and again."""
_AT_ONCE, _AT_ONCE_TIME = 1_000, 50_000_000
"""How many samples the engine keeps, and ns that taking them took, until they are taken from it."""
_STACKS: Final = 10_000
"""Distinct stacks."""
_ROWS: Final = 2_000
"""Rows of calls: a function, a path and a mount."""
_SPANS: Final = 10_000
"""Calls that are kept one by one: the longest."""
_PATH: Final = 200
"""Characters of a path."""
NO_CALL: Final = ""
MADE: Final = "(the instance is made)"
"""In place of a call: what the engine does before the guest runs."""
SHORT_CALLS: Final = "(short calls)"
"""In place of a call: calls that took less than an interval together."""
ELSEWHERE: Final = "(other paths)"

_MOVES: Final = {
    **dict.fromkeys(("fd_read", "fd_pread", "fd_readdir", "path_readlink", "sock_recv"), True),
    **dict.fromkeys(("fd_write", "fd_pwrite", "sock_send"), False),
}
"""The functions that move bytes, and return how many: whether they read."""

Stack: TypeAlias = tuple[tuple[int, ...], str]
"""Indices of functions of the guest, outermost first, and the function of the host that they called or `NO_CALL`."""


class Row:
    """The calls of one function with one path: how many, how many failed, their time, and what they moved."""

    __slots__ = ("calls", "category", "failed", "function", "longest", "moves", "path", "read", "time", "written")

    def __init__(self, function: str, path: str) -> None:
        self.function: str = function
        self.path: str = path
        self.category: int = category(function)
        self.moves: bool | None = _MOVES.get(function)
        self.calls: int = 0
        self.failed: int = 0
        self.time: int = 0
        self.longest: int = 0
        self.read: int = 0
        self.written: int = 0


Span: TypeAlias = tuple[int, int, str, str]
"""One call: when it began and ended (ns since the profile began), its function and its path."""


class Watch:
    """The `CancelCheck` of a profiled guest: it is called at each interval, and takes a sample."""

    def __init__(self, inner: CancelCheck, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder

    @property
    def expires(self) -> int | None:
        return self._inner.expires

    def check(self) -> None:
        self._inner.check()
        self._recorder.tick()


class Recorder:
    """Records one guest, in the guest's thread."""

    def __init__(self) -> None:
        self.began: int = perf_counter_ns()
        self.wall: float = time.time() * 1000
        """When that was, in ms since 1970."""
        self.timeline: Timeline = Timeline()
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.spans: list[Span] = []
        self.short: int = 0
        """ns: shorter calls are not in `spans`."""
        self.short_calls: int = 0
        """How many those are."""
        self.stacks: dict[Stack, int] = {}
        self.times: array[int] = array("q")
        self.weights: array[int] = array("q")
        self.stack_of: array[int] = array("l")
        """Of each sample."""
        self.stacks_omitted: int = 0
        """Samples whose stack is not in `stacks`, but as an empty one."""
        self.readable: bool = True
        """Whether the engine's samples could be read."""
        self.interval: int = INTERVAL
        self.first_interval: int = INTERVAL
        self.guest_time: int = 0
        self.host_time: int = 0
        self.overhead: int = 0
        self._profiler: StackProfiler | None = None
        self._instance: EngineInstance | None = None
        self._pending: list[tuple[int, int, str]] = []
        self._spent = 0
        self._mark = self.began
        self._calls = 0  # that are running, one within another
        self._guest = self._host = 0  # time since the last sample
        self._entered = self._left = self._running = False
        self._thread = 0

    # -- the run ---------------------------------------------------------------------------------------------------

    def attach(self, instance: EngineInstance, profiler: StackProfiler) -> None:
        """Take samples of this instance from now on."""
        self._instance, self._profiler = instance, profiler

    def enter(self) -> None:
        """The guest is about to run."""
        self._thread = get_ident()
        if self._profiler is not None:
            self._profiler.start()  # it may start a thread, which takes its time
        if not self._entered:
            self._entered = True
            self.began, self.wall = perf_counter_ns(), time.time() * 1000
        self._mark = perf_counter_ns()
        self._running = True

    def leave(self) -> None:
        """The guest has returned, or was ended."""
        self._running = False
        if self._profiler is not None:
            self._profiler.stop()
        self._calls = 0
        self._settle(perf_counter_ns())
        self.collect()
        if not self._left:
            self._note_rest(0, MADE)
            self._left = True
        else:
            self._note_rest(self.interval, NO_CALL)
        self._see_memory()

    def _note_rest(self, least: int, called: str) -> None:
        """Note the time since the last sample, if it is at least so long; else the next sample gets it."""
        if self._guest > least:
            self._note(self._mark, self._guest, called, ())
            self._guest = 0
        if self._host > least:
            self._note(self._mark, self._host, SHORT_CALLS, ())
            self._host = 0

    def finish(self) -> None:
        """The guest will not run again: free what the engine keeps for the profile."""
        if self._profiler is not None:
            self.collect()
            self._profiler.close()
        self._note_rest(0, NO_CALL)
        self._profiler = self._instance = None

    def _settle(self, now: int) -> None:
        """Give the time until now to the guest, or to the host."""
        spent = now - self._mark
        if self._calls:
            self._host += spent
            self.host_time += spent
        else:
            self._guest += spent
            self.guest_time += spent
            self.timeline.add(GUEST, self._mark - self.began, now - self.began)
        self._mark = now

    # -- samples ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Take a sample of a guest that computes, if it is time."""
        if self._profiler is None or self._calls or not self._running:
            return
        now = perf_counter_ns()
        self._settle(now)
        if self._guest >= self.interval >> 2:
            self._take(now, self._guest, NO_CALL)
            self._guest = 0
        self._own_time(now)

    def _take(self, now: int, weight: int, called: str) -> None:
        assert self._profiler is not None
        begun = thread_time_ns()
        self._profiler.sample()
        if self._pending:  # the first one also lists all functions of the module
            self._spent += thread_time_ns() - begun
        self._pending.append((now, weight, called))
        if len(self._pending) >= _AT_ONCE or self._spent > _AT_ONCE_TIME:
            self.collect(adapt=True)
        self._see_memory()

    def _own_time(self, since: int) -> None:
        self._mark = perf_counter_ns()
        self.overhead += self._mark - since

    def _see_memory(self) -> None:
        if self._instance is not None and self._instance.is_open:
            self.timeline.memory(len(self._instance.view()))

    def collect(self, *, adapt: bool = False) -> None:
        """Take the samples from the engine; with `adapt`, sample less often from now on if that takes too long.

        While the guest runs, only its own thread may do so; for others, the samples come later.
        """
        if not self._pending or self._profiler is None or (self._running and self._thread != get_ident()):
            return
        begun = thread_time_ns()
        pending, self._pending = self._pending, []
        found = self._profiler.take()
        self.readable = self._profiler.readable
        for at, (when, weight, called) in enumerate(pending):
            self._note(when, weight, called, found[at] if at < len(found) else ())
        cost = (self._spent + thread_time_ns() - begun) // len(pending)
        self._spent = 0
        if not adapt:
            return
        if cost * _SHARE > self.interval or len(self.times) > _SAMPLES * (1 + (self.interval // INTERVAL).bit_length()):
            self.interval = min(2 * self.interval, _SLOWEST)
            self._profiler.interval = self.interval

    def _note(self, when: int, weight: int, called: str, frames: tuple[int, ...]) -> None:
        stack = frames, called
        number = self.stacks.get(stack)
        if number is None:
            if len(self.stacks) >= _STACKS:
                self.stacks_omitted += 1
                stack = (), called
            number = self.stacks.setdefault(stack, len(self.stacks))
        self.times.append(when - self.began)
        self.weights.append(weight)
        self.stack_of.append(number)

    # -- calls of the host -----------------------------------------------------------------------------------------

    def row(self, function: str, path: str, mount: str) -> Row:
        """Return the row for calls of this function with this path."""
        if len(path) > _PATH:
            path = f"{path[:_PATH]}..."
        found = self.rows.get((function, path, mount))
        if found is None:
            if len(self.rows) >= _ROWS:
                path, mount = ELSEWHERE, ""
            key = function, path, mount
            found = self.rows.get(key)
            if found is None:
                found = self.rows[key] = Row(function, path)
        return found

    def around(self, begun: int, row: Row, proceed: Callable[[], Any]) -> Any:
        """Do a call of the host that began at `begun`, and record it."""
        timeline, began = self.timeline, self.began
        self._settle(begun)
        self._calls += 1
        failed = False
        result = None
        try:
            result = proceed()
            return result
        except Exception as error:  # of any ABI
            failed = hasattr(error, "errno")
            raise
        finally:
            ended = perf_counter_ns()
            spent = ended - begun
            self._settle(ended)
            if self._calls:
                self._calls -= 1
            if not self._calls:
                timeline.add(row.category, begun - began, ended - began)
            row.calls += 1
            row.failed += failed
            row.time += spent
            if spent > row.longest:
                row.longest = spent
            if row.moves is not None and result is not None:
                size = result[0] if isinstance(result, tuple) else result
                if isinstance(size, int):  # what else a hook returns, the stub refuses
                    self._moved(row, size)
            if spent >= self.short:
                self.spans.append((begun - began, ended - began, row.function, row.path))
                if len(self.spans) > _SPANS:
                    self._drop_short()
            else:
                self.short_calls += 1
            if self._host >= self.interval and self._running and self._profiler is not None:
                self._take(ended, self._host, row.function)
                self._host = 0
            self._own_time(ended)

    def _moved(self, row: Row, size: int) -> None:
        if row.moves:
            row.read += size
            self.timeline.moved(size, 0)
        else:
            row.written += size
            self.timeline.moved(0, size)

    def _drop_short(self) -> None:
        while len(self.spans) > _SPANS // 2:
            self.short = max(2 * self.short, 1_000)
            kept = [one for one in self.spans if one[1] - one[0] >= self.short]
            self.short_calls += len(self.spans) - len(kept)
            self.spans = kept
