"""What the operations say beneath a directory of a read-only mount: which error comes before EROFS.

Rules of this file: nothing is opened for use and nothing is changed; each function looks at the path and returns the
error to be raised, so that a caller that raises it cannot go on by mistake. The order is that of Linux on a file system
mounted read-only: the way to the last name comes first; what has to be there (to be opened, linked, dated) or must not
(to be made) comes next; what would take a name away is refused without looking for it. A path that leads out is EPERM.
"""

import errno
import os
import stat

from . import resolve
from .bounds import ANYWHERE, Bounds
from .names import DOTS, os_error, split_last, unencodable
from .walk import MAX_LINKS


def opening(dirfd: int, path: str, flags: int, follow: bool, bounds: Bounds = ANYWHERE) -> OSError | None:
    """Of `open` with these flags; None if it would change nothing: then opening it to be read is the same."""
    creating, exclusive = flags & os.O_CREAT, flags & os.O_CREAT and flags & os.O_EXCL
    follow = follow and not exclusive
    if creating and flags & os.O_DIRECTORY:
        return os_error(errno.EINVAL, path)
    if creating and path[-1:] == "/" and split_last(path)[1] not in DOTS:
        return _after(dirfd, path, errno.EISDIR, bounds, errno.EISDIR)
    try:
        mode = resolve.stat_beneath(dirfd, path, follow, bounds).st_mode
    except FileNotFoundError as missing:
        return _creating(dirfd, path, follow, bounds) if creating else missing
    if exclusive:
        return os_error(errno.EEXIST, path)
    if flags & os.O_DIRECTORY and not stat.S_ISDIR(mode):
        return os_error(errno.ENOTDIR, path)
    if stat.S_ISLNK(mode):
        return os_error(errno.ELOOP, path)
    writing = flags & (os.O_ACCMODE | os.O_TRUNC)
    if stat.S_ISDIR(mode) and (creating or writing):
        return os_error(errno.EISDIR, path)
    return os_error(errno.EROFS, path) if writing else None


def mkdir(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Of `mkdirat`: EEXIST for what is there."""
    return _making(dirfd, path, bounds, directory=True)


def symlink(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Of `symlinkat`: EEXIST for what is there, ENOENT for a slash after what is not."""
    return _making(dirfd, path, bounds)


def link(
    old_dirfd: int,
    old_path: str,
    follow: bool,
    new_dirfd: int,
    new_path: str,
    old_bounds: Bounds = ANYWHERE,
    new_bounds: Bounds = ANYWHERE,
) -> OSError:
    """Of `linkat`, if either end is read-only: the old name has to be there; the new one as for `symlink`."""
    resolve.stat_beneath(old_dirfd, old_path, follow, old_bounds)
    return _making(new_dirfd, new_path, new_bounds)


def rmdir(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Of `unlinkat` with AT_REMOVEDIR: EINVAL for a last `.`, ENOTEMPTY for a last `..`."""
    up = path.rstrip("/").endswith("..")
    return _after(dirfd, path, errno.ENOTEMPTY if up else errno.EINVAL, bounds)


def unlink(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Of `unlinkat`: EISDIR for a last `.` or `..`."""
    return _after(dirfd, path, errno.EISDIR, bounds)


def rename(
    old_dirfd: int,
    old_path: str,
    new_dirfd: int,
    new_path: str,
    old_bounds: Bounds = ANYWHERE,
    new_bounds: Bounds = ANYWHERE,
) -> OSError:
    """Of `renameat`, if either end is read-only: EINVAL for a path that ends in `.` or `..`."""
    refused = None
    try:
        _after(old_dirfd, old_path, errno.EINVAL, old_bounds)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        refused = error
    found = _after(new_dirfd, new_path, errno.EINVAL, new_bounds)  # the way there comes before the name that is none
    return refused or found


def utime(dirfd: int, path: str, follow: bool, bounds: Bounds = ANYWHERE) -> OSError:
    """Of `utimensat`: the file has to be there."""
    resolve.stat_beneath(dirfd, path, follow, bounds)
    return os_error(errno.EROFS, path)


def _after(dirfd: int, path: str, dots: int, bounds: Bounds, code: int = errno.EROFS) -> OSError:
    """Errno `code`, once the way to the last name is known to exist; raises errno `dots` for no name."""
    held: list[int] = []
    try:
        resolve.parent_of(dirfd, path, dots, bounds, held)
    finally:
        list(map(os.close, held))
    return os_error(code, path)


def _making(dirfd: int, path: str, bounds: Bounds, *, directory: bool = False) -> OSError:
    held: list[int] = []
    try:
        parent, name, slash = resolve.parent_of(dirfd, path, errno.EEXIST, bounds, held)
        try:
            os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            return os_error(errno.ENOENT if slash and not directory else errno.EROFS, path)
        except ValueError as reason:
            return unencodable(reason, path)
    finally:
        list(map(os.close, held))
    return os_error(errno.EEXIST, path)


def _creating(dirfd: int, path: str, follow: bool, bounds: Bounds) -> OSError:
    """Of `open` with O_CREAT where nothing is: what stops the way through links to the name that would be made."""
    for _ in range(MAX_LINKS + 1):
        held: list[int] = []
        try:
            parent, name, slash = resolve.parent_of(dirfd, path, errno.EISDIR, bounds, held)
            content = _content(parent, name) if follow and not slash else ""
        finally:
            list(map(os.close, held))
        if not content:
            return os_error(errno.EISDIR if slash else errno.EROFS, path)
        if content[:1] == "/":
            return os_error(errno.EPERM, path)
        path = path[: len(path) - len(name)] + content
    return os_error(errno.ELOOP, path)


def _content(parent: int, name: str) -> str:
    """Of the link; empty if there is none, or something else."""
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:
        return ""
