"""Refuses mounts that would defeat one another, with ConfigError.

Rules of this file: it looks at directories that are already open, and changes nothing. The promise of a read-only mount
is that the guest cannot change it through any of its mounts. So a read-only mount inside a writable one is refused: it
would cost too much to find the calls on the outer mount that reach the inner one. A writable mount inside a read-only
one is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from wasihost.config.mounts import Mount
from wasihost.descriptors.base import Directory
from wasihost.descriptors.host_directory import HostDirectory
from wasihost.errors import ConfigError, raise_if_from_handler

Opened = tuple[Mount, Directory]


def check_read_only(opened: Sequence[Opened]) -> None:
    """Raise ConfigError for a read-only mount that the guest could change through a writable one."""
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
    """True if the read-only directory lies inside the writable one, by its path or through a bind mount."""
    if not isinstance(writable, HostDirectory):
        return other.source is mount.source
    if isinstance(directory, HostDirectory):
        return _lies_beneath(directory.fd, writable)
    folders = getattr(mount.source, "host_folders", None)  # of an overlay
    return folders is not None and any(_lies_beneath(fd, writable) for fd in folders())


def _lies_beneath(fd: int, writable: HostDirectory) -> bool:
    if writable.bounds.root in _with_parents(fd):
        return True
    mounts = _mounts()
    inner, outer = _located(fd, mounts), _located(writable.fd, mounts)
    if inner is None or outer is None:
        return False
    below = [one for one in mounts.values() if _lies_in(one.point, outer.point)]
    return any(one.device == inner.device and _lies_in(inner.path, one.path) for one in (outer, *below))


def _with_parents(fd: int) -> Iterator[tuple[int, int]]:
    """Yield device and inode number of a directory and of each of its parents."""
    about = os.fstat(fd)
    with ExitStack() as stack:
        while True:
            here = about.st_dev, about.st_ino
            yield here
            try:
                fd = os.open("..", _ON_THE_WAY, dir_fd=fd)
            except OSError as error:  # no search permission
                raise_if_from_handler(error)
                return
            stack.callback(os.close, fd)
            about = os.fstat(fd)
            if (about.st_dev, about.st_ino) == here:
                return


_ON_THE_WAY: int = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


class _Located(NamedTuple):
    """A directory: its path in this process, and its device and path within its file system."""

    point: str
    device: str
    path: str


def _mounts() -> dict[str, _Located]:
    """Return all mounts that this process sees, by mount number, as Linux lists them; empty elsewhere. Bind mounts show
    nowhere else."""
    found = {}
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                number, _, device, path, point, *_ = line.split(" ")
                found[number] = _Located(_unescaped(point), device, _unescaped(path))
    except OSError as error:
        raise_if_from_handler(error)
    return found


def _located(fd: int, mounts: dict[str, _Located]) -> _Located | None:
    try:
        with open(f"/proc/self/fdinfo/{fd}") as lines:
            number = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
        seen = os.readlink(f"/proc/self/fd/{fd}")
        mount = mounts[number]
    except (OSError, StopIteration, KeyError) as error:
        raise_if_from_handler(error)
        return None
    return _Located(seen, mount.device, os.path.join(mount.path, os.path.relpath(seen, mount.point)))


def _lies_in(path: str, folder: str) -> bool:
    return f"{os.path.normpath(path)}/".startswith(os.path.normpath(folder).rstrip("/") + "/")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text) if "\\" in text else text
