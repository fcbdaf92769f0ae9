"""What a guest is given, as values.

Rules of this package: nothing is opened here; what a caller passes is checked at once, and never changes.

    module       `ModuleConfig`, with the methods that change it
    values       its fields, and the sequence that its environment is kept in
    inherit      `INHERIT`, which stands for a stream of this process
    streams      the types of streams and of random sources
    keywords     the types of keyword arguments
    mounts       directories and file systems: `FSConfig`
    sockets      sockets, and the environment variables that name them
    limits       what a guest may use
    handling     handlers and hooks of the embedder's
    features     which features of WebAssembly a module may use
    mistakes     errors for arguments that cannot be meant, with advice
"""

from wasihost.config.inherit import INHERIT, Inherit
from wasihost.config.module import (
    STDERR_FD,
    STDIN_FD,
    STDOUT_FD,
    SYS_CLOCK_RESOLUTION_NANOTIME,
    SYS_CLOCK_RESOLUTION_WALLTIME,
    ModuleConfig,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasihost.config.streams import RandomSource, Reader, Stdin, Stdout, TextStream, Writer

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

if not TYPE_CHECKING:

    def __getattr__(name):  # a run needs no types
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from wasihost.config import streams

        return getattr(streams, name)
