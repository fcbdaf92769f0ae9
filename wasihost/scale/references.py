"""A module as tasks carry it: by the digest of its source, with a path where that is a file.

Rules of this file: a process makes one Module of a reference, and keeps it for later tasks. A file is used only if its
content has the digest. Compiled code is shared by all processes of a machine through the cache on disk.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from typing import Final, NamedTuple

from wasihost.common.forking import Locked
from wasihost.common.names import shown
from wasihost.errors import ModuleError
from wasihost.guest.module import Module, ModuleSource, Recipe, name_of

_KEPT: Final = 64
"""How many modules a process keeps for tasks. The one that was used longest ago is dropped first."""


class ModuleMissing(ModuleError):
    """A process has no copy of a module that a task names by its digest."""


class ModuleReference(NamedTuple):
    """A module without its bytes. `path` is where its file is on the machine that made the reference, if it is one."""

    digest: str
    path: str | None
    recipe: Recipe  # without its source

    @classmethod
    def of(cls, module: Module) -> ModuleReference:
        """The reference to a module; this process keeps the module for it. OSError if its file cannot be read."""
        recipe = module.recipe
        source = recipe.source
        if isinstance(source, bytes):
            digest, path = hashlib.sha256(source).hexdigest(), None
        else:
            path = os.path.abspath(os.fspath(source))
            digest = digest_of(path)
        made = cls(digest, path, recipe._replace(source=b""))
        with _kept.lock:
            _kept.add(made, module)
        return made

    def resolve(self, content: bytes | None = None) -> Module:
        """The module in this process, compiled. `content` is its source, where a task brings it along.

        Raises:
            ModuleMissing: Neither this process nor its machine has the module, and `content` is None.
            ModuleError: `content` is another module's.
        """
        with _kept.lock:
            found = _kept.modules.get(self)
            if found is not None:
                _kept.modules.move_to_end(self)
                return found
            source: str | bytes | None = content
            if source is None and self.path is not None and _has(self.path, self.digest):
                source = self.path
            if source is None:
                raise ModuleMissing(
                    f"{shown(self.recipe.name)} (sha256 {self.digest[:12]}...) is not on this machine"
                    + (f": there is no such file at {self.path}" if self.path else "")
                    + "; on a Dask cluster, wasihost.publish(client, module) sends it to all workers"
                )
            if content is not None and hashlib.sha256(content).hexdigest() != self.digest:
                raise ModuleError(f"{shown(self.recipe.name)}: what came as its content has another digest")
            made = self.recipe._replace(source=source).module(interruptible=True)
            _kept.add(self, made)
            return made


class _Kept(Locked):
    """The modules of this process by their references."""

    __slots__ = ("modules",)

    def __init__(self) -> None:
        super().__init__()
        self.modules: OrderedDict[ModuleReference, Module] = OrderedDict()

    def add(self, reference: ModuleReference, module: Module) -> None:
        self.modules[reference] = module
        while len(self.modules) > _KEPT:
            self.modules.popitem(last=False)


_kept = _Kept()


def digest_of(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has(path: str, digest: str) -> bool:
    try:
        return digest_of(path) == digest
    except OSError:
        return False


def shared_module(source: ModuleSource, options: dict[str, object]) -> Module:
    """The module that many runs of one call use, compiled so that each of them can be ended."""
    if isinstance(source, Module):
        source.compiled(interruptible=True)
        return source
    made = Module(
        source,
        cache=bool(options.get("cache", True)),
        interruptible=True,
        on_compile=options.get("on_compile"),  # type: ignore[arg-type]  # options are checked with the first run
        compile_timeout=options.get("compile_timeout"),  # type: ignore[arg-type]
        compile_memory=options.get("compile_memory"),  # type: ignore[arg-type]
        features=options.get("features"),  # type: ignore[arg-type]
        engine=options.get("engine"),  # type: ignore[arg-type]
    )
    made.name = name_of(source)
    return made
