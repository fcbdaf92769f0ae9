"""The contract between the host and an engine, both halves. Types only, never imported at run time.

- What an engine asks of the host: a `HostState`, whose functions (`Imports`) it calls and whose `GuestView` it updates;
  a `CancelCheck`, which says when the guest has to end.
- What the host asks of an engine: the functions of `Engine`. A package below `engines/` that has them is an engine;
  `wasihost.engines.default_engine` returns it. `values` has what goes in and out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wasihost.config.features import FeatureChoice
from wasihost.engines.values import NO_LIMITS, CompileBounds, CompileMode, EngineLimits, Item, OnCompile, Usage
from wasihost.errors import Frame

if TYPE_CHECKING:
    from typing_extensions import Buffer

# -- what an engine asks of the host -----------------------------------------------------------------------------------

Stub: TypeAlias = Callable[..., int | float | None]
"""A raw function: canonical numbers in, the value of its one result (an errno) out, `None` where it has no result.

What it raises ends the run: the engine stops the guest by a trap and raises the very same exception from the run.
"""


class Signature(Protocol):
    """The core wasm type of a function.

    `slots` and `result_slots` have one `struct` character per parameter and result, which give their signedness.
    """

    @property
    def params(self) -> tuple[str, ...]: ...
    @property
    def results(self) -> tuple[str, ...]: ...
    @property
    def slots(self) -> str: ...
    @property
    def result_slots(self) -> str: ...


Imports: TypeAlias = Mapping[str, Mapping[str, tuple[Signature, Stub]]]
"""Module name -> function name -> type and stub. Looked up by name, so a mapping may bind a stub when it is asked."""

Offered: TypeAlias = Mapping[str, Iterable[str]]
"""Module name -> names of functions that a user's own imports have, whether the module wants them or not. Messages
about a module that does not fit use them."""


class GuestView(Protocol):
    """The guest's memory as the stubs see it. The engine sets both for the time of a run and resets them after it."""

    view: memoryview
    memory: Callable[[], Buffer]


class CancelCheck(Protocol):
    """When a guest has to end; `wasihost.waiting` has the implementation."""

    @property
    def expires(self) -> int | None:
        """In ns of `time.monotonic_ns`; None for never."""

    def check(self) -> None:
        """Raise the reason if the time has come: it ends the guest and is raised from the run."""


class HostState(Protocol):
    """One process of a guest."""

    @property
    def guest(self) -> GuestView: ...
    @property
    def faults(self) -> tuple[type[BaseException], ...]:
        """What stubs raise when the guest broke the ABI (a pointer out of bounds): it becomes a TrapError."""

    def imports(self) -> Imports: ...


# -- what the host asks of an engine -----------------------------------------------------------------------------------


class CompiledModule(Protocol):
    """A compiled module. May be used from many threads at once and for any number of runs."""

    @property
    def imports(self) -> tuple[Item, ...]: ...
    @property
    def exports(self) -> dict[str, Item]: ...
    @property
    def starts(self) -> bool:
        """Whether it has a start section, which runs while an instance is made."""


class EngineInstance(Protocol):
    """A module with the imports of a State. Used by one thread at a time.

    Whatever raises here raises what ended the guest: what a stub raised (ExitError for `proc_exit`), what its
    `CancelCheck` raised, TrapError for a trap or a guest fault, LimitExceeded.
    """

    before_entry: Callable[[], object] | None
    """Called by `open` when everything is made and no code of the guest has run."""

    @property
    def module(self) -> CompiledModule: ...
    @property
    def depth(self) -> int:
        """How many calls of this guest are running, one within another."""

    @property
    def interruptible(self) -> bool:
        """Whether the guest can be ended while it computes."""

    @property
    def is_open(self) -> bool: ...

    def open(self) -> None:
        """Make the instance. The guest's start section may run."""

    def close(self) -> None:
        """Release everything; views of the memory stay valid. RuntimeError while the guest runs."""

    def function(self, name: str) -> Callable[..., Any]:
        """The exported function of this name, called with numbers as `call` is. LinkError if there is none."""

    def call(self, name: str, *numbers: int | float) -> Any:
        """Call an export. Returns its result (integers are signed), None if it has none, a tuple if it has several."""

    def get_global(self, name: str) -> int | float:
        """The value of an exported global; integers are signed. TypeError if it does not hold a number."""

    def set_global(self, name: str, value: int | float) -> None:
        """Set an exported global. TypeError or OverflowError for a value it cannot have, or if it is immutable."""

    def exclusive(self) -> AbstractContextManager[None]:
        """A context manager that raises RuntimeError if another thread is inside this instance."""

    def check_ended(self) -> None:
        """ConfigError if the guest was ended, still runs in another thread, and cannot be interrupted."""

    def view(self) -> memoryview:
        """The linear memory as it is now; empty for a module without one."""

    def usage(self) -> Usage: ...

    def fuel(self) -> int:
        """Units of fuel that are left. Only for a module that was compiled with `fuel`."""


