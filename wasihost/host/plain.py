"""Which of a guest's calls C may do by itself, without the GIL: those whose handlers are ours and unchanged.

Rules of this file: C does a plain call only if nobody could see the difference. A handler that a subclass or an
instance overrides, or that was replaced in our classes, is called for every call; so is one that uses a function of the
embedder's (a clock, a source of randomness), and every handler that counts calls.
"""

from __future__ import annotations

import os
from _operator import attrgetter

from wasihost.descriptors.table import FdTable
from wasihost.host.functions import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from wasi_preview1.handlers import Handlers

    from wasihost.native import _native

_FILES: Final = (
    "fd_read",
    "fd_write",
    "fd_pread",
    "fd_pwrite",
    "fd_seek",
    "fd_tell",
    "fd_fdstat_get",
    "fd_filestat_get",
)
_PATHS: Final = (
    "path_open",
    "fd_close",
    "path_filestat_get",
    "path_create_directory",
    "path_remove_directory",
    "path_unlink_file",
    "path_rename",
    "fd_prestat_get",
    "fd_prestat_dir_name",
)
PLAIN: Final = (
    *_FILES,
    *_PATHS,
    "clock_time_get",
    "clock_res_get",
    "random_get",
    "sched_yield",
    "poll_oneoff",
    "args_get",
    "args_sizes_get",
    "environ_get",
    "environ_sizes_get",
)
"""The functions that C can do."""

_Builtin: Final = type(len)
_functions = attrgetter(*PLAIN)
_OURS: Final = _functions(Host)


def plain_calls(handlers: Handlers, hooked: Collection[str] = ()) -> _native.PlainCalls | None:
    """Return the calls that C may do for these handlers, or None if there are none. `hooked` are functions with hooks:
    those need each call."""
    if not isinstance(handlers, Host) or handlers.table.plain is None:
        return None
    calls = handlers.table.plain
    without = tuple(hooked)
    if type(handlers.table) is not FdTable:
        without += (*_FILES, *_PATHS, "poll_oneoff")
    if handlers.osyield is not None:
        without += ("sched_yield",)
    if handlers.rand_source is not None or not isinstance(os.urandom, _Builtin):
        without += ("random_get",)
    if type(handlers) is Host and _functions(Host) == _OURS and not without:
        calls.enable(PLAIN)
    else:
        calls.enable(tuple(name for name in _unchanged(handlers) if name not in without))
    calls.set_clocks(handlers.clocks.now, handlers.clocks.resolutions)
    calls.set_strings(handlers.args, handlers.environ, handlers.max_subscriptions)
    return calls


def _unchanged(handlers: Host) -> list[str]:
    """Return the functions that these handlers neither override nor watch."""
    kind = type(handlers)
    if kind.__getattribute__ is not object.__getattribute__:
        return []
    own = getattr(handlers, "__dict__", {})
    return [name for name, ours in zip(PLAIN, _OURS, strict=True) if getattr(kind, name) is ours and name not in own]
