"""The component walk: the same promise as `openat2`, kept with `openat` alone.

Rules of this file:

- There is a worklist of components and a stack of open directories. Each name is opened by itself and never followed.
  `..` goes back on the stack instead of asking the host: a directory moved meanwhile does not lead to its new parent.
- The target of a link is read, and its components go on the worklist. A target that starts with a slash leads out; of a
  magic link only this text counts. At most `MAX_LINKS` links are read for one path, as in Linux.
- No `*at` call sees a slash (GHSA-hp8f-xmx4-4qrg, CVE-2026-39822): a trailing one becomes O_DIRECTORY on the bare name.
- Every descriptor opened on the way is closed, however the function ends.

Errors are those of the kernel for the same path under RESOLVE_BENEATH. Two settings are not observed: the mount option
`nosymfollow` and `fs.protected_symlinks`, so the walk can follow a link that `openat2` would not. Without O_PATH
(macOS), directories on the way are opened for reading, so one without read permission is EACCES.
"""

import errno
import os
import stat
import sys
from itertools import starmap

from .bounds import ANYWHERE, Bounds
from .held import openers
from .names import components, host_bytes, os_error

MAX_LINKS = 40
"""Links read for one path before it counts as a loop (MAXSYMLINKS of Linux)."""

_PATH_MAX = 4096 if sys.platform == "linux" else 1024
_O_PATH: int = getattr(os, "O_PATH", 0)
_ON_THE_WAY = (_O_PATH or os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_LAST = (-1,)
LINK_ERRORS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})
"""Errors of opening a link with O_NOFOLLOW: ELOOP; ENOTDIR if O_DIRECTORY is set too; EMLINK on FreeBSD."""


def open_path(
    dirfd: int,
    path: str,
    flags: int,
    mode: int,
    follow: bool,
    bounds: Bounds = ANYWHERE,
    held: list[int] | None = None,
) -> int:
    """Open `path` beneath `dirfd` with `flags` and, for O_CREAT, `mode`.

    Returns a new descriptor (O_CLOEXEC), which is the last in `held`. `follow`: also follow a link that is the last
    component; one with a trailing slash is always followed.

    The caller checks whether the result is within `bounds`. A directory on the way is checked here if the result would
    not show it: before `..` leaves it, when a link in it is followed, and when it does not have the next name.

    Raises: EPERM for a path that leads out, ELOOP for more than `MAX_LINKS` links or a last link that is not to be
    followed, and all that `open` raises.
    """
    work = components(path)
    if len(host_bytes(path)) >= _PATH_MAX:
        raise os_error(errno.ENAMETOOLONG, path)
    work.reverse()
    slash = path[-1] == "/"
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    links = 0
    if held is None:
        held = []
    way: list[int] = []
    here = dirfd
    try:
        while True:
            name = work.pop()
            if name == "." or name == "..":
                if name == "..":
                    device = os.stat(".", dir_fd=here).st_dev  # needs search permission, as going up does
                    if not way:
                        raise os_error(errno.EPERM, path)
                    if device not in bounds.known:
                        bounds.admit(here, device, path)
                    list(map(os.close, map(way.pop, _LAST)))
                    here = way[-1] if way else dirfd
                if work:
                    continue
                held += starmap(openers[here], ((".", flags, mode),))
                return held[-1]
            try:
                if not work:
                    return _open_last(here, name, flags, mode, follow, slash, held)
                way += starmap(openers[here], ((name, _ON_THE_WAY, 0),))
                here = way[-1]
            except OSError as error:
                if way:
                    bounds.check(here, path)
                if error.errno not in LINK_ERRORS or not (work or follow or slash):
                    raise
                links += 1
                if links > MAX_LINKS:
                    raise os_error(errno.ELOOP, path) from None
                content = _link_content(here, name, error)
            else:
                if bounds.one_file_system:
                    bounds.check(here, path)
                continue
            if content is None:
                work.append(name)
                continue
            if not bounds.links:
                raise os_error(errno.ELOOP, path)
            if not work:
                slash = slash or content[-1:] == "/"
            work += reversed(components(content))
    finally:
        list(map(os.close, way))


def _open_last(here: int, name: str, flags: int, mode: int, follow: bool, slash: bool, held: list[int]) -> int:
    """Open the last component without following it: a link to be followed fails with one of `LINK_ERRORS`."""
    if slash:
        if flags & os.O_CREAT:
            raise os_error(errno.EISDIR, name)
        flags |= os.O_DIRECTORY
    held += starmap(openers[here], ((name, flags, mode),))
    fd = held[-1]
    # O_PATH with O_NOFOLLOW opens the link itself where any other open fails.
    if follow and flags & _O_PATH and not flags & os.O_DIRECTORY and stat.S_ISLNK(os.fstat(fd).st_mode):
        list(map(os.close, map(held.pop, _LAST)))
        raise os_error(errno.ELOOP, name)
    return fd


def _link_content(here: int, name: str, refusal: OSError) -> str | None:
    """Return the target of the link at `name`, which could not be opened because of `refusal`.

    None if it was not a link at that moment, so that the name should be tried again. Raises `refusal` if that was not
    about a link, and what `readlink` raises.
    """
    try:
        return os.readlink(name, dir_fd=here)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    if refusal.errno == errno.ENOTDIR:
        kind = os.lstat(name, dir_fd=here).st_mode
        if not stat.S_ISDIR(kind) and not stat.S_ISLNK(kind):  # either means that another process swaps them
            raise refusal
    return None
