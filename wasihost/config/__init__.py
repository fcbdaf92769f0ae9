"""What a guest is given, as values.

Rules of this package: nothing is opened here; what a caller passes is checked at once, and never changes.

    module       `ModuleConfig`, with the methods that change it
    values       its fields, and the sequence that its environment is kept in
    streams      the types of streams and of random sources
    mounts       directories and file systems: `FSConfig`
    sockets      sockets, and the environment variables that name them
    limits       what a guest may use
    features     which features of WebAssembly a module may use
    mistakes     errors for arguments that cannot be meant, with advice
"""

from wasihost.config.module import (
    STDERR_FD,
    STDIN_FD,
    STDOUT_FD,
    SYS_CLOCK_RESOLUTION_NANOTIME,
    SYS_CLOCK_RESOLUTION_WALLTIME,
    ModuleConfig,
)
from wasihost.config.streams import INHERIT, Inherit, RandomSource, Reader, Stdin, Stdout, TextStream, Writer

__all__ = [
    "INHERIT",
    "STDERR_FD",
    "STDIN_FD",
    "STDOUT_FD",
    "SYS_CLOCK_RESOLUTION_NANOTIME",
    "SYS_CLOCK_RESOLUTION_WALLTIME",
    "Inherit",
    "ModuleConfig",
    "RandomSource",
    "Reader",
    "Stdin",
    "Stdout",
    "TextStream",
    "Writer",
]
