"""wasihost: a WASI snapshot-preview1 host for Python.

`run(module, ...)` runs a WebAssembly command as `subprocess.run` runs a process; `ModuleConfig` says what the guest is
given; `State` is the host side alone, for an engine of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasi_preview1.errors import GuestFault, WasiError
from wasi_preview1.types import Errno

from wasihost.config import (
    INHERIT,
    STDERR_FD,
    STDIN_FD,
    STDOUT_FD,
    SYS_CLOCK_RESOLUTION_NANOTIME,
    SYS_CLOCK_RESOLUTION_WALLTIME,
    FSConfig,
    ModuleConfig,
    Mount,
)
from wasihost.errors import (
    CalledProcessError,
    ConfigError,
    ExitError,
    Frame,
    LinkError,
    ModuleError,
    TrapError,
    WasihostError,
)
from wasihost.run import DEVNULL, PIPE, STDOUT, CompletedProcess, run
from wasihost.state import State

if TYPE_CHECKING:
    from wasihost.vfs import MemoryFS

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
    "CompletedProcess",
    "ConfigError",
    "Errno",
    "ExitError",
    "FSConfig",
    "Frame",
    "GuestFault",
    "LinkError",
    "MemoryFS",
    "ModuleConfig",
    "ModuleError",
    "Mount",
    "State",
    "TrapError",
    "WasiError",
    "WasihostError",
    "run",
]


def __getattr__(name: str) -> object:
    """`MemoryFS`, imported when it is first asked for: most runs do without."""
    if name == "MemoryFS":
        from wasihost.vfs import MemoryFS

        return MemoryFS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
