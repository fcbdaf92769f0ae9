"""A compiled module as a file without a name, passed to a process that may not write to the cache.

Rules of this file: the file is sealed, so that its receiver can only read it. It is made once per module that runs in
such a process, and lives as long as the module.
"""

import ctypes
import mmap
import os
import weakref
from typing import NamedTuple

from wasihost.engines.values import CompileMode
from wasihost.engines.wasmtime.engine import engine
from wasihost.engines.wasmtime.ffi import Vec, c, take_error
from wasihost.engines.wasmtime.module import WasmtimeModule
from wasihost.engines.wasmtime.outline import Outline
from wasihost.errors import ModuleError


class Artifact(NamedTuple):
    """What is sent with the file: how the module is compiled, and what was read from its bytes."""

    mode: CompileMode
    outline: Outline


_Identity = tuple[int, int]
_files: weakref.WeakKeyDictionary[WasmtimeModule, tuple[int, _Identity]] = weakref.WeakKeyDictionary()


def to_artifact(module: WasmtimeModule) -> tuple[Artifact, int]:
    """Return what the other process needs, and the fd of the file. The fd belongs to the module: do not close it."""
    fd, identity = _files.get(module, (-1, (0, 0)))
    if fd < 0 or _identity(fd) != identity:  # a daemon closes all descriptors: the number may be another file's
        fd = _made(module)
        _files[module] = fd, _identity(fd)
        weakref.finalize(module, _close, fd, _identity(fd)).atexit = False
    return Artifact(module.engine.mode, module.outline), fd


def _identity(fd: int) -> _Identity:
    """Return device and inode of the file that is open as this fd."""
    try:
        found = os.fstat(fd)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _close(fd: int, identity: _Identity) -> None:
    if _identity(fd) == identity:
        os.close(fd)


def _made(module: WasmtimeModule) -> int:
    artifact = Vec()
    if error := c.wasmtime_module_serialize(module.ptr, ctypes.byref(artifact)):
        raise ModuleError(take_error(error))
    try:
        assert artifact.data
        return _sealed(memoryview((ctypes.c_ubyte * artifact.size).from_address(artifact.data)).cast("B"))
    finally:
        c.wasm_byte_vec_delete(ctypes.byref(artifact))


def _sealed(content: memoryview) -> int:
    """Return the fd of a file with this content, which cannot be changed."""
    if hasattr(os, "memfd_create"):
        import fcntl

        fd = os.memfd_create("wasihost module", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(content)
            fcntl.fcntl(
                fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
            )
        except BaseException:
            os.close(fd)
            raise
        return fd
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return os.open(file.name, os.O_RDONLY | os.O_CLOEXEC)


def from_artifact(artifact: Artifact, fd: int) -> WasmtimeModule:
    """Load the module in the other process. ModuleError if that process has another engine."""
    owner, ptr = engine(artifact.mode), ctypes.c_void_p()
    error = c.wasmtime_module_deserialize_file(owner.ptr, f"/dev/fd/{fd}".encode(), ctypes.byref(ptr))
    if error:  # for example, /proc is not mounted
        take_error(error)
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
            error = c.wasmtime_module_deserialize(owner.ptr, content[:], len(content), ctypes.byref(ptr))
    if error:
        raise ModuleError(take_error(error))
    assert ptr.value
    return WasmtimeModule(owner, ptr.value, artifact.outline)
