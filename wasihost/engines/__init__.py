"""Engines, one package each, and their contract; nothing else in the host knows an engine.

base        the contract: what an engine asks of a State, what the host asks of an engine
values      what goes in and out
allocator   which exports are a guest's own allocator
checks      whether a module and a host fit
link_errors what to say of a module that does not
slots       how numbers are passed to and from functions
limits      how memory limits are counted
exclusive   one thread at a time in an instance
wasmtime    the engine in the wasmtime wheel
pywasm      the interpreter in the pywasm package
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wasihost.engines import pywasm
    from wasihost.engines.base import Engine

    _complete: Engine = pywasm  # mypy proves that it has everything: `engine` finds it by its name


_engine: "Engine | None" = None


def names() -> tuple[str, ...]:
    """The names of all engines, the default one first."""
    return ("wasmtime", "pywasm")


def engine(name: str | None) -> "Engine":
    """The engine of this name; None for the default one.

    Raises:
        ConfigError: There is none, or the package that it needs is not installed.
    """
    if name is None or name == "wasmtime":
        return default_engine()
    from wasihost.errors import ConfigError

    if name not in names():
        raise ConfigError(f"there is no engine {name!r:.60}: there are {' and '.join(names())}")
    import importlib

    found: Any = importlib.import_module(f"{__name__}.{name}")
    found.load_library()
    checked: Engine = found
    return checked


def default_engine() -> "Engine":
    """The engine that runs guests. Imported when a guest needs it."""
    global _engine
    if _engine is None:
        from wasihost.engines import wasmtime

        _engine = wasmtime
    return _engine
