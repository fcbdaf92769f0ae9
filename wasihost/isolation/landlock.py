"""Landlock: the kernel checks at each open which files a process may reach by a path.

Rules of this file: only rights that the kernel's version knows are used, because it refuses others. The kernel's
documentation, "Landlock: unprivileged access control", says which version has which.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from wasihost.isolation import system

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << at for at in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << at for at in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since versions 2, 3, 5
_BIND_TCP, _CONNECT_TCP = 1, 2  # since version 4
_ABSTRACT_UNIX_SOCKET, _SIGNAL = 1, 2  # since version 6

_READS: Final = _READ_FILE | _READ_DIR
_WRITES: Final = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE

LEAST: Final = 2
"""The first version that allows files to be moved from one directory of a mount to another."""


def attributes(version: int) -> bytes:
    """`struct landlock_ruleset_attr` with all rights that this version can restrict."""
    files = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        files |= right if version >= since else 0
    if version < 4:
        return struct.pack("=Q", files)
    if version < 6:
        return struct.pack("=QQ", files, _BIND_TCP | _CONNECT_TCP)
    return struct.pack("=QQQ", files, _BIND_TCP | _CONNECT_TCP, _ABSTRACT_UNIX_SOCKET | _SIGNAL)


def restrict(version: int, mounts: Iterable[tuple[int, bool]]) -> None:
    """Allow this process the directories (descriptor, and whether read-only), and nothing else. OSError if refused."""
    import os

    known = struct.unpack_from("=Q", attributes(version))[0]
    ruleset = system.landlock_ruleset(attributes(version))
    try:
        for fd, read_only in mounts:
            system.landlock_allow(ruleset, (_READS if read_only else _READS | _WRITES) & known, fd)
        system.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
