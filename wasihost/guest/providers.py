"""A State with the user's own imports beside it: who provides which function of a module.

Rules of this file: what the user gives comes first, then what the State has; stubs stand for what is left.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wasihost.imports import Bound, Caller, Imports, Provider, Stubs

if TYPE_CHECKING:
    from wasi_preview1.guest import Guest

    from wasihost.engines.base import Imports as Provided
    from wasihost.engines.values import Item
    from wasihost.host.state import State
    from wasihost.native import _native


class StateWithImports:
    """A `HostState` for one instance of a module, which wants the imports `wanted`."""

    def __init__(
        self, state: State, imports: Provider | Sequence[Provider], wanted: Sequence[Item], caller: Caller
    ) -> None:
        self.guest: Guest = state.guest
        self.state = state
        self.offered: dict[str, list[str]] = _offered(imports)
        provided = state.imports()
        own = _bind_all(imports, wanted, caller, provided)
        joined = {module: {**provided.get(module, {}), **functions} for module, functions in own.items()}
        self._imports = ChainMap(joined, provided)  # type: ignore[arg-type]  # nothing is ever put into the second

    @property
    def faults(self) -> tuple[type[BaseException], ...]:
        """See `HostState`."""
        return self.state.faults

    @property
    def plain(self) -> _native.PlainCalls | None:
        """See `State`. What the user gives is no stub of the State, so it is called."""
        return self.state.plain

    def imports(self) -> Provided:
        """See `HostState`."""
        return self._imports


def _bind_all(
    imports: Provider | Sequence[Provider], wanted: Sequence[Item], caller: Caller, provided: Provided
) -> dict[str, Bound]:
    """What all of them provide, by module; stubs stand for what is not even in `provided`."""
    bound: dict[str, Bound] = {}
    every = imports if isinstance(imports, Sequence) else [imports]
    for one in sorted(every, key=lambda one: isinstance(one, Stubs)):
        mine = [item for item in wanted if item.module == one.module]
        if isinstance(one, Stubs):
            mine = [
                item for item in mine if item.name not in {**bound.get(one.module, {}), **_of(provided, one.module)}
            ]
        bound.setdefault(one.module, {}).update(one.bind(mine, caller))
    return bound


def _offered(imports: Provider | Sequence[Provider]) -> dict[str, list[str]]:
    """Module -> names of the functions that they have, whether a module wants them or not."""
    offered: dict[str, list[str]] = {}
    for one in imports if isinstance(imports, Sequence) else [imports]:
        offered.setdefault(one.module, []).extend(one.names if isinstance(one, Imports) else ())
    return offered


def _of(provided: Provided, module: str) -> Mapping[str, object]:
    try:
        return provided[module]  # a mapping may make it on first use
    except KeyError:
        return {}
