"""One run of a command, from instance to end."""

from __future__ import annotations

from wasihost.engines.values import NO_LIMITS, EngineLimits
from wasihost.engines.wasmtime.memory import EMPTY
from wasihost.engines.wasmtime.module import WasmtimeModule
from wasihost.engines.wasmtime.stack import require_stack
from wasihost.native import extension

TYPE_CHECKING = False
if TYPE_CHECKING or extension is None:
    from wasihost.engines.wasmtime.python_instance import PythonInstance as Instance
else:
    from wasihost.engines.wasmtime.native_instance import NativeInstance as Instance

if TYPE_CHECKING:
    from wasihost.engines.base import CancelCheck, HostState

instantiate: type[Instance] = Instance


def execute(
    module: WasmtimeModule,
    state: HostState,
    start: str = "_start",
    *,
    scope: CancelCheck | None = None,
    limits: EngineLimits = NO_LIMITS,
    label: str = "guest",
) -> None:
    """Make an instance of the module with the imports of `state` and call its export `start`, a `() -> ()`.

    Returns when the guest does; raises what an instance and its `call` raise. One run of a State at a time
    (RuntimeError otherwise); any number of States at once.
    """
    require_stack(16)
    instance = instantiate(module, state, start, scope=scope, limits=limits, label=label)
    guest = state.guest
    try:
        instance.open()
        if start in module.exports:  # else the module has a start section, which has run
            instance.call(start)
    finally:
        if guest.memory is instance.memory:
            guest.view, guest.memory = EMPTY, instance.before
        instance.close()
