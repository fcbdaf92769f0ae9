"""What a guest used: times, memory, fuel, calls, and the limits that it met."""

from __future__ import annotations

from wasi_preview1.light_typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Refusal(NamedTuple):
    """What a policy refused.

    Attributes:
        function: The function that the guest called.
        what: What it asked for: a guest path with links resolved, or the name of a clock, a variable, a socket.
        rule: The rule that would allow it, as a policy file has it.
    """

    function: str
    what: str
    rule: str

    def __str__(self) -> str:
        return f"{self.function} of {self.what!r} was refused by the policy; the rule that allows it: {self.rule}"


class Stats:
    """What a guest used.

    Attributes:
        wall: Seconds that the guest ran. The time of compilation is not included.
        cpu: CPU seconds of the guest's thread. The time of compilation is not included.
        peak_memory: Bytes of its memories and tables, as the limit counts them. Those that the module does not export
            count with their initial size.
        fuel: Units of fuel used; None unless fuel was limited.
        calls: With `stats=True`, how often the guest called each WASI function, by name; else empty.
        bytes: With `stats=True`, bytes that each function read or wrote, by name; else empty.
        paths: With `stats=True`, the paths that the guest named: at most 10,000, of 4 MiB together; else empty.
        paths_omitted: How often the guest named other paths than those.
        limits: The limits that the guest met, sorted: fields of `Limits` ("memory", "fuel", "output", "open_files",
            "path", "sleep", "subscriptions"), "timeout", and "max_bytes", "max_entries" and "max_file_size" of a
            `MemoryFS`.
        refusals: With a policy, what it refused, each once: at most 1,000; else empty.
        isolation: The mechanisms that confined a guest in a process of its own, see `isolation_report`; else empty.
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
        "refusals",
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
        self.refusals: tuple[Refusal, ...] = ()

    def copy(self) -> Stats:
        """Return a copy, which does not change any more."""
        made = Stats()
        made.wall, made.cpu, made.peak_memory = self.wall, self.cpu, self.peak_memory
        made.fuel, made.limits, made.isolation = self.fuel, self.limits, self.isolation
        made.refusals = self.refusals
        made.paths_omitted = self.paths_omitted
        made.calls, made.bytes, made.paths = self.calls.copy(), self.bytes.copy(), self.paths.copy()
        return made

    def _repr_html_(self) -> str:
        """Tables for notebooks: what was used, and what was counted and refused."""
        from wasihost.representation import seconds, size, table

        rows = [("wall time", seconds(self.wall)), ("CPU time", seconds(self.cpu)), ("memory", size(self.peak_memory))]
        if self.fuel is not None:
            rows.append(("fuel", f"{self.fuel:,}"))
        if self.limits:
            rows.append(("limits met", ", ".join(self.limits)))
        if self.isolation:
            rows.append(("held by", ", ".join(self.isolation)))
        made = table("what the guest used", rows)
        if self.calls:
            counts = sorted(self.calls.items(), key=lambda item: -item[1])
            calls = ((name, f"{count:,}", f"{self.bytes.get(name, 0):,}") for name, count in counts)
            made += table("calls", calls, ("function", "calls", "bytes"))
        if self.refusals:
            made += table("refused by the policy", self.refusals, ("function", "what", "rule that allows it"))
        if self.paths:
            made += table("paths", ((path,) for path in sorted(self.paths)))
        return made

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        """What is not as in new statistics, for rich."""
        new = Stats()
        for name in self.__slots__:
            yield name, getattr(self, name), getattr(new, name)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Stats({shown})"
