"""One file with the bytecode of the modules that runs import: to find and read it one by one is a sixth of a start.

The file lies where Python keeps bytecode of its own, in `__pycache__`, and serves as that does: a module is taken from
it if its source has the size and the time of its last change that were noted. A run that needed other modules writes
the file again, with them.

Rules of this file: it is for the command alone, so an embedder's imports are as always. Only modules within packages of
ours are kept, and each is what the usual import would find. Nothing here fails: what cannot be kept is imported as
usual.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
import time
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import TypeAlias

    Kept: TypeAlias = dict[str, tuple[str, int, int, CodeType]]
    """By name of the module: the last part of its path, time of change and size of the source, and bytecode."""

_SETTLE_NS = 2_000_000_000
"""A source that was changed later than this ago may be changed again within one tick of its clock."""
_PACKAGES = ("wasihost.", "wasi_preview1.", "wasi_preview0.")


class _Loader(SourceFileLoader):
    """Loads a module with the bytecode of the file; the rest is as usual."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        self.name, self.path, self._code = name, path, code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder:
    """Finds the modules of the file; the usual finders come after it."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.before = {*sys.modules}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, if it is in the file and its source has not changed."""
        found = self.kept.get(name)
        if found is None or not path:
            return None
        last, changed, size, code = found
        source = f"{path[0]}/{last}"
        try:
            about = os.stat(source)
        except OSError:
            return None
        if (about.st_mtime_ns, about.st_size) != (changed, size):
            return None
        spec = ModuleSpec(name, _Loader(name, source, code), origin=source)
        spec.has_location = True
        if last.endswith("/__init__.py"):
            spec.submodule_search_locations = [source.removesuffix("/__init__.py")]
        return spec


_finder: _Finder | None = None


def use() -> None:
    """Take modules from the file, if there is one.

    It is mapped, as its bytes are needed once: to read them would take a tenth of the start's memory. `keep` replaces
    the file and never changes it in place, so the map stays valid.
    """
    global _finder
    path, kept = _path(), {}
    if path is not None:
        try:
            with (
                open(path, "rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
                memoryview(content) as view,
                view[: len(MAGIC_NUMBER)] as magic,
                view[len(MAGIC_NUMBER) :] as rest,
            ):
                if magic == MAGIC_NUMBER and isinstance(found := marshal.loads(rest), dict):
                    kept = found
        except (OSError, EOFError, ValueError, TypeError):
            pass
    _finder = _Finder(kept)
    sys.meta_path.insert(0, _finder)


def keep() -> None:
    """Write the file again, if a plain run imported modules that are not in it as they are."""
    path = _path()
    if path is None or _finder is None or sys.dont_write_bytecode or "wasihost.cli.fast_path" not in sys.modules:
        return
    new = {}
    for name in sys.modules.keys() - _finder.before:
        if name.startswith(_PACKAGES) and (entry := _entry(name, sys.modules[name])):
            new[name] = entry
    if not new:
        return
    scratch = f"{path}.{os.getpid()}"
    try:
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(MAGIC_NUMBER + marshal.dumps(_finder.kept | new))
        os.replace(scratch, path)
    except OSError:
        try:
            os.unlink(scratch)
        except OSError:
            pass


def _path() -> str | None:
    """The path of the file, for this version of Python and its level of optimization."""
    spec = __spec__
    return f"{spec.cached.removesuffix('.pyc')}.kept" if spec is not None and spec.cached else None


def _entry(name: str, module: ModuleType) -> tuple[str, int, int, CodeType] | None:
    """What is kept of a module; None if it came from the file, or its source is not there or has just been changed."""
    spec = module.__spec__
    if spec is None or not spec.origin or type(spec.loader) is not SourceFileLoader:
        return None
    try:
        code, about = spec.loader.get_code(name), os.stat(spec.origin)
    except (OSError, ImportError, SyntaxError):
        return None
    if code is None or time.time_ns() - about.st_mtime_ns < _SETTLE_NS:
        return None
    parts = 2 if spec.submodule_search_locations is not None else 1
    return "/".join(spec.origin.split("/")[-parts:]), about.st_mtime_ns, about.st_size, code
