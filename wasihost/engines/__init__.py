"""Engines, one package each, and their contract; nothing else in the host knows an engine.

base        the contract: what an engine asks of a State, what the host asks of an engine
values      what goes in and out
allocator   which exports are a guest's own allocator
checks      whether a module and a host fit
link_errors what to say of a module that does not
slots       how numbers are passed to and from functions
exclusive   one thread at a time in an instance
wasmtime    the engine in the wasmtime wheel
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wasihost.engines.base import Engine


_engine: "Engine | None" = None


def default_engine() -> "Engine":
    """The engine that runs guests. Imported when a guest needs it."""
    global _engine
    if _engine is None:
        from wasihost.engines import wasmtime

        _engine = wasmtime
    return _engine
