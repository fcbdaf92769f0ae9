"""A precompiled module as a `Module`, for everything that takes one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wasihost.config.limits import STACK, Limits
from wasihost.engines import default_engine
from wasihost.guest.module import Module
from wasihost.packaging.precompiled import load, read

if TYPE_CHECKING:
    from wasihost.engines.base import CompiledModule
    from wasihost.engines.values import OnCompile


class PrecompiledModule(Module):
    """A module whose compiled code is taken from a folder. Nothing is compiled; runs that this code does not serve are
    a ModuleError. It pickles as the path of the folder. `map` and `function` take the module itself to other processes,
    which compile it through the cache: there, no caller has said that the folder may be trusted."""

    name: str

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._found = read(os.path.abspath(folder))
        self._take(self._found.module, True, None, None)
        self.name = self._found.name
        self._features = self._found.features
        self.compiled()

    def compiled(
        self,
        *,
        interruptible: bool = False,
        fuel: bool = False,
        stack: int | None = STACK,
        on_compile: OnCompile | None = None,
        limits: Limits | None = None,
        features: str | None = None,
    ) -> CompiledModule:
        """The engine's module for this way of running."""
        if features is None:
            features = self._features
        mode = default_engine().compile_mode(interruptible, fuel, stack, features)
        with self._lock:
            found = self._compiled.get(mode)
            if found is None:
                found = self._compiled[mode] = load(self._found, mode)
            return found

    def __reduce__(self) -> tuple[object, ...]:
        return load_precompiled, (self._found.folder,)


def load_precompiled(folder: str | os.PathLike[str]) -> Module:
    """Load a module that `wasihost compile -o` or `precompile` has compiled; nothing is compiled then.

    Its code is machine code, which runs outside the sandbox if it is not what a compiler made: `folder` has to come
    from someone whose programs you would run.

    Args:
        folder: The path of the folder `NAME.precompiled`.

    Raises:
        ModuleError: It is not such a folder; it is for another engine, machine or processor; it is damaged; or another
            user or a guest may have written it.
    """
    return PrecompiledModule(folder)
