"""What a guest used."""

from __future__ import annotations


class Stats:
    """`wall` and `cpu` are seconds of the guest's run, compiling not included; `cpu` is that of its own thread.

    `peak_memory` is bytes of memories and tables, as the limit counts them (of those that the module does not export,
    what they began with); `fuel` the units of work used, None unless they were limited. With `stats=True`, `calls` and
    `bytes` are counts by function name, and `paths` the paths that the guest named: 10,000 at most, of 4 MiB in all;
    `paths_omitted` counts how often it named others. Else they are empty.

    `limits` names the limits that the guest met, in order of the alphabet: fields of `Limits` ("memory", "fuel",
    "output", "open_files", "path", "sleep", "subscriptions"), "timeout", and "max_bytes", "max_entries" and
    "max_file_size" of a MemoryFS. `isolation` names what held a guest that had a process of its own, see
    `isolation_report`; empty for one that had not.
    """

    __slots__ = (
        "bytes",
        "calls",
        "cpu",
        "fuel",
        "isolation",
        "limits",
        "paths",
        "paths_omitted",
        "peak_memory",
        "wall",
    )

    def __init__(self) -> None:
        self.wall: float = 0.0
        self.cpu: float = 0.0
        self.peak_memory: int = 0
        self.fuel: int | None = None
        self.calls: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self.paths: set[str] = set()
        self.paths_omitted: int = 0
        self.limits: tuple[str, ...] = ()
        self.isolation: tuple[str, ...] = ()

    def copy(self) -> Stats:
        """As it is now."""
        made = Stats()
        made.wall, made.cpu, made.peak_memory = self.wall, self.cpu, self.peak_memory
        made.fuel, made.limits, made.isolation = self.fuel, self.limits, self.isolation
        made.paths_omitted = self.paths_omitted
        made.calls, made.bytes, made.paths = self.calls.copy(), self.bytes.copy(), self.paths.copy()
        return made

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Stats({shown})"
