"""Counts a guest's calls, if statistics were requested: handlers that record each call and pass it on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from sys import getsizeof
from typing import Any

from wasi_preview1.signatures import SIGNATURES

from wasihost.config import ModuleConfig
from wasihost.host.functions import Host
from wasihost.stats import Stats

_MOVES_BYTES = frozenset(
    {"fd_read", "fd_write", "fd_pread", "fd_pwrite", "fd_readdir", "path_readlink", "sock_recv", "sock_send"}
)

_PATHS, _PATH_BYTES = 10_000, 4 << 20
"""The most paths that are kept, and the most bytes of them: a guest can use any number."""


class CountingHost(Host):
    """A host that counts into `stats`. Unlike `Host` it has a `__dict__`: counted calls are slower anyway."""

    def __init__(self, config: ModuleConfig, stats: Stats) -> None:
        self.stats = stats
        self._room = _PATH_BYTES
        super().__init__(config)
        self.table.plain = None  # every call is counted, so none is done by C alone

    def note_paths(self, args: tuple[Any, ...]) -> None:
        """Record the paths among the arguments of a call, up to the limits above."""
        paths = self.stats.paths
        for arg in args:
            if type(arg) is str and arg not in paths:
                size = getsizeof(arg)
                if len(paths) < _PATHS and size <= self._room:
                    paths.add(arg)
                    self._room -= size
                else:
                    self.stats.paths_omitted += 1


def _counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    moves, path = name in _MOVES_BYTES, name.startswith("path_")

    @functools.wraps(function)
    def counted(self: CountingHost, *args: Any) -> Any:
        stats = self.stats
        stats.calls[name] = stats.calls.get(name, 0) + 1
        if path:
            self.note_paths(args)
        result = function(self, *args)
        if moves:
            size = result if isinstance(result, int) else result[0]
            stats.bytes[name] = stats.bytes.get(name, 0) + size
        elif name == "random_get":
            stats.bytes[name] = stats.bytes.get(name, 0) + len(args[0])
        return result

    return counted


for _functions in SIGNATURES.values():
    for _name in _functions:
        setattr(CountingHost, _name, _counting(_name, getattr(Host, _name)))
