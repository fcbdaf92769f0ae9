"""The folder into which an executable has unpacked itself: what it looks for first, at each start.

Rules of this file: it goes into each executable and runs there before anything of `wasihost` can be imported, so it
uses the standard library alone, and it is short, as it is compiled at each start. A folder is used only if it belongs
to this user and is read-only with the sticky bit, which no call of WASI can set: a guest that may write to the cache
cannot put a folder there, or change one (a guest of root's can). A program that runs holds a lock, which keeps its
folder.
"""

import os
import stat
import sys

PROGRAMS = "programs"
"""The folder in the cache."""
LOCK = ".lock"
SEALED = 0o1500
"""Permissions of the folder of a program; below it, nothing may be written."""
_held: "list[int]" = []


class Unpackable(Exception):
    """The program cannot be unpacked; the message is one line."""


def find(digest: str) -> "str | None":
    """Return the folder of the program with this digest, and hold it; None if it is not unpacked."""
    cache = cache_folder()
    target = os.path.join(cache, PROGRAMS, digest)
    try:
        if not (usable(cache, os.path.join(cache, PROGRAMS)) and sealed(target)):
            return None
        hold(target)
    except OSError as error:
        raise unusable(cache, error) from None
    return target


def unusable(cache: str, error: OSError) -> Unpackable:
    """The error for a cache that cannot be read or written."""
    place = os.path.join(cache, PROGRAMS)
    return Unpackable(
        f"cannot be unpacked into {place}: {error.strerror or error}: set WASIHOST_CACHE_DIR to a folder of yours"
    )


def cache_folder() -> str:
    """Return the folder for what is kept, as `common.cache_folder` does."""
    if chosen := os.environ.get("WASIHOST_CACHE_DIR"):
        return chosen
    home = os.path.expanduser("~")
    base = os.path.join(home, "Library", "Caches") if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME")
    base = base or os.path.join(home, ".cache")
    if not os.path.isabs(base):
        raise Unpackable("there is no folder for it to be unpacked into: set WASIHOST_CACHE_DIR, or HOME")
    return os.path.join(base, "wasihost")


def sealed(folder: str) -> bool:
    """Whether the folder is there, and we have made it."""
    try:
        about = os.lstat(folder)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) != SEALED:
        raise Unpackable(f"{folder} is in the way, and was not unpacked by you: remove it")
    return True


def usable(*folders: str) -> bool:
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
