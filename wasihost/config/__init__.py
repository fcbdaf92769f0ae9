"""What a guest is given, as values: nothing is opened here.

Rules of this package: what is given is checked at once, and never changes.

    module       `ModuleConfig`
    streams      what can be given as a stream
    mounts       directories and file systems
    sockets      sockets, and the environment that tells of them
    limits       what a guest may use
    features     which features of WebAssembly a module may use
    entries      an environment that grows at its end
    mistakes     what to say to a caller who gave something that cannot be meant
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
