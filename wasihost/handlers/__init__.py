"""The handlers: one file per witx prefix, each with a subclass of a generated abstract class.

Public: the classes, to derive from and to call by `super()`, see `ModuleConfig.with_handlers`. Their attributes are the
host's, of which these are for you: `args`, `environ`, `clocks`, `table`; `describe(fd)` of the whole host.
"""

from wasihost.handlers.args import ArgsFunctions, EnvironFunctions
from wasihost.handlers.clock import ClockFunctions
from wasihost.handlers.fd import FdFunctions
from wasihost.handlers.path import PathFunctions
from wasihost.handlers.poll import PollFunctions
from wasihost.handlers.proc import ProcFunctions, SchedFunctions
from wasihost.handlers.random import RandomFunctions
from wasihost.handlers.sock import SockFunctions

__all__ = [
    "ArgsFunctions",
    "ClockFunctions",
    "EnvironFunctions",
    "FdFunctions",
    "PathFunctions",
    "PollFunctions",
    "ProcFunctions",
    "RandomFunctions",
    "SchedFunctions",
    "SockFunctions",
]
