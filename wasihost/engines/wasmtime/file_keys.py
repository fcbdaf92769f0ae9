"""Which content a file had when it was last read, so that a large module need not be read and hashed at every start.

A note is a small file beside the compiled modules, named by what the system says of the file: device, inode, size, and
the times of its last change to the nanosecond. Whoever changes the file changes these. A file that was changed a moment
ago could be changed again within the clock's tick, so it is not noted before it has rested.

As in `cache`, nothing here raises: without a note, the file is hashed.
"""

import os
import time
import zlib

from wasihost.common import cache_folder

SUFFIX = ".file"
_SETTLE_NS = 2_000_000_000  # ns; the coarsest clock of a file system that people use
_KEY = 64  # hexadecimal digits


def _name(about: os.stat_result, identity: str) -> str:
    parts = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return "-".join(f"{part:x}" for part in (*parts, zlib.crc32(identity.encode()))) + SUFFIX


def lookup(about: os.stat_result, identity: str) -> str | None:
    """The content key that the file had under this engine, if it is known and the file is still the same."""
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
    except (OSError, ValueError):
        return None


def record(about: os.stat_result, identity: str, key: str) -> None:
    """Remember the key of a file that has not changed for a while."""
    if time.time_ns() - max(about.st_mtime_ns, about.st_ctime_ns) < _SETTLE_NS:
        return
    try:
        place = cache_folder.private_folder(make=True)
        if place is not None:
            cache_folder.write(os.path.join(place, _name(about, identity)), f"{key}\n{identity}".encode())
    except (OSError, ValueError):
        pass
