"""Counts what a guest calls, where that was asked for: handlers that note each call and pass it on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from wasi_preview1.signatures import SIGNATURES

from wasihost.config import ModuleConfig
from wasihost.host import Host
from wasihost.stats import Stats

_MOVES_BYTES = frozenset(
    {"fd_read", "fd_write", "fd_pread", "fd_pwrite", "fd_readdir", "path_readlink", "sock_recv", "sock_send"}
)


class CountingHost(Host):
    """A host that counts into `stats`. It has a dict of its own, unlike `Host`: what is counted is not hot."""

    def __init__(self, config: ModuleConfig, stats: Stats) -> None:
        self.stats = stats
        super().__init__(config)


def _counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    moves, path = name in _MOVES_BYTES, name.startswith("path_")

    @functools.wraps(function)
    def counted(self: CountingHost, *args: Any) -> Any:
        stats = self.stats
        stats.calls[name] = stats.calls.get(name, 0) + 1
        if path:
            stats.paths.update(arg for arg in args if type(arg) is str)
        answer = function(self, *args)
        if moves:
            size = answer if isinstance(answer, int) else answer[0]
            stats.bytes[name] = stats.bytes.get(name, 0) + size
        elif name == "random_get":
            stats.bytes[name] = stats.bytes.get(name, 0) + len(args[0])
        return answer

    return counted


for _functions in SIGNATURES.values():
    for _name in _functions:
        setattr(CountingHost, _name, _counting(_name, getattr(Host, _name)))
