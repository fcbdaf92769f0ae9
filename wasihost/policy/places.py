"""Where a path of a guest leads, as a guest path without links: what rules are compared with.

Rules of this file: nothing is changed. The walk asks the open directory itself for each link, whatever rights the guest
gave up for it, and ends as the host's own resolution would: EPERM for what leads out, ELOOP, ENOENT and ENOTDIR before
`..`. What it returns as `passed` is the path for the call: it names the same file and has no link in it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from posixpath import join
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Filetype

from wasihost.descriptors.base import Directory
from wasihost.policy.rules import ancestors, normal

if TYPE_CHECKING:
    from wasihost.host.functions import Host

_MAX_LINKS: Final = 40
_LONGEST: Final = 4095
"""Bytes of the longest path of a system: resolving must not make a longer one possible."""
_DOTS: Final = (".", "..")


class Place(NamedTuple):
    """Where a path leads."""

    path: str
    """The guest path, without links."""
    passed: str
    """The path for the call, from the same directory."""
    directory: Directory
    """The directory that the path starts from."""
    mount: str
    """The mount of that directory."""
    hidden: bool
    """Whether another mount lies over it: then its guest path means another file."""


def place_of(host: Host, mounts: Mapping[str, str], fd: int, path: str, *, follow: bool, entry: bool) -> Place | None:
    """Return where `path` leads from the directory `fd`. `follow`: also through a link at its end; `entry`: the call
    acts on the last name itself, not on what it names. `mounts` are those of the guest: `mounts_of`.

    None where the call fails whatever a policy says: `fd` is no directory, or the path is empty or begins with a slash.

    Raises: WasiError and OSError, as the call would.
    """
    directory = host.table.open.get(fd)
    names = host.names
    if not isinstance(directory, Directory) or names is None or not path or path[0] == "/":
        return None
    folder, mount = names.get(fd, (None, None))
    if folder is None or mount is None:  # it cannot be judged
        raise WasiError(Errno.ACCES)
    if len(path) * 4 > min(_LONGEST, host.max_path) and len(os.fsencode(path)) > min(_LONGEST, host.max_path):
        host.met.add("path")
        raise WasiError(Errno.NAMETOOLONG)
    work = [name for name in path.split("/") if name]
    slash, last = path[-1] == "/", ""
    if entry and work[-1] in _DOTS:
        last = work.pop()
    slash = slash or (bool(work) and not last and work[-1] in _DOTS)
    work.reverse()
    way: list[str] = []
    links, missing = 0, False
    while work:
        name = work.pop()
        if name in _DOTS:
            if way:
                directory.stat_path("/".join(way) + "/", False)  # ENOENT, ENOTDIR
            if name == "..":
                if not way:
                    raise WasiError(Errno.PERM)
                way.pop()
            continue
        way.append(name)
        if missing or not (work or last or (not entry and (follow or slash))):
            continue
        try:
            content = directory.readlink("/".join(way))
        except (OSError, WasiError) as error:
            missing = _missing(error)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise WasiError(Errno.LOOP)
        if content[:1] == "/":
            raise WasiError(Errno.PERM)
        way.pop()
        if not work and not last:
            slash = slash or content[-1:] == "/" or content.rpartition("/")[2] in _DOTS
        work += [part for part in reversed(content.split("/")) if part]
    if last == ".." and not way:
        raise WasiError(Errno.PERM)
    passed = "/".join((*way, last) if last else way) or "."
    if slash and passed != ".":
        passed += "/"
    found = normal(join(folder, *way, *([last] if last else ())))
    return Place(found, passed, directory, mount, owner(found, mounts) != mount)


def _missing(error: OSError | WasiError) -> bool:
    """Return whether there is nothing at all, rather than a file that is no link. Raises every other error."""
    number = error.errno
    if number in ((errno.EINVAL,) if isinstance(error, OSError) else (Errno.INVAL,)):
        return False
    if number in ((errno.ENOENT, errno.ENOTDIR) if isinstance(error, OSError) else (Errno.NOENT, Errno.NOTDIR)):
        return True
    raise error


def is_directory(place: Place) -> bool:
    """Return whether a directory is there that can be renamed."""
    if place.passed.rstrip("/").rpartition("/")[2] in _DOTS:
        return False  # the call fails
    try:
        return place.directory.stat_path(place.passed, False).filetype is Filetype.DIRECTORY
    except (OSError, WasiError):
        return False  # the call will fail too


def mounts_of(host: Host) -> dict[str, str]:
    """Return the mounts that a guest starts with: path without `.` and such -> path as the config has it."""
    opened = host.table.open.values()
    return {
        normal(one.preopen): one.preopen for one in opened if isinstance(one, Directory) and one.preopen is not None
    }


def owner(path: str, mounts: Mapping[str, str]) -> str | None:
    """Return the mount that a guest path belongs to: the last one on its way."""
    return next((mounts[above] for above in ancestors(path) if above in mounts), None)


def named(host: Host, fd: int) -> str | None:
    """Return the guest path of an open file or directory of a mount; None for anything else."""
    path, mount = (host.names or {}).get(fd, (None, None))
    return None if path is None or mount is None else normal(path)


def note_rename(host: Host, old: str, new: str, mount: str) -> None:
    """Give what is open at and below `old` its new names, in `mount`."""
    for fd, (path, before) in list((host.names or {}).items()):
        if path is not None and before is not None and (normal(path) == old or normal(path).startswith(old + "/")):
            names: Any = host.names
            names[fd] = (new + normal(path)[len(old) :], mount)
