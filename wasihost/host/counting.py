"""Counts a guest's calls, if statistics were requested: each function records its call and passes it on.

Rules of this file: it counts what the guest calls, before hooks see it, whatever becomes of the call.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getsizeof
from typing import Any

from wasihost.stats import Stats

_MOVES_BYTES = frozenset(
    {"fd_read", "fd_write", "fd_pread", "fd_pwrite", "fd_readdir", "path_readlink", "sock_recv", "sock_send"}
)

_PATHS, _PATH_BYTES = 10_000, 4 << 20
"""The most paths that are kept, and the most bytes of them: a guest can use any number."""


class CountedHandlers:
    """Has the functions of `handlers`, which count into `stats`."""

    def __init__(self, handlers: object, stats: Stats) -> None:
        self._handlers = handlers
        self._stats = stats
        self._room = _PATH_BYTES

    def __getattr__(self, name: str) -> Any:
        function = self.__dict__[name] = self._counting(name, getattr(self._handlers, name))
        return function

    def _counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        moves, path = name in _MOVES_BYTES, name.startswith("path_")
        stats = self._stats

        def counted(*args: Any) -> Any:
            stats.calls[name] = stats.calls.get(name, 0) + 1
            if path:
                self._note_paths(args)
            result = function(*args)
            if moves:
                size = result if isinstance(result, int) else result[0]
                stats.bytes[name] = stats.bytes.get(name, 0) + size
            elif name == "random_get":
                stats.bytes[name] = stats.bytes.get(name, 0) + len(args[0])
            return result

        return counted

    def _note_paths(self, args: tuple[Any, ...]) -> None:
        """Record the paths among the arguments of a call, up to the limits above."""
        paths = self._stats.paths
        for arg in args:
            if type(arg) is str and arg not in paths:
                size = getsizeof(arg)
                if len(paths) < _PATHS and size <= self._room:
                    paths.add(arg)
                    self._room -= size
                else:
                    self._stats.paths_omitted += 1