class StackProfiler(Protocol):
    """Takes samples of the stack of one instance, whose module was compiled with indices as names.

    The instance's `CancelCheck` is called at each `interval` (ns) between `start` and `stop`: it may take a sample, and
    so may functions of the host.
    """

    interval: int
    readable: bool
    """False if this version of the engine writes samples in a form that is not known: `take` returns none then."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def sample(self) -> None: ...
    def take(self) -> list[tuple[int, ...]]:
        """The stacks of the samples since the last call: indices of functions, outermost first, with `values.CUT` for
        frames that are left out."""

    def close(self) -> None: ...


class Engine(Protocol):
    """An engine: a package with these functions. ConfigError is raised by each where the engine cannot be loaded."""

    @property
    def NAME(self) -> str:  # a constant of the engine's package
        """Its name, as users write it. It is that of the package, and of the extra that installs what it needs."""

    @property
    def LACKS(self) -> Mapping[str, str]:  # the same
        """Options of a run that it does not have -> why not, and what to do instead."""

    # What every run needs.

    def compile_mode(self, interruptible: bool, fuel: bool, stack: int | None, features: str) -> CompileMode:
        """The mode for a guest that the calling thread will run. `stack` is in bytes, None for all that the thread has.

        ConfigError if the thread's stack is too small.
        """

    def load(
        self,
        source: bytes | str | os.PathLike[str],
        *,
        cache: bool = True,
        mode: CompileMode = ...,
        on_compile: OnCompile | None = None,
        bounds: CompileBounds | None = None,
    ) -> CompiledModule:
        """Compile the module at a path or in bytes (binary or text form), or take it from the cache.

        ModuleError for what cannot be used, OSError for a file that cannot be read, LimitExceeded beyond `bounds`.
        """

    def instantiate(
        self,
        module: Any,
        state: HostState,
        start: str | None = None,
        *,
        scope: CancelCheck | None = None,
        limits: EngineLimits = NO_LIMITS,
        label: str = "guest",
        offered: Offered | None = None,
    ) -> EngineInstance:
        """An instance of a module that this engine compiled; `EngineInstance.open` lets it run.

        `start` is the export that the module must have, if any; `label` is what messages call the module. LinkError if
        module and host do not fit.
        """

    def execute(
        self,
        module: Any,
        state: HostState,
        start: str = "_start",
        *,
        scope: CancelCheck | None = None,
        limits: EngineLimits = NO_LIMITS,
        label: str = "guest",
    ) -> None:
        """Run a command from instance to end. Raises what `instantiate` and `EngineInstance.call` raise."""

    def interrupt(self) -> None:
        """Have every running guest that is interruptible check its `CancelCheck` now. May be called by any thread."""

    def deadline_changed(self) -> None:
        """A running guest's `CancelCheck` expires earlier than before."""

    # What only some need.

    def canonical_features(self, choice: FeatureChoice) -> str:
        """The part of a choice of features that differs from the engine's own, for a `CompileMode`.

        ConfigError for a feature that this engine cannot switch.
        """

    def signals_may_interrupt(self) -> bool:
        """Whether a signal handler of Python (Ctrl-C) may have to run on this thread while a guest does."""

    def assemble(self, text: bytes, label: str) -> bytes:
        """WebAssembly text to binary form. ModuleError for what is neither."""

    def check_module(self, code: bytes, label: str, features: str) -> None:
        """ModuleError for a module in binary form that this engine would refuse."""

    def symbolizer(self, module: Any) -> Callable[[tuple[Frame, ...]], tuple[Frame, ...]]:
        """A function that adds readable names and source lines to frames of this module."""

    def stack_profiler(self, instance: Any, interval: int) -> StackProfiler:
        """A profiler for an open instance that has a `scope`. ConfigError if this engine has none."""

    def cache_entries(self) -> list[tuple[str, int]]:
        """Path and size in bytes of every compiled module on disk."""

    def clear_cache(self) -> tuple[int, int]:
        """Delete them. Returns how many there were, and their bytes."""

    @property
    def CACHE_LIMIT(self) -> int:  # a constant of the engine's package
        """Bytes that they may have together."""

    @property
    def WHEN_RUN(self) -> tuple[str, ...]:  # a constant of the engine's package
        """Full names of the modules that any run may import: `wasihost.guest.preloading` imports them first."""

    @property
    def WHEN_ASKED(self) -> tuple[str, ...]:  # the same
        """Those that few runs import."""

    # Compiling ahead of time.

    def code_kind(self) -> str:
        """Which engine and which kind of machine compiled code is for. Code is loaded where this is the same."""

    def library_path(self) -> str:
        """The path of the engine's library, for programs that carry it. ConfigError if it has none."""

    def precompile(
        self, code: bytes, label: str, mode: CompileMode, *, on_compile: OnCompile | None = None
    ) -> tuple[bytes, bytes]:
        """Compile a module in binary or text form. Returns it in binary form, and the compiled code.

        ModuleError for what cannot be used, ConfigError if this engine has no compiled code."""

    def load_code(self, path: str, module: str, mode: CompileMode, label: str) -> CompiledModule:
        """The module of a file with compiled code, which runs as it is: the caller must trust it. `module` is the path
        of the module in binary form. ModuleError if the engine or the processor is another one."""

    def fill_cache(
        self, code: bytes, label: str, mode: CompileMode, *, again: bool, on_compile: OnCompile | None = None
    ) -> tuple[str, int, bool]:
        """Compile a module into the cache, if it is not there or `again`. Returns path and bytes of its entry, and
        whether it was compiled. ConfigError if nothing can be kept there."""

    # For processes that fork processes for guests, or receive a module.

    def load_library(self) -> None:
        """Load what forked processes would otherwise load each. ConfigError if it is not installed."""

    def start_engines(self) -> None:
        """Start what the first run would start."""

    def stop_threads(self) -> None:
        """End the engine's own threads, if no guest is running."""

    def to_artifact(self, module: Any) -> tuple[Any, int]:
        """What another process needs of a module: a value that pickles, and the fd of a read-only file.

        The module owns the fd."""

    def from_artifact(self, artifact: Any, fd: int) -> CompiledModule:
        """The module in the other process. ModuleError if its engine is another one."""
