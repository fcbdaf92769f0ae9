"""Compiled modules on disk.

An entry is the engine's artifact followed by a trailer (a mark, the entry's key, and a CRC-32 of what is before it), in
one file named by a key of content, engine and settings. The engine maps an entry and runs it as machine code, so:

- only this user may write to the folder (`common.cache_folder`);
- an entry is a file that a guest can neither make nor change, even if the folder is inside one of its mounts: its mode
  has execute bits, which no WASI call can set, and no write bits. It has one name only, and contains that name;
- the whole entry is checked before the engine sees it (about 4 ms for 25 MB): against damage, not against an attacker;
- an entry is written under another name, then renamed, and never changed in place: a running guest has it mapped.

No function here raises because the cache fails: what cannot be read is compiled, what cannot be written is not kept.
"""

from __future__ import annotations

import ctypes
import os
import struct
import zlib

from wasihost.common import auditing
from wasihost.common.cache_folder import is_tagged, kind_of, private_folder, sealed, write
from wasihost.engines.wasmtime.engine import WasmtimeEngine
from wasihost.engines.wasmtime.ffi import Vec, c, take_error
from wasihost.errors import raise_if_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader

LIMIT = 1 << 30  # bytes, of all entries together; the least recently used go first
_TRAILER = struct.Struct("<12s32sI")
_MARK = b"wasihost-2\0\0"
SUFFIX = ".cwasm"
# Seconds after which a half-written file of another process counts as abandoned, and a note of `file_keys` as unused.
_LIVES = {"scratch": 3600, "lock": 24 * 3600, "note": 30 * 24 * 3600}


def key(content: bytes | BufferedReader, identity: str) -> str:
    """Return the name of the entry for this content and engine. A file is read to its end, in pieces."""
    import hashlib  # loads OpenSSL

    digest = hashlib.sha256(content) if isinstance(content, bytes) else hashlib.file_digest(content, "sha256")
    digest.update(identity.encode())
    return digest.hexdigest()


def _whole(file: BufferedReader, name: str) -> bool:
    """Return whether we wrote the file, under this name, and it is unchanged."""
    import mmap

    about = os.fstat(file.fileno())
    size = about.st_size - _TRAILER.size
    if size <= 0 or not sealed(about):
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        mark, written_for, checksum = _TRAILER.unpack_from(content, size)
        with memoryview(content) as view, view[:size] as artifact:
            return mark == _MARK and written_for.hex() == name and bool(zlib.crc32(artifact) == checksum)


def fetch(name: str, owner: WasmtimeEngine) -> int | None:
    """Return the module of the entry, or None. An entry that cannot be used is deleted."""
    try:
        place = private_folder(make=False)
        if place is None:
            return None
        path = os.path.join(place, name + SUFFIX)
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if _whole(file, name):
                auditing.cached("load", path)
                os.utime(path, follow_symlinks=False)
                ptr = ctypes.c_void_p()
                error = c.wasmtime_module_deserialize_file(owner.ptr, os.fsencode(path), ctypes.byref(ptr))
                if not error:
                    return ptr.value
                take_error(error)  # made for a processor with other features
        os.unlink(path)
    except (OSError, ValueError) as error:
        raise_if_from_handler(error)
    return None


def store(name: str, module: int) -> None:
    """Keep a compiled module, then bring the folder back under its limit."""
    artifact = Vec()
    if error := c.wasmtime_module_serialize(module, ctypes.byref(artifact)):
        take_error(error)
        return
    try:
        place = private_folder(make=True)
        if place is not None and artifact.data and artifact.size < LIMIT:
            content = memoryview((ctypes.c_ubyte * artifact.size).from_address(artifact.data)).cast("B")
            trailer = _TRAILER.pack(_MARK, bytes.fromhex(name), zlib.crc32(content))
            write(os.path.join(place, name + SUFFIX), content, trailer)
            auditing.cached("store", os.path.join(place, name + SUFFIX))
            _trim(place, keep=name + SUFFIX)
    except (OSError, ValueError) as error:
        raise_if_from_handler(error)
    finally:
        c.wasm_byte_vec_delete(ctypes.byref(artifact))


def _trim(place: str, keep: str) -> None:
    """Delete the least recently used entries above the limit, and files that crashed writers left."""
    import time

    modules: list[tuple[float, int, str]] = []
    now = time.time()
    for path, kind, about in listing(place):
        if kind == "module":
            modules.append((about.st_mtime, about.st_size, path))
        elif about.st_mtime < now - _LIVES[kind]:
            _removed(path)
    total = sum(size for _, size, _ in modules)
    for _, size, path in sorted(modules):
        if total <= LIMIT:
            break
        if os.path.basename(path) != keep and _removed(path):
            total -= size


def listing(place: str | None = None) -> list[tuple[str, str, os.stat_result]]:
    """Return path, kind and status of each file in the folder that is ours by its name; links are left out."""
    found: list[tuple[str, str, os.stat_result]] = []
    try:
        place = place or private_folder(make=False)
        if place is None or not is_tagged(place):
            return found
        with os.scandir(place) as entries:
            for entry in entries:
                try:
                    if (kind := kind_of(entry.name)) and entry.is_file(follow_symlinks=False):
                        found.append((entry.path, kind, entry.stat(follow_symlinks=False)))
                except OSError as error:  # removed meanwhile
                    raise_if_from_handler(error)
    except OSError as error:
        raise_if_from_handler(error)
    return found


def entries() -> list[tuple[str, int]]:
    """Return path and size in bytes of each compiled module."""
    return [(path, about.st_size) for path, kind, about in listing() if kind == "module"]


def clear() -> tuple[int, int]:
    """Remove all compiled modules and notes on files. Return how many modules there were, and their bytes."""
    removed = [(kind, about.st_size) for path, kind, about in listing() if kind != "lock" and _removed(path)]
    modules = [size for kind, size in removed if kind == "module"]
    return len(modules), sum(modules)


def _removed(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError as error:
        raise_if_from_handler(error)
        return False
    return True
