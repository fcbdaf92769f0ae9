"""What goes with compiling, which may take minutes: whether it can succeed, and a word to whoever waits.

Rules of this file: a module is validated before it is compiled, since the engine itself finds a function that it cannot
compile only when it comes to it. That takes a fiftieth of the time; what is in the cache has been validated before.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from wasihost.engines.wasmtime.engine import Engine, Kind
from wasihost.engines.wasmtime.ffi import c, take_error
from wasihost.errors import ModuleError


class Compilation(NamedTuple):
    """A compilation that begins (`seconds` is None), or that is over after so many seconds.

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


OnCompile: TypeAlias = Callable[[Compilation], object]
"""Called twice: when a compilation begins, and when it is over. What it raises comes out of whatever compiled."""

# What the engine says of a module that needs more than it has, and what to do about it. The first that fits counts.
_ADVICE = (
    (
        "legacy_exceptions",
        "it uses WebAssembly exceptions in their older form: convert it with binaryen's "
        "`wasm-opt --all-features --translate-to-exnref IN.wasm -o OUT.wasm`",
    ),
    ("shared memor", "it was built for threads, which this host does not have: build it without `-pthread`"),
    ("threads", "it was built for threads, which this host does not have: build it without `-pthread`"),
    ("memory64", "it has a 64-bit memory, and WASI's pointers have 32 bits: build it for wasm32"),
)
_LACKS = ("feature required", "not enabled", "must be enabled", "is disabled", "not supported", "support is not")


def validate(code: bytes, label: str, owner: Engine) -> None:
    """ModuleError for a module that this engine would refuse, with what to do about it."""
    if error := c.wasmtime_module_validate(owner.ptr, code, len(code)):
        raise refused(take_error(error), label)


def refused(text: str, label: str) -> ModuleError:
    """What the engine has against a module: that it is wrong, or needs what this engine does not have."""
    text = " ".join(text.split())
    if not any(words in text for words in _LACKS):
        return ModuleError(f"{label}: not a valid module: {text}")
    advice = next(
        (advice for words, advice in _ADVICE if words in text), "a newer engine may do: pip install -U wasmtime"
    )
    return ModuleError(f"{label}: this engine cannot run the module ({text}): {advice}")


@contextmanager
def around(label: str, size: int, kind: Kind, on_compile: OnCompile | None) -> Iterator[None]:
    """Tells the log and the caller's function of what is compiled in here."""
    begins = Compilation(label, size, kind.interruptible, kind.fuel)
    _log(begins)
    if on_compile is not None:
        on_compile(begins)
    begun = time.monotonic()
    try:
        yield
    finally:
        over = begins._replace(seconds=time.monotonic() - begun)
        _log(over)
        if on_compile is not None:
            on_compile(over)


def _log(event: Compilation) -> None:
    """Where nobody has imported logging, nobody can have asked for it; importing it takes a tenth of a short run."""
    if logging := sys.modules.get("logging"):
        logging.getLogger("wasihost").info("%s", event)
