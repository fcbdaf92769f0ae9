"""The interpreter in the pywasm package, which is written in Python: the only package that knows it.

It runs where wasmtime has no wheel, and shows that nothing above `engines` depends on one engine. A guest takes some
thousand times as long as with a compiler. The functions below are `wasihost.engines.base.Engine`.

    decoding     the sections of a module
    expressions  its instructions
    reader       what both consist of
    machine      pywasm's machine with bounds: steps, memory, depth of calls
    memory       the guest's memory
    mended       instructions that pywasm does otherwise than the specification
    numeric      those of them that compute
    traps        what its errors mean
    module       from a file or bytes to a module
    instance     an instance, its exports, and what it uses
    profiler     samples of a guest's stack

Rules of this package: pywasm is used as it is; what differs is in classes of ours that inherit from its own, and no
name of pywasm's is replaced. Its checks are `assert` statements, so it does not run where Python leaves those out.
"""

from __future__ import annotations

import sys

from wasihost.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from wasihost.config.features import FeatureChoice
    from wasihost.engines.base import CompiledModule
    from wasihost.engines.pywasm.instance import PywasmInstance as instantiate
    from wasihost.engines.pywasm.instance import execute, symbolizer
    from wasihost.engines.pywasm.module import assemble, check_module, load
    from wasihost.engines.pywasm.profiler import StackProfiler as stack_profiler
    from wasihost.engines.values import CompileMode, OnCompile

__all__ = [
    "CACHE_LIMIT",
    "LACKS",
    "NAME",
    "WHEN_ASKED",
    "WHEN_RUN",
    "assemble",
    "cache_entries",
    "canonical_features",
    "check_module",
    "clear_cache",
    "code_kind",
    "compile_mode",
    "deadline_changed",
    "execute",
    "fill_cache",
    "from_artifact",
    "instantiate",
    "interrupt",
    "library_path",
    "load",
    "load_code",
    "load_library",
    "precompile",
    "signals_may_interrupt",
    "stack_profiler",
    "start_engines",
    "stop_threads",
    "symbolizer",
    "to_artifact",
]

_WHERE: Final = {
    "assemble": "module.assemble",
    "check_module": "module.check_module",
    "execute": "instance.execute",
    "instantiate": "instance.PywasmInstance",
    "load": "module.load",
    "stack_profiler": "profiler.StackProfiler",
    "symbolizer": "instance.symbolizer",
}
"""What is loaded when it is first used."""

NAME: str = "pywasm"
CACHE_LIMIT: int = 0
WHEN_RUN: tuple[str, ...] = tuple(f"{__name__}.{name}" for name in ("instance", "machine", "module"))
WHEN_ASKED: tuple[str, ...] = (f"{__name__}.profiler",)
LACKS: dict[str, str] = {
    "isolation": "a module of it is not passed to another process. Take the default engine",
}
_NO_CODE: Final = "the engine pywasm compiles nothing: take the default engine"
_HAS: Final = {"bulk-memory", "multi-value", "reference-types", "simd"}


def load_library() -> None:
    """Check that the interpreter is there, and can work. ConfigError if not."""
    if not __debug__:
        raise ConfigError("the engine pywasm checks by assert statements: run Python without -O and PYTHONOPTIMIZE")
    try:
        import pywasm.core
    except ImportError:
        raise ConfigError("the engine pywasm is not installed: pip install wasihost[pywasm]") from None
    if not hasattr(pywasm.core, "Machine"):
        raise ConfigError("the engine pywasm is of another version: pip install -U wasihost[pywasm]")


def start_engines() -> None:
    """There is nothing to be started."""


def stop_threads() -> None:
    """There are none."""


def interrupt() -> None:
    """Every guest looks at its scope about each millisecond."""


def deadline_changed() -> None:
    """The same."""


def compile_mode(interruptible: bool, fuel: bool, stack: int | None, features: str) -> CompileMode:
    """The one mode that there is."""
    from wasihost.config.limits import STACK
    from wasihost.engines.pywasm.machine import CALLS
    from wasihost.engines.pywasm.module import MODE

    if stack not in (None, STACK):
        raise ConfigError(
            f"the engine pywasm has no stack of bytes, so max_stack cannot limit it: a guest may have {CALLS} calls, "
            "one within another"
        )
    return MODE


def signals_may_interrupt() -> bool:
    """It is Python that runs, so Python runs its signal handlers."""
    return True


def canonical_features(choice: FeatureChoice) -> str:
    """An empty text: nothing can be switched. ConfigError for a choice of anything else than what there is."""
    from wasihost.config.features import chosen, switched

    for name, on in switched(chosen(choice)):
        if on != (name in _HAS):
            raise ConfigError(f"the engine pywasm cannot switch the feature {name!r} {'on' if on else 'off'}")
    return ""


def cache_entries() -> list[tuple[str, int]]:
    """None: nothing is kept on disk."""
    return []


def clear_cache() -> tuple[int, int]:
    """Nothing is kept on disk."""
    return 0, 0


def library_path() -> str:
    """ConfigError: there is no library."""
    raise ConfigError(_NO_CODE)


def code_kind() -> str:
    """There is no compiled code."""
    return NAME


def precompile(
    code: bytes, label: str, mode: CompileMode, *, on_compile: OnCompile | None = None
) -> tuple[bytes, bytes]:
    """ConfigError: there is no compiled code."""
    raise ConfigError(_NO_CODE)


def load_code(path: str, module: str, mode: CompileMode, label: str) -> CompiledModule:
    """ConfigError: there is no compiled code."""
    raise ConfigError(_NO_CODE)


def fill_cache(
    code: bytes, label: str, mode: CompileMode, *, again: bool, on_compile: OnCompile | None = None
) -> tuple[str, int, bool]:
    """ConfigError: there is no compiled code."""
    raise ConfigError(_NO_CODE)


def to_artifact(module: Any) -> tuple[Any, int]:
    """ConfigError: there is no compiled form."""
    raise ConfigError(_NO_CODE)


def from_artifact(artifact: Any, fd: int) -> Any:
    """ConfigError: there is no compiled form."""
    raise ConfigError(_NO_CODE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(".")
    __import__(f"{__name__}.{module}")
    found = globals()[name] = getattr(sys.modules[f"{__name__}.{module}"], attribute)
    return found
