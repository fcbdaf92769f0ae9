"""Unpacks an executable into the user's cache, at its first start.

Rules of this file: as in `unpacked`, the standard library alone, and relative imports, as both lie in a package of
another name there. A program is unpacked into a folder named by the digest
of its content, under another name that is then changed, so it is whole or not there; of several that start at once, one
unpacks.
"""

import os

from .unpacked import LOCK, PROGRAMS, SEALED, Unpackable, cache_folder, find, sealed, unusable, usable

FILES = "files.txt"
"""In the archive: digest, permissions, size and name of each file of the program."""
_UNUSED = 90 * 24 * 3600
"""Seconds after which a program that was not started is removed when another one is unpacked."""
COMPILED = ("wasihost", "wasi_preview1")
"""Packages whose bytecode is kept."""


def start(archive: str, digest: str) -> str:
    """Return the folder of the program in `archive`, which is unpacked if it is not there."""
    if (found := find(digest)) is None:
        cache = cache_folder()
        try:
            unpack(archive, digest, cache)
        except OSError as error:
            raise unusable(cache, error) from None
        found = find(digest)
    if found is None:
        raise Unpackable("was removed while it started: start it again")
    return found


def unpack(archive: str, digest: str, cache: str) -> None:
    """Unpack a program, unless another process does it first."""
    import fcntl

    place = os.path.join(cache, PROGRAMS)
    existing = cache
    while not os.path.isdir(existing) and existing != os.path.dirname(existing):
        existing = os.path.dirname(existing)
    if os.geteuid() == 0 and os.stat(existing).st_uid != 0:  # `sudo` may keep HOME of the user who calls it
        raise Unpackable(f"{existing} belongs to another user than root: set WASIHOST_CACHE_DIR to a folder of root's")
    os.makedirs(cache, 0o700, exist_ok=True)
    if not os.path.isdir(place):
        try:
            os.mkdir(place, 0o700)
        except FileExistsError:
            pass
    usable(cache, place)
    lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not sealed(os.path.join(place, digest)):
            for name in os.listdir(place):  # left by processes that were killed
                if name.startswith(".unpacking-") or name.endswith(".old"):
                    _remove(os.path.join(place, name))
            remove_programs(cache, unused_for=_UNUSED)
            _unpack(archive, digest, place)
    finally:
        os.close(lock)


def _unpack(archive: str, digest: str, place: str) -> None:
    """Unpack a program into this folder."""
    import hashlib
    import tempfile
    import zipfile

    scratch = tempfile.mkdtemp(prefix=".unpacking-", dir=place)
    try:
        with zipfile.ZipFile(archive) as packed:
            listed = packed.read(FILES)
            if hashlib.sha256(listed).hexdigest() != digest:
                raise Unpackable("is damaged: its list of files has changed")
            for line in listed.decode().splitlines():
                expected, mode, size, name = line.split(" ", 3)
                path = os.path.join(scratch, *_parts(name))
                os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
                found = hashlib.sha256()
                left = int(size)
                with packed.open(f"program/{name}") as source, open(path, "xb") as file:
                    while piece := source.read(min(1 << 20, left + 1)):
                        left -= len(piece)
                        if left < 0:
                            break
                        found.update(piece)
                        file.write(piece)
                if left or found.hexdigest() != expected:
                    raise Unpackable(f"is damaged: {name} has changed")
                os.chmod(path, int(mode, 8))
        with open(os.path.join(scratch, LOCK), "xb"):
            pass
        _keep_bytecode(scratch)
        for folder, _, _ in os.walk(scratch, topdown=False):
            os.chmod(folder, 0o500)
        os.chmod(scratch, SEALED)
        os.rename(scratch, os.path.join(place, digest))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise Unpackable(f"is damaged: {error}") from None
    finally:
        _remove(scratch)


def _keep_bytecode(folder: str) -> None:
    """Compile what runs import: later, nothing can be written there."""
    import compileall

    for package in COMPILED:
        compileall.compile_dir(os.path.join(folder, "lib", package), quiet=2, workers=1)


def _remove(folder: str) -> None:
    """Remove a folder whose folders are read-only."""
    import shutil

    for inner, _, _ in os.walk(folder):
        try:
            os.chmod(inner, 0o700)
        except OSError:
            pass
    shutil.rmtree(folder, ignore_errors=True)


def _parts(name: str) -> "list[str]":
    parts = name.split("/")
    if not all(part.strip(".") and "\0" not in part for part in parts):
        raise Unpackable(f"is damaged: it has a file named {name!r}")
    return parts


def programs(cache: str) -> "list[str]":
    """Return the folders of the programs that are unpacked in this cache."""
    place = os.path.join(cache, PROGRAMS)
    try:
        if not usable(cache, place):
            return []
        names = os.listdir(place)
    except (OSError, Unpackable):
        return []
    return [os.path.join(place, name) for name in sorted(names) if len(name) == 64 and name.isalnum()]


def remove_programs(cache: str, unused_for: float = 0.0) -> int:
    """Remove programs that are not running and were last started this many seconds ago; returns how many there were."""
    import fcntl
    import time

    count = 0
    for folder in programs(cache):
        try:
            fd = os.open(os.path.join(folder, LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(fd).st_mtime < unused_for:
                    continue
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                away = f"{folder}.old"
                os.rename(folder, away)
                _remove(away)
                count += 1
            finally:
                os.close(fd)
        except OSError:
            continue
    return count
