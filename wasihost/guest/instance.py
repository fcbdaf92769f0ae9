"""`Instance`: a guest that stays, whose exports can be called any number of times; `instantiate` makes it.

Rules of this file: the one place that joins a State, a compiled module and a deadline; `run` is an instance whose
`_start` is called. No engine is imported before an instance is made.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import warn

from wasihost.common import auditing
from wasihost.engines.values import EngineLimits
from wasihost.errors import ConfigError, ExitError, LimitExceeded, TimeoutExpired
from wasihost.guest.exports import Exports, Globals
from wasihost.guest.module import Module
from wasihost.guest.options import RunSetup, check_seconds
from wasihost.guest.preloading import for_runs
from wasihost.guest.results import GuestResults
from wasihost.host.state import State
from wasihost.outcomes import printable
from wasihost.stats import Stats
from wasihost.waiting.cancel_scope import after

if TYPE_CHECKING:
    from wasihost.engines.allocator import Allocator
    from wasihost.engines.base import CompiledModule, HostState, Offered
    from wasihost.guest.calling import Argument, ResultAs
    from wasihost.guest.guest_exports import GuestExports
    from wasihost.imports import ImportsOption
    from wasihost.memory import Memory

T = TypeVar("T")


class Instance(GuestResults):
    """A guest with its own memory, files and streams. One thread at a time; close it, or use it in a `with` block.

    `stdout` and `stderr` are its captured output. It cannot be pickled or copied.
    """

    def __init__(
        self,
        module: Module,
        setup: RunSetup,
        start: str | None,
        timeout: float | None,
        made: Callable[[Instance], None] | None = None,
    ) -> None:
        for_runs()
        config, engine = setup.config, module.engine
        limits = EngineLimits(config.limits.memory, config.limits.fuel)
        self._session = session = setup.session
        if session is not None:
            module, code = module.with_indices()
            session.begin(module.name, code)
        self.module = module
        super().__init__(setup)
        self._started = False
        self._begun = 0
        self._code: int | None = None
        self._end: str | None = None
        self._full = self._closed = False
        self._allocator: Allocator | None = None
        self._stats = Stats()
        self._owner = object()  # of its outcomes
        self._pid = os.getpid()
        auditing.begins(module.name, config.args, None)
        try:
            others = _names_of(setup.imports) if config.hooks else ()
            self.state: State = State(config=config, stats=self._stats if setup.stats else None, others=others)
            self._scope = self.state.handlers.scope
            # After the State, which says at once which directory is missing: compiling may take minutes.
            compiled = module.compiled(
                interruptible=made is not None
                or timeout is not None
                or session is not None
                or engine.signals_may_interrupt(),
                fuel=limits.fuel is not None,
                stack=config.limits.stack,
                on_compile=setup.on_compile,
                limits=config.limits if module.compiles_later else None,
                features=setup.features,
            )
            if setup.allocator != (None, None):
                self._find_allocator()  # LinkError if there is no such export
            host, offered = self._host(compiled, setup.imports)
            scope = self._scope if session is None else session.watch(self._scope)
            self._engine = engine.instantiate(
                compiled, host, start, scope=scope, limits=limits, label=module.name, offered=offered
            )
            if session is not None:
                session.attach(self._engine, engine)
            if made is not None:
                made(self)
            self._begun = time.monotonic_ns()
            self._within(timeout, self._begun, self._open, start)
        except BaseException:
            if hasattr(self, "state"):
                self.close()
            raise

    def _host(self, compiled: CompiledModule, imports: ImportsOption | None) -> tuple[HostState, Offered | None]:
        """The State, or the State and the user's own imports."""
        if imports is None:
            return self.state, None
        from wasihost.guest.providers import StateWithImports
        from wasihost.imports import Caller

        stats = self._stats if self._setup.stats else None
        around = None if self._session is None else self._session.around
        caller = Caller(self.state.guest, self.memory, self._scope, stats, self.state.hooks, around)
        joined = StateWithImports(self.state, imports, compiled.imports, caller)
        return joined, joined.offered

    def _open(self, start: str | None) -> None:
        try:
            self._engine.open()
        except ExitError as end:
            if start is None:
                raise
            self._code = end.code  # in its start section: there will be no instance to call
            return
        if start is None and "_start" not in self.module.exports and "_initialize" in self.module.exports:
            self._engine.call("_initialize")

    # -- running ---------------------------------------------------------------------------------------------------

    @property
    def exports(self) -> Exports:
        """The exported functions as methods."""
        return Exports(self)

    @property
    def globals(self) -> Globals:
        """The exported globals by name, to read and to set."""
        return Globals(self._engine)

    def call(self, name: str, *arguments: Argument, timeout: float | None = None) -> Any:
        """Call an exported function: its result (integers are signed), None, or a tuple of several.

        Text and bytes are passed as `calling.Argument` says. Raises TimeoutExpired after `timeout` seconds, ExitError
        if the guest exits, TrapError, LinkError if there is no such export, TypeError or OverflowError for arguments
        that do not fit, and what a host function raised.
        """
        for one in arguments:
            if not isinstance(one, (int, float)):
                return self._within(timeout, None, self._call_with_texts, name, arguments)
        return self._within(timeout, None, self._engine.call, name, *arguments)

    def call_converting(
        self,
        returns: Any,
        name: str,
        arguments: Sequence[Argument],
        result_as: ResultAs | None,
        free_result: bool | None,
        timeout: float | None,
    ) -> Any:
        """Do what `call` does, with a result that is not just a number; see `exports.Export`."""
        how = returns, result_as, free_result
        return self._within(timeout, None, self._call_with_texts, name, arguments, *how)

    def _call_with_texts(self, name: str, arguments: Sequence[Argument], *how: Any) -> Any:
        from wasihost.guest.calling import call

        self._engine.function(name)  # LinkError if there is none
        return call(self._engine.call, self.module.exports[name], self.memory, arguments, *how)

    def run(self, timeout: float | None = None) -> int:
        """Run a command: call its `_start`, once, and return its exit status, 0 to 2**32-1.

        A module of the old kind that has a start section instead has run already.
        """
        return self._run(timeout, time.monotonic_ns())

    def run_to_end(self, timeout: float | None) -> int:
        """Do what `run` does, with the time of its start section counted too."""
        return self._run(timeout, self._begun)

    def _run(self, timeout: float | None, begun: int) -> int:
        if self._started:
            raise RuntimeError("a command runs once: make another instance to run it again")
        self._started = True
        if self._code is None:
            self._code = 0
            if "_start" in self.module.exports or not self._engine.module.starts:  # LinkError for a library
                self._within(timeout, begun, self._start)
        return self._code

    def _start(self) -> None:
        try:
            self._engine.call("_start")
        except ExitError as end:  # caught in here, where it is no error yet that an outcome is made for
            self._code = end.code

    def call_before_entry(self, function: Callable[[], object]) -> None:
        """Call `function` when everything that the guest needs is open, before any code of the guest runs."""
        self._engine.before_entry = function

    def end(self, reason: BaseException, *, permanently: bool = False, for_good: bool = False) -> None:
        """End what the guest is doing, from any other thread: the call in progress raises `reason`.

        Args:
            reason: What the call raises.
            permanently: Calls that begin later raise it too.
            for_good: The former name of `permanently`.

        Raises:
            ConfigError: The guest computes and was not made to be interrupted (with a timeout, or in the main thread).
                It ends when it next waits.
        """
        self._scope.cancel(reason, permanently=permanently or for_good)
        self.module.engine.interrupt()
        self._engine.check_ended()

    def _within(self, timeout: float | None, begun: int | None, call: Callable[..., T], *args: Any) -> T:
        """Limit `call(*args)` to `timeout` seconds, counted from now or from `begun` (monotonic ns).

        RuntimeError while another thread is in it, whose deadline is not touched. Not a context manager: contextlib
        replaces an exception that forbids its attributes to be set.
        """
        with self._engine.exclusive():
            if os.getpid() != self._pid:
                raise RuntimeError("this instance belongs to the process that was forked: make one in this process")
            if timeout is not None:
                check_seconds("timeout", timeout)
            if timeout is not None and not self._engine.interruptible:
                raise ConfigError("this instance cannot be interrupted: give `timeout` when it is made, too")
            wall, cpu = time.monotonic_ns(), time.thread_time()
            nested = self._engine.depth > 0  # by a function that the guest called
            end: int | None = None
            reason: TimeoutExpired | None = None
            if timeout is not None:
                end = after(timeout) - (0 if begun is None else wall - begun)
                reason = TimeoutExpired(_text(self._setup.config.args), timeout)
            try:
                if nested:
                    before = self._scope.shorten(end, reason)
                    try:
                        self._look_again()
                        value = call(*args)
                    finally:
                        self._scope.restore(before)
                    _in_time(end, reason)
                    return value
                self._scope.start(end, reason)
                session = self._session
                try:
                    if session is not None:
                        session.recorder.enter()
                    value = call(*args)
                    if end is not None:
                        _in_time(end, reason)
                    return value
                except ExitError:
                    _in_time(end, reason)
                    raise
                finally:
                    self._scope.start(None, None)  # its reason's traceback holds this frame, and so the scope
                    self._stats.wall += (time.monotonic_ns() - wall) / 1_000_000_000
                    self._stats.cpu += time.thread_time() - cpu
                    if session is not None:
                        session.recorder.leave()
            except BaseException as error:
                if error is reason:
                    self.state.handlers.met.add("timeout")
                self.attach_outcome(error, wall, read_files=begun is not None)
                raise
            finally:
                del reason  # its traceback holds this frame

    def attach_outcome(self, error: BaseException, begun: int = 0, *, read_files: bool = True) -> None:
        """Attach the guest's outcome to an exception that ends it, see `RunSetup.attach_outcome`."""
        self._end = type(error).__name__
        if self._session is not None:
            self._session.name_frames(error)
        if isinstance(error, LimitExceeded):
            self.state.handlers.met.add(error.limit)
        self._note_use()
        self._setup.attach_outcome(error, self._stats, self._owner, begun=begun, read_files=read_files)

    def _look_again(self) -> None:
        self.module.engine.deadline_changed()

    def as_imports(self, module: str) -> GuestExports:
        """The exported functions as imports for other guests, which import them from `module`.

            with instantiate("lib.wasm") as lib:
                run("main.wasm", imports=lib.as_imports("lib"))

        The two share nothing but the numbers that they pass. Used by one thread at a time, as the instance itself.
        """
        from wasihost.guest.guest_exports import GuestExports

        return GuestExports(module, self._engine, self._scope)

    # -- what there is of it ---------------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        """The guest's linear memory, to be read and written by pointer."""
        from wasihost.memory import Memory

        return Memory(
            lambda: self._engine.view(),
            lambda *call: self._engine.call(*call),
            lambda: self.module.exports,
            self._find_allocator,
        )

    def _find_allocator(self) -> Allocator:
        if self._allocator is None:
            from wasihost.engines.allocator import find

            self._allocator = find(self.module.exports, *self._setup.allocator)
        return self._allocator

    @property
    def stats(self) -> Stats:
        """What the guest used so far."""
        if not self._closed:
            self._note_use()
        return self._stats

    def _note_use(self) -> None:
        stats, limits = self._stats, self._setup.config.limits
        if self._engine.is_open:
            stats.peak_memory, self._full = self._engine.usage()
            if limits.fuel is not None:
                stats.fuel = limits.fuel - self._engine.fuel()
        met = set(self.state.handlers.met)
        if self._full:
            met.add("memory")
        if self.truncated:
            met.add("output")
        if limits.fuel is not None and stats.fuel == limits.fuel:
            met.add("fuel")
        stats.limits = tuple(sorted(met))
        if self._setup.policy_run is not None:
            self._setup.policy_run.note_refusals(stats)

    def close(self) -> None:
        """End the guest: close its files and free its memory."""
        if hasattr(self, "_engine"):
            self._note_use()
            self._engine.close()
        closed, self._closed = self._closed, True
        self.state.close()  # a hook may raise
        if self._session is not None:
            self._session.finish()
        if not closed and self._setup.policy_run is not None:
            self._setup.policy_run.end(self._stats)
        if not closed:
            auditing.ended(self.module.name, self._code if self._end is None else self._end, self._stats.limits)

    def __del__(self, _warn: Callable[..., None] = warn, _ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Free what the guest holds if the caller did not close it."""
        if hasattr(self, "state") and not self._closed and not _ending():
            self.state.close()
            if os.getpid() == self._pid:
                _warn(
                    f"the guest {printable(self.module.name)} was not closed: close() it, or use it in a with block",
                    ResourceWarning,
                    source=self,
                )

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a running guest cannot be pickled or copied: pickle its Module and its config")


def _in_time(end: int | None, reason: TimeoutExpired | None) -> None:
    """Raises `reason` for what came to its end after `end`: a call of the system or of an object that cannot be ended
    took longer."""
    if end is not None and reason is not None and time.monotonic_ns() >= end:
        try:
            raise reason from None
        finally:
            del reason  # its traceback holds this frame


def _text(args: tuple[bytes, ...]) -> list[str]:
    return [os.fsdecode(arg) for arg in args]


def _names_of(imports: ImportsOption | None) -> list[str]:
    """The names of the functions of generated packages, to which hooks can be limited."""
    every: Sequence[Any] = imports if isinstance(imports, Sequence) else [imports]
    return [name for one in every if hasattr(one, "providers") for name in one.names]
