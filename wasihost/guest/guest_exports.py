"""One guest's exports as another guest's imports: the two exchange numbers only.

Each guest has its own memory, descriptors, streams and limits, so a pointer is of no use to the other. When the called
guest ends (a trap, `proc_exit`, an exception of a handler), the calling guest ends too, and its run raises the reason.
When the calling guest has to end, the called one ends as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wasi_preview1.signatures import Signature

from wasihost.errors import ConfigError, LinkError
from wasihost.imports import Bound, Caller, import_module_name

if TYPE_CHECKING:
    from wasi_preview1.guest import Stub

    from wasihost.engines.base import EngineInstance
    from wasihost.engines.values import Item
    from wasihost.waiting.cancel_scope import CancelScope

_SLOTS = {"i32": "i", "i64": "q", "f32": "f", "f64": "d"}


class GuestExports:
    """The functions that a guest exports, under the name of an import module. `Instance.as_imports` makes it."""

    def __init__(self, module: str, engine: EngineInstance, scope: CancelScope) -> None:
        self.module: str = import_module_name(module)
        self._engine = engine
        self._scope = scope

    def bind(self, wanted: Iterable[Item], caller: Caller) -> Bound:
        """Return the functions that `caller` imports. LinkError if one is not exported, or has another type."""
        return {item.name: self._one(item, caller.scope) for item in wanted if item.kind == "func"}

    def _one(self, item: Item, above: CancelScope) -> tuple[Signature, Stub]:
        exports = self._engine.module.exports
        found = exports.get(item.name)
        if found is None or found.kind != "func":
            names = sorted(one.name for one in exports.values() if one.kind == "func")
            raise LinkError(
                f"import {item.module}.{item.name}: the guest that stands for {item.module} exports no such function, "
                f"but {', '.join(names) or 'none at all'}"
            )
        if (found.params, found.results) != (item.params, item.results):
            raise LinkError(
                f"import {item.module}.{item.name}: the module has {_type(item)}, the guest that stands for "
                f"{item.module} has {_type(found)}"
            )
        function = self._engine.function(item.name)  # LinkError for types that are not numbers
        slots, results = ("".join(_SLOTS[one] for one in types) for types in (item.params, item.results))
        return Signature(item.params, item.results, slots, results), self._stub(function, above)

    def _stub(self, function: Callable[..., Any], above: CancelScope) -> Stub:
        engine, scope, module = self._engine, self._scope, self.module

        def stub(*numbers: int | float) -> Any:
            if above.expires is not None and not engine.interruptible:
                raise ConfigError(
                    f"the guest that stands for {module} cannot be ended in time: instantiate it with a timeout, too"
                )
            with engine.exclusive():  # its deadline is that of its present caller
                before = above.cover(scope)
                try:
                    return function(*numbers)
                finally:
                    above.uncover(scope, before)

        return stub


def _type(item: Item) -> str:
    return f"({', '.join(item.params)}) -> ({', '.join(item.results)})"
