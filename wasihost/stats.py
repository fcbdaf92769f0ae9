"""What a guest used, and, if it was asked for, what it called: counted by handlers that pass each call on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from wasi_preview1.signatures import SIGNATURES

from wasihost.config import ModuleConfig
from wasihost.host import Host

_MOVES_BYTES = frozenset(
    {"fd_read", "fd_write", "fd_pread", "fd_pwrite", "fd_readdir", "path_readlink", "sock_recv", "sock_send"}
)


class Stats:
    """`wall` and `cpu` are seconds of the guest's run, compiling not included; `cpu` is that of its own thread.

    `peak_memory` is bytes of linear memory; `fuel` the units of work used, None unless they were limited. With
    `stats=True`, `calls` and `bytes` are counts by function name and `paths` all paths the guest named, else they are
    empty. `limits` names the limits that the guest met.
    """

    __slots__ = ("bytes", "calls", "cpu", "fuel", "limits", "paths", "peak_memory", "wall")

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0
        self.peak_memory = 0
        self.fuel: int | None = None
        self.calls: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self.paths: set[str] = set()
        self.limits: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Stats({shown})"


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
