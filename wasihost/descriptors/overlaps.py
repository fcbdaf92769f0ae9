"""Mounts that would undo one another: ConfigError.

Rules of this file: it looks at directories that are open already, and changes nothing. What is promised of a read-only
mount is that its guest cannot change it by any of its mounts; so one that lies in a writable one is refused, since no
call on the outer could be told from others at little cost. A writable mount within a read-only one is as it says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from wasihost.config.mounts import Mount
from wasihost.descriptors.base import Directory
from wasihost.descriptors.host_directory import HostDirectory
from wasihost.errors import ConfigError

Opened = tuple[Mount, Directory]


def check_read_only(opened: Sequence[Opened]) -> None:
    """ConfigError for a read-only mount that its guest could change through a writable one."""
    for mount, directory in opened:
        if not mount.read_only:
            continue
        for other, writable in opened:
            if not other.read_only and _reaches(other, writable, mount, directory):
                raise ConfigError(
                    f"cannot mount {mount.source!r} read-only as {mount.guest_path!r}: the guest could change it "
                    f"through {other.source!r}, which is mounted as {other.guest_path!r} and can be written; mount "
                    "both the same way, or folders that lie beside each other"
                )


def _reaches(other: Mount, writable: Directory, mount: Mount, directory: Directory) -> bool:
    """Whether what is read-only lies in what can be written, by their paths or by a bind mount."""
    if not (isinstance(writable, HostDirectory) and isinstance(directory, HostDirectory)):
        return other.source is mount.source
    if writable.bounds.root in _above(directory.fd):
        return True
    mounts = _mounts()
    inner, outer = _located(directory.fd, mounts), _located(writable.fd, mounts)
    if inner is None or outer is None:
        return False
    below = [one for one in mounts.values() if _lies_in(one.point, outer.point)]
    return any(one.device == inner.device and _lies_in(inner.path, one.path) for one in (outer, *below))


def _above(fd: int) -> Iterator[tuple[int, int]]:
    """Device and inode number of a directory and of all that it lies in."""
    about = os.fstat(fd)
    with ExitStack() as stack:
        while True:
            here = about.st_dev, about.st_ino
            yield here
            try:
                fd = os.open("..", _ON_THE_WAY, dir_fd=fd)
            except OSError:  # it may not be searched
                return
            stack.callback(os.close, fd)
            about = os.fstat(fd)
            if (about.st_dev, about.st_ino) == here:
                return


_ON_THE_WAY: int = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


class _Located(NamedTuple):
    """A directory: where this process sees it, and what its file system calls it, wherever that is mounted."""

    point: str
    device: str
    path: str


def _mounts() -> dict[str, _Located]:
    """All mounts of this process' view by their number, as Linux lists them; empty elsewhere. Only this tells of bind
    mounts."""
    found = {}
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            number, _, device, path, point, *_ = line.split(" ")
            found[number] = _Located(_unescaped(point), device, _unescaped(path))
    return found


def _located(fd: int, mounts: dict[str, _Located]) -> _Located | None:
    try:
        with open(f"/proc/self/fdinfo/{fd}") as lines:
            number = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
        seen = os.readlink(f"/proc/self/fd/{fd}")
        mount = mounts[number]
    except (OSError, StopIteration, KeyError):
        return None
    return _Located(seen, mount.device, os.path.join(mount.path, os.path.relpath(seen, mount.point)))


def _lies_in(path: str, folder: str) -> bool:
    return f"{os.path.normpath(path)}/".startswith(os.path.normpath(folder).rstrip("/") + "/")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text) if "\\" in text else text
