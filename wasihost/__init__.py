"""wasihost: a WASI snapshot-preview1 host for Python.

`run(module, ...)` runs a WebAssembly command as `subprocess.run` runs a process; `instantiate` keeps a guest to call;
`ModuleConfig` says what a guest gets; `State` is the host side alone, for an engine of your own.

The names of `__all__` are the public ones. Beside them there are modules to import from:

- `wasihost.config`, `wasihost.errors`, `wasihost.outcomes`, `wasihost.stats`: types of what is passed and returned
- `wasihost.imports`, `wasihost.binding`, `wasihost.memory`: host functions, other specifications, a guest's memory
- `wasihost.handlers`, `wasihost.hooks`: functions of yours in place of the host's, or around them
- `wasihost.profile`: where the time of a run went
- `wasihost.cassettes`: runs that are recorded and replayed
- `wasihost.trace`: every call of a guest as a line
- `wasihost.policy`: what a guest may do, as a file; learnt from a run
- `wasihost.vfs`: file systems of your own
- `wasihost.overlays`: mounts that can be undone
- `wasihost.inspection`: what a module is, without running it
- `wasihost.testing`: clocks, faults and seeds for your tests, and a fixture for pytest
- `wasihost.engines.wasmtime.linker`: a `wasmtime.Linker` of your own

Every other package is internal and may change; ARCHITECTURE.md has the map. The lists below name the same things three
times, because type checkers, `import *` and the import on first use each read one; tests hold them together.
"""

from __future__ import annotations

import os
import sys

if os.name == "nt":
    raise ImportError(
        "wasihost runs on Linux and macOS, not on Windows: its sandbox needs POSIX calls. "
        "Run it in WSL or in a container"
    )
if sys.implementation.name != "cpython":
    raise ImportError(
        f"wasihost runs on CPython, not on {sys.implementation.name}: it relies on how CPython runs ctypes"
    )

import wasihost.common.forking  # noqa: F401  # registers what is done at a fork
from wasihost.config import (
    INHERIT,
    STDERR_FD,
    STDIN_FD,
    STDOUT_FD,
    SYS_CLOCK_RESOLUTION_NANOTIME,
    SYS_CLOCK_RESOLUTION_WALLTIME,
    ModuleConfig,
)
from wasihost.config.limits import Limits
from wasihost.config.mounts import FSConfig, Mount
from wasihost.errors import (
    CalledProcessError,
    ConfigError,
    ExitError,
    Frame,
    GuestError,
    IsolationError,
    LimitExceeded,
    LinkError,
    ModuleError,
    OutputError,
    OverlayError,
    SignalExit,
    TimeoutExpired,
    TrapError,
    WasihostError,
)
from wasihost.outcomes import Outcome, outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasi_preview1.errors import GuestFault, WasiError
    from wasi_preview1.types import Errno

    from wasihost.binding import bind
    from wasihost.config.features import Feature
    from wasihost.config.streams import RandomSource, Reader, Writer
    from wasihost.embedding.instantiate import instantiate
    from wasihost.embedding.process import Process
    from wasihost.embedding.run import CompletedProcess, run
    from wasihost.embedding.run_async import run_async
    from wasihost.embedding.start import start
    from wasihost.engines.values import Compilation
    from wasihost.guest.instance import Instance
    from wasihost.guest.module import Module
    from wasihost.guest.options import DEVNULL, PIPE, STDOUT, Options
    from wasihost.guest.preloading import preload
    from wasihost.hooks import hook
    from wasihost.host.state import State
    from wasihost.imports import Imports, Unsigned
    from wasihost.isolation.lockdown import isolation_report
    from wasihost.memory import Memory
    from wasihost.overlays import Overlay
    from wasihost.overlays.changes import OverlayChanges
    from wasihost.packaging.ahead import precompile
    from wasihost.packaging.module import load_precompiled
    from wasihost.policy.rules import Policy
    from wasihost.profile import Profile
    from wasihost.scale.cluster import publish
    from wasihost.scale.function import GuestFunction, function
    from wasihost.scale.mapping import map
    from wasihost.scale.results import MapResult
    from wasihost.stats import Stats
    from wasihost.vfs import Lazy, MemoryFS
    from wasihost.vfs.changes import Changes

    __version__: str

__all__ = [
    "DEVNULL",
    "INHERIT",
    "PIPE",
    "STDERR_FD",
    "STDIN_FD",
    "STDOUT",
    "STDOUT_FD",
    "SYS_CLOCK_RESOLUTION_NANOTIME",
    "SYS_CLOCK_RESOLUTION_WALLTIME",
    "CalledProcessError",
    "Changes",
    "Compilation",
    "CompletedProcess",
    "ConfigError",
    "Errno",
    "ExitError",
    "FSConfig",
    "Feature",
    "Frame",
    "GuestError",
    "GuestFault",
    "GuestFunction",
    "Imports",
    "Instance",
    "IsolationError",
    "Lazy",
    "LimitExceeded",
    "Limits",
    "LinkError",
    "MapResult",
    "Memory",
    "MemoryFS",
    "Module",
    "ModuleConfig",
    "ModuleError",
    "Mount",
    "Options",
    "Outcome",
    "OutputError",
    "Overlay",
    "OverlayChanges",
    "OverlayError",
    "Policy",
    "Process",
    "Profile",
    "RandomSource",
    "Reader",
    "SignalExit",
    "State",
    "Stats",
    "TimeoutExpired",
    "TrapError",
    "Unsigned",
    "WasiError",
    "WasihostError",
    "Writer",
    "__version__",
    "bind",
    "function",
    "hook",
    "instantiate",
    "isolation_report",
    "load_precompiled",
    "map",
    "outcome",
    "precompile",
    "preload",
    "publish",
    "run",
    "run_async",
    "start",
]

# Imported on first use, so that the command starts without them.
_ON_FIRST_USE = {
    "Changes": ".vfs.changes",
    "Compilation": ".engines.values",
    "CompletedProcess": ".embedding.run",
    "DEVNULL": ".guest.options",
    "Errno": "wasi_preview1.types",
    "Feature": ".config.features",
    "GuestFault": "wasi_preview1.errors",
    "GuestFunction": ".scale.function",
    "Imports": ".imports",
    "Instance": ".guest.instance",
    "Lazy": ".vfs",
    "MapResult": ".scale.results",
    "Memory": ".memory",
    "MemoryFS": ".vfs",
    "Module": ".guest.module",
    "Options": ".guest.options",
    "Overlay": ".overlays",
    "OverlayChanges": ".overlays.changes",
    "PIPE": ".guest.options",
    "Policy": ".policy.rules",
    "Process": ".embedding.process",
    "Profile": ".profile",
    "RandomSource": ".config.streams",
    "Reader": ".config.streams",
    "STDOUT": ".guest.options",
    "State": ".host.state",
    "Stats": ".stats",
    "Unsigned": ".imports",
    "WasiError": "wasi_preview1.errors",
    "Writer": ".config.streams",
    "bind": ".binding",
    "function": ".scale.function",
    "hook": ".hooks",
    "instantiate": ".embedding.instantiate",
    "isolation_report": ".isolation.lockdown",
    "map": ".scale.mapping",
    "load_precompiled": ".packaging.module",
    "precompile": ".packaging.ahead",
    "preload": ".guest.preloading",
    "publish": ".scale.cluster",
    "run": ".embedding.run",
    "run_async": ".embedding.run_async",
    "start": ".embedding.start",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        found: object = version(__name__)
    elif name in _ON_FIRST_USE:
        from importlib import import_module

        found = getattr(import_module(_ON_FIRST_USE[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
