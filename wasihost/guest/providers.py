"""A State with the user's own imports beside it: who provides which function of a module.

Rules of this file: what the user gives comes first, then what the State has; stubs stand for what is left.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wasihost.common.names import shown
from wasihost.errors import ConfigError
from wasihost.imports import Bound, Caller, ImportsOption, Provider, Stubs

if TYPE_CHECKING:
    from wasi_preview1.guest import Guest

    from wasihost.engines.base import Imports as Provided
    from wasihost.engines.values import Item
    from wasihost.host.state import State
    from wasihost.native import _native


class StateWithImports:
    """A `HostState` for one instance of a module, which wants the imports `wanted`."""

    def __init__(self, state: State, imports: ImportsOption, wanted: Sequence[Item], caller: Caller) -> None:
        self.guest: Guest = state.guest
        self.state = state
        every = _every(imports, caller)
        self.offered: dict[str, list[str]] = _offered(every)
        self._faults = tuple(dict.fromkeys(fault for one in every for fault in getattr(one, "faults", ())))
        provided = state.imports()
        own = _bind_all(every, wanted, caller, provided)
        joined = {module: {**provided.get(module, {}), **functions} for module, functions in own.items()}
        self._imports = ChainMap(joined, provided)  # type: ignore[arg-type]  # nothing is ever put into the second

    @property
    def faults(self) -> tuple[type[BaseException], ...]:
        """See `HostState`."""
        return self.state.faults + self._faults

    @property
    def plain(self) -> _native.PlainCalls | None:
        """See `State`. What the user gives is no stub of the State, so it is called."""
        return self.state.plain

    def imports(self) -> Provided:
        """See `HostState`."""
        return self._imports


def _every(imports: ImportsOption, caller: Caller) -> list[Provider]:
    """The providers, those of a generated package for each of its import modules. ConfigError for two of one module."""
    every: list[Provider] = []
    served: set[str] = set()
    for one in imports if isinstance(imports, Sequence) else [imports]:
        if not hasattr(one, "providers"):
            if not hasattr(one, "module"):
                raise ConfigError(
                    f"imports takes Imports(), bind(), Instance.as_imports() or a list of these, not {shown(repr(one))}"
                )
            every.append(one)
            continue
        for provider in one.providers(caller):
            if provider.module in served:
                raise ConfigError(f"imports has two bindings for the import module {shown(provider.module)}: pass one")
            served.add(provider.module)
            every.append(provider)
    return every


def _bind_all(
    every: Sequence[Provider], wanted: Sequence[Item], caller: Caller, provided: Provided
) -> dict[str, Bound]:
    """What all of them provide, by module; stubs stand for what is not even in `provided`."""
    bound: dict[str, Bound] = {}
    for one in sorted(every, key=lambda one: isinstance(one, Stubs)):
        mine = [item for item in wanted if item.module == one.module]
        if isinstance(one, Stubs):
            mine = [
                item for item in mine if item.name not in {**bound.get(one.module, {}), **_of(provided, one.module)}
            ]
        found = one.bind(mine, caller)
        if caller.around is not None and not hasattr(one, "faults"):  # those of a generated package have hooks
            found = {name: (kind, caller.around(one.module, name, stub)) for name, (kind, stub) in found.items()}
        bound.setdefault(one.module, {}).update(found)
    return bound


def _offered(every: Sequence[Provider]) -> dict[str, list[str]]:
    """Module -> names of the functions that they have, whether a module wants them or not."""
    offered: dict[str, list[str]] = {}
    for one in every:
        offered.setdefault(one.module, []).extend(getattr(one, "names", ()))
    return offered


def _of(provided: Provided, module: str) -> Mapping[str, object]:
    try:
        return provided[module]  # a mapping may make it on first use
    except KeyError:
        return {}
