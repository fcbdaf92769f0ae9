"""Compiled modules on disk.

An entry is the engine's artifact followed by a trailer (a mark and a CRC-32 of what is before it), in one file named by
a key of content, engine and settings. The engine maps an entry and runs it as machine code, so:

- the folder must be ours alone: owned by this user, writable by nobody else; otherwise there is no cache;
- an entry is checked whole before the engine sees it (about 4 ms for 25 MB), against truncation and rot, not malice;
- an entry is written under another name, then renamed, and never changed in place: a running guest has it mapped.

Nothing here raises for the sake of the cache: what cannot be read is compiled, what cannot be written is not kept.
"""

import ctypes
import os
import struct
import sys
import zlib
from typing import TYPE_CHECKING

from wasihost.engines.wasmtime.engine import Engine
from wasihost.engines.wasmtime.ffi import Vec, c, take_error

if TYPE_CHECKING:
    from io import BufferedReader

LIMIT = 1 << 30  # bytes, of all entries together; the least recently used go first
_TRAILER = struct.Struct("<12sI")
_MARK = b"wasihost-1\0\0"
_SUFFIX = ".cwasm"
# Seconds after which a half-written file of another process is taken for abandoned, and a note of `seen` for forgotten.
_LIVES = {".tmp": 3600, "file": 30 * 24 * 3600}


def key(content: "bytes | BufferedReader", identity: str) -> str:
    """The name of the entry for this content under this engine. A file is read to its end, without keeping it."""
    import hashlib  # loads OpenSSL

    digest = hashlib.sha256(content) if isinstance(content, bytes) else hashlib.file_digest(content, "sha256")
    digest.update(identity.encode())
    return digest.hexdigest()


def folder() -> str | None:
    """Where entries live: `WASIHOST_CACHE_DIR`, else the user's cache folder; `None` where there is neither."""
    if chosen := os.environ.get("WASIHOST_CACHE_DIR"):
        return chosen
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "wasihost") if os.path.isabs(base) else None


def ours(about: os.stat_result) -> bool:
    """Owned by this user and writable by nobody else. Windows: the user's profile is private by its own rules."""
    return not hasattr(os, "geteuid") or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)


def private_folder(*, make: bool) -> str | None:
    """The folder if it is ours alone, made if asked for; `None` where there is no such place."""
    place = folder()
    if place is None:
        return None
    if make:
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        if not os.path.isdir(place):
            os.mkdir(place, 0o700)
    return place if ours(os.stat(place)) else None


def _whole(path: str) -> bool:
    """Whether the file is ours, and what was written."""
    import mmap

    with open(path, "rb") as file:
        about = os.fstat(file.fileno())
        size = about.st_size - _TRAILER.size
        if size <= 0 or not ours(about):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            mark, checksum = _TRAILER.unpack_from(content, size)
            with memoryview(content) as view, view[:size] as artifact:
                return mark == _MARK and bool(zlib.crc32(artifact) == checksum)


def fetch(name: str, owner: Engine) -> int | None:
    """The module of the entry, or `None`; an entry that is no good is deleted."""
    try:
        place = private_folder(make=False)
        if place is None:
            return None
        path = os.path.join(place, name + _SUFFIX)
        if _whole(path):
            os.utime(path)
            ptr = ctypes.c_void_p()
            error = c.wasmtime_module_deserialize_file(owner.ptr, os.fsencode(path), ctypes.byref(ptr))
            if not error:
                return ptr.value
            take_error(error)  # made for a processor with other features
        os.unlink(path)
    except (OSError, ValueError):
        pass
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
            write(os.path.join(place, name + _SUFFIX), content, _TRAILER.pack(_MARK, zlib.crc32(content)))
            _trim(place, keep=name + _SUFFIX)
    except (OSError, ValueError):
        pass
    finally:
        c.wasm_byte_vec_delete(ctypes.byref(artifact))


def write(path: str, *content: bytes | memoryview) -> None:
    """A new file in the place of an old one, whole or not at all."""
    scratch = f"{path}.{os.getpid()}.{os.urandom(6).hex()}.tmp"
    try:
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(content)
        os.replace(scratch, path)
    except OSError:
        os.unlink(scratch)
        raise


def _trim(place: str, keep: str) -> None:
    """Delete the least recently used entries above the limit, and what crashed writers left."""
    import time

    entries: list[tuple[float, int, str]] = []
    with os.scandir(place) as found:
        for entry in found:
            about = entry.stat(follow_symlinks=False)
            if entry.name.endswith(_SUFFIX):
                entries.append((about.st_mtime, about.st_size, entry.name))
            elif about.st_mtime < time.time() - _LIVES.get(entry.name[-4:], time.time()):
                os.unlink(entry.path)
    total = sum(size for _, size, _ in entries)
    for _, size, name in sorted(entries):
        if total <= LIMIT:
            break
        if name != keep:
            os.unlink(os.path.join(place, name))
            total -= size


def entries() -> list[tuple[str, int]]:
    """Path and size of every compiled module."""
    try:
        place = private_folder(make=False)
        if place is None:
            return []
        with os.scandir(place) as found:
            return [(entry.path, entry.stat().st_size) for entry in found if entry.name.endswith(_SUFFIX)]
    except OSError:
        return []


def clear() -> tuple[int, int]:
    """Remove every compiled module: how many there were, and how many bytes. The notes on files go with them."""
    removed = [(path, size) for path, size in entries() if _removed(path)]
    place = folder()
    if removed and place is not None:
        for name in os.listdir(place):
            if name.endswith(".file"):
                _removed(os.path.join(place, name))
    return len(removed), sum(size for _, size in removed)


def _removed(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
