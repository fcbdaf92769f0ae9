"""Where a path of a guest leads, as a guest path without links: what rules are compared with.

Rules of this file: nothing is changed. The walk asks the open directory itself for each link, whatever rights the guest
gave up for it, and ends as the host's own resolution would: EPERM for what leads out, ELOOP, ENOENT and ENOTDIR before
`..`. What it returns as `passed` is the path for the call: it names the same file and has no link in it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Filetype

from wasihost.descriptors.base import Directory
from wasihost.descriptors.host_directory import HostDirectory
from wasihost.policy.rules import normal

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


Mounts: TypeAlias = Mapping[str, Sequence[str]]
"""The mounts of a guest, each with the paths of others that lie in it."""


def place_of(host: Host, mounts: Mounts, fd: int, path: str, *, follow: bool, entry: bool) -> Place | None:
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
    way = work
    if not _has_no_links(directory, path, work, last, not entry and (follow or slash)):
        way, slash = _walk(directory, work, last, entry, follow, slash)
    if last == ".." and not way:
        raise WasiError(Errno.PERM)
    passed = "/".join((*way, last) if last else way) or "."
    if slash and passed != ".":
        passed += "/"
    found = _base(folder) + "/".join(way) if way else normal(folder)
    if last == "..":
        found = normal(found + "/..")
    return Place(found, passed, directory, mount, any(_is_within(found, inner) for inner in mounts[mount]))


def _has_no_links(directory: Directory, path: str, names: list[str], last: str, follow: bool) -> bool:
    """Return whether a path is surely what it says. One look at the file is enough where links are refused: the system
    would have met a link before it finds the file, or that there is none.
    """
    if last or any(name in _DOTS for name in names):
        return False
    if len(names) == 1 and not follow:
        return True
    if not isinstance(directory, HostDirectory) or directory.bounds.links:
        return False
    try:
        directory.stat_path(path, follow)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return True


def _walk(
    directory: Directory, names: list[str], last: str, entry: bool, follow: bool, slash: bool
) -> tuple[list[str], bool]:
    """Return the way to a file, name by name, and whether a slash follows it."""
    work = names[::-1]
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
    return way, slash


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


def mounts_of(host: Host) -> Mounts:
    """Return the mounts that a guest starts with."""
    opened = [one.preopen for one in host.table.open.values() if isinstance(one, Directory)]
    mounts = [mount for mount in opened if mount is not None]
    return {
        mount: [normal(inner) for inner in mounts if inner != mount and _is_within(normal(inner), normal(mount))]
        for mount in mounts
    }


def _is_within(path: str, folder: str) -> bool:
    return path == folder or (path.startswith(_base(folder)) and (folder != "." or path[0] != "/"))


@lru_cache(maxsize=256)
def _base(folder: str) -> str:
    """Return what paths in a directory begin with."""
    folder = normal(folder)
    return "" if folder == "." else folder if folder == "/" else folder + "/"


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
