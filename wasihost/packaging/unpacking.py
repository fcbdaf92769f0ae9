"""What an executable does before it runs: it unpacks itself, once, into the user's cache.

Rules of this file: it goes into each executable and runs there before anything of `wasihost` can be imported, so it
uses the standard library alone. A program is unpacked into a folder named by the digest of its content, under another
name that is then changed, so it is whole or not there; of several that start at once, one unpacks. It is used only if
the folder belongs to this user and is read-only with the sticky bit, which no call of WASI can set: a guest that may
write to the cache cannot put a folder there, or change one (a guest of root's can). A program that runs holds a lock,
which keeps its folder.
"""

import os
import stat
import sys

PROGRAMS = "programs"
"""The folder in the cache."""
LOCK = ".lock"
SEALED = 0o1500
"""Permissions of the folder of a program; below it, nothing may be written."""
FILES = "files.txt"
"""In the archive: digest, permissions, size and name of each file of the program."""
_UNUSED = 90 * 24 * 3600
"""Seconds after which a program that nobody has started is removed when another one is unpacked."""
COMPILED = ("wasihost", "wasi_preview1")
"""Packages whose bytecode is kept."""
_held: "list[int]" = []


class Unpackable(Exception):
    """The program cannot be unpacked; the message is one line."""


def start(archive: str, digest: str) -> str:
    """Return the folder of the program in `archive`, unpacked."""
    cache = os.environ.get("WASIHOST_CACHE_DIR") or _users_cache()
    place = os.path.join(cache, PROGRAMS)
    target = os.path.join(place, digest)
    try:
        if not (_usable(cache, place) and _sealed(target)):
            unpack(archive, digest, cache)
        hold(target)
    except OSError as error:
        raise Unpackable(
            f"cannot be unpacked into {place}: {error.strerror or error}: set WASIHOST_CACHE_DIR to a folder of yours"
        ) from None
    return target


def _users_cache() -> str:
    home = os.path.expanduser("~")
    base = os.path.join(home, "Library", "Caches") if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME")
    base = base or os.path.join(home, ".cache")
    if not os.path.isabs(base):
        raise Unpackable("there is no folder for it to be unpacked into: set WASIHOST_CACHE_DIR, or HOME")
    return os.path.join(base, "wasihost")


def _sealed(folder: str) -> bool:
    """Whether the folder is there, and we have made it."""
    try:
        about = os.lstat(folder)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) != SEALED:
        raise Unpackable(f"{folder} is in the way, and was not unpacked by you: remove it")
    return True


def _usable(*folders: str) -> bool:
    """Whether all of these are there, belong to this user, and no other user may write to them."""
    for folder in folders:
        try:
            about = os.stat(folder)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
            raise Unpackable(
                f"{folder} has to be a folder that belongs to you, and that no other user may write to: what is in it "
                "is run; remove it, or set WASIHOST_CACHE_DIR to another folder"
            )
    return True


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
    _usable(cache, place)
    lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _sealed(os.path.join(place, digest)):
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


def hold(folder: str) -> None:
    """Keep the folder from being removed while this process lives, and note that it is in use."""
    import fcntl

    fd = os.open(os.path.join(folder, LOCK), os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_SH)
    _held.append(fd)
    try:
        os.utime(fd)
    except OSError:  # a read-only file system
        pass


def programs(cache: str) -> "list[str]":
    """Return the folders of the programs that are unpacked in this cache."""
    place = os.path.join(cache, PROGRAMS)
    try:
        if not _usable(cache, place):
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
