"""Remembers the content key of a file, so that a large module need not be read and hashed at each start.

A note is a small file beside the compiled modules. Its name is made of the file's device, inode, size, and the times of
its last change in nanoseconds, which change when the file does. A file that was changed a moment ago could be changed
again within one tick of the clock, so it is noted only after two seconds without a change.

As in `cache`, no function here raises: without a note, the file is hashed.
"""

import os
import time
import zlib

from wasihost.common import cache_folder
from wasihost.errors import raise_if_from_handler

SUFFIX = ".file"
_SETTLE_NS = 2_000_000_000  # the tick of FAT, the coarsest clock of a common file system
_KEY = 64  # hexadecimal digits


def _name(about: os.stat_result, identity: str) -> str:
    parts = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return "-".join(f"{part:x}" for part in (*parts, zlib.crc32(identity.encode()))) + SUFFIX


def lookup(about: os.stat_result, identity: str) -> str | None:
    """Return the file's content key under this engine, if it is noted and the file is unchanged; else None."""
    try:
        place = cache_folder.private_folder(make=False)
        if place is None:
            return None
        path = os.path.join(place, _name(about, identity))
        with open(path, "rb") as file:
            if not cache_folder.sealed(os.fstat(file.fileno())):
                return None
            key, _, written_for = file.read(4096).decode().partition("\n")
        if written_for != identity or len(key) != _KEY or not set(key) <= set("0123456789abcdef"):
            os.unlink(path)
            return None
        return key
    except (OSError, ValueError) as error:
        raise_if_from_handler(error)
        return None


def record(about: os.stat_result, identity: str, key: str) -> None:
    """Note the key of a file, unless it was changed in the last two seconds."""
    if time.time_ns() - max(about.st_mtime_ns, about.st_ctime_ns) < _SETTLE_NS:
        return
    try:
        place = cache_folder.private_folder(make=True)
        if place is not None:
            cache_folder.write(os.path.join(place, _name(about, identity)), f"{key}\n{identity}".encode())
    except (OSError, ValueError) as error:
        raise_if_from_handler(error)
