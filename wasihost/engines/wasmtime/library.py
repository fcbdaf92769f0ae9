"""Finds and loads the C library that the wasmtime wheel carries, without importing `wasmtime`.

That import declares thousands of functions and is most of a cold start; the library itself loads in a millisecond. If
the process has imported wasmtime too, the loader returns the same library, so both share its global state.
"""

from __future__ import annotations

import ctypes
import os
import sys

from wasihost.common.forking import in_forked_child
from wasihost.common.unpatched import threading
from wasihost.errors import ConfigError, raise_if_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

OLDEST = 25
_INSTALL = "run: pip install 'wasmtime>=25'"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_FILES = {
    "linux": "_libwasmtime.so",
    "android": "_libwasmtime.so",
    "darwin": "_libwasmtime.dylib",
}


class Library:
    """The loaded library.

    `version` is the wheel's, "" if it is not known; `identity` changes when another library is installed. Functions of
    `without_gil` release the GIL during the call (compile, instantiate, run); those of `with_gil` keep it, for calls
    that take less than a microsecond and never call back.
    """

    def __init__(self, path: str, version: str) -> None:
        about = os.stat(path)
        self.path = path
        self.version = version
        self.identity: str = f"wasmtime {version} {about.st_size} {about.st_mtime_ns}"
        self.without_gil: ctypes.CDLL = ctypes.CDLL(path)
        self.with_gil: ctypes.PyDLL = ctypes.PyDLL(path)


def machine() -> str:
    """Return the kind of processor, by the name that folders of libraries have."""
    name = os.uname().machine
    return _MACHINES.get(name, name)


def _version(folder: str) -> str:
    """Return the wheel's version, from the name of the metadata folder beside the package.

    Reading the metadata takes ten times as long, so it is done only if there are several such folders or none.
    """
    site, package = os.path.split(folder)
    try:
        names = os.listdir(site)
    except OSError as error:
        raise_if_from_handler(error)
        names = []
    found = [name for name in names if name.startswith(f"{package}-") and name.endswith(".dist-info")]
    if len(found) > 1:  # one may be left over from an earlier version
        found = [name for name in found if os.path.isfile(os.path.join(site, name, "METADATA"))]
    if len(found) == 1:
        return found[0][len(package) + 1 : -len(".dist-info")]
    import importlib.metadata

    try:
        return importlib.metadata.version(package) or ""  # None for a folder without metadata (3.14)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _spec(name: str) -> ModuleSpec | None:
    """As `importlib.util.find_spec`, whose module takes longer to import than this takes."""
    if name in sys.modules:
        return sys.modules[name].__spec__
    return next((spec for one in sys.meta_path if (spec := one.find_spec(name, None)) is not None), None)


def find() -> tuple[str, str]:
    """Return path of the library and version of the wheel. ConfigError if it is missing or too old."""
    spec = _spec("wasmtime")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the engine 'wasmtime' is not installed; {_INSTALL}")
    folder = spec.submodule_search_locations[0]
    version = _version(folder)
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST:
        raise ConfigError(f"wasmtime {version} is too old, wasihost needs {OLDEST} or newer; {_INSTALL}")
    system = "android" if hasattr(sys, "getandroidapilevel") else sys.platform
    path = os.path.join(folder, f"{system}-{machine()}", _FILES.get(system, "_libwasmtime.so"))
    if not os.path.isfile(path):
        raise ConfigError(f"wasmtime {version} in {folder} has no library for {system} on {machine()}; {_INSTALL}")
    return path, version


def _refuse_subinterpreter() -> None:
    """Raise ConfigError in a subinterpreter: ctypes callbacks would run in the main one, or the thread's last one."""
    python = ctypes.pythonapi
    python.PyInterpreterState_Get.restype = ctypes.c_void_p
    python.PyInterpreterState_GetID.argtypes = (ctypes.c_void_p,)
    python.PyInterpreterState_GetID.restype = ctypes.c_int64
    if python.PyInterpreterState_GetID(python.PyInterpreterState_Get()):
        raise ConfigError(
            "guests do not run in a subinterpreter: use threads, where they run at the same time as it is, or processes"
            " (mod_wsgi: WSGIApplicationGroup %{GLOBAL})"
        )


_lock = threading.Lock()
_loaded: list[Library] = []


@in_forked_child
def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


def load() -> Library:
    """Return the library. It is loaded at the first call, and stays loaded."""
    if _loaded:
        return _loaded[0]
    with _lock:
        if not _loaded:
            _refuse_subinterpreter()
            path, version = find()
            try:
                _loaded.append(Library(path, version))
            except OSError as error:
                raise ConfigError(f"the library of wasmtime {version} does not load: {error}") from error
    return _loaded[0]
