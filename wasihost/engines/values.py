"""The values that the host and an engine exchange. Every engine takes and returns these; `base` has the calls.

Rules of this file: no engine is known here, and nothing is imported at run time that a plain run does not need.
"""

from __future__ import annotations

from wasi_preview1.light_typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TypeAlias

    from wasihost.config.limits import Limits


class MemoryType(NamedTuple):
    """The type of a linear memory: its smallest and largest size in pages, and the proposals it uses."""

    least: int
    most: int | None
    wide: bool  # 64-bit addresses
    shared: bool
    page: int = 1 << 16  # bytes


class Item(NamedTuple):
    """An import or an export (whose `module` is empty). Only a function has `params` and `results`, only a memory has a
    `memory`."""

    module: str
    name: str
    kind: str  # "func", "global", "table", "memory", "tag"
    params: tuple[str, ...]
    results: tuple[str, ...]
    memory: MemoryType | None = None


class CompileMode(NamedTuple):
    """How a module is compiled. `Engine.compile_mode` makes one that fits the calling thread.

    `interruptible` code can be ended while it computes, `fuel` has its work counted. `stack` is the number of bytes of
    call stack that the guest may use; 0 is the default, or what this thread has. `features` are the WebAssembly
    features that are switched, as `Engine.canonical_features` returns them. `baseline` code runs on every processor of
    this kind; it is for compiling, and code that was compiled so serves runs of the same mode without it.
    """

    interruptible: bool = False
    fuel: bool = False
    stack: int = 0
    features: str = ""
    baseline: bool = False

    @property
    def slower(self) -> bool:
        """Whether the code does more than the guest's own work."""
        return self.interruptible or self.fuel


class CompileBounds(NamedTuple):
    """What a compilation may use: seconds, and bytes of memory."""

    seconds: float | None = None
    memory: int | None = None

    @classmethod
    def of(cls, limits: Limits) -> Self | None:
        """The bounds that a config's limits set; None if they set none."""
        if limits.compile_timeout is None and limits.compile_memory is None:
            return None
        return cls(limits.compile_timeout, limits.compile_memory)


class EngineLimits(NamedTuple):
    """What an instance may use: bytes of all memories and tables, units of fuel; None is no limit."""

    memory: int | None = None
    fuel: int | None = None


NO_LIMITS = EngineLimits()


class Usage(NamedTuple):
    """What an instance uses: bytes that count against its memory limit, and whether a memory or table has nearly
    reached its share of it."""

    size: int
    full: bool


CUT = -1
"""In a stack of a profile: frames that are left out, instead of the index of a function."""


class Compilation(NamedTuple):
    """A compilation that begins (`seconds` is None), or that ended after `seconds`.

    `name` is the module's, `size` that of its binary in bytes; `interruptible` and `fuel` say for which runs it is
    compiled: those that can be ended while they compute, and those whose work is counted.
    """

    name: str
    size: int
    interruptible: bool
    fuel: bool
    seconds: float | None = None

    def __str__(self) -> str:
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 100_000 else f"{self.size:,} bytes"
        if self.seconds is not None:
            return f"compiled {self.name} ({size}) in {self.seconds:.1f} s"
        ways = ["interruptible"] * self.interruptible + ["with fuel"] * self.fuel
        return f"compiling {self.name} ({size}){', ' * bool(ways)}{', '.join(ways)}"


OnCompile: TypeAlias = "Callable[[Compilation], object]"
"""Called twice: when a compilation begins, and when it ends. What it raises is raised by whatever compiled."""
