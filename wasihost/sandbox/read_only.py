"""The errors of operations below a read-only mount: those that come before EROFS.

Rules of this file: nothing is changed, and nothing stays open. Each function checks the path and returns the error to
raise, so that a caller cannot continue by mistake. The order is that of Linux on a read-only file system:

1. the path up to its last name has to exist; one that leads out is EPERM;
2. what is opened, linked or dated has to exist, and what is created must not exist;
3. removing or renaming is EROFS without looking up the last name.
"""

import errno
import os
import stat

from . import resolve
from .bounds import ANYWHERE, Bounds
from .names import DOTS, os_error, rmdir_errno, split_last, unencodable
from .walk import MAX_LINKS


def opening(dirfd: int, path: str, flags: int, follow: bool, bounds: Bounds = ANYWHERE) -> OSError | None:
    """Error of `open` with these flags; None if it would change nothing, and can be opened."""
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
    """Error of `mkdirat`: EEXIST if anything exists."""
    return _making(dirfd, path, bounds, directory=True)


def symlink(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Error of `symlinkat`: EEXIST if anything exists; ENOENT for a trailing slash if nothing does."""
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
    """Error of `linkat`, if either end is read-only: the old path has to exist; the new one as for `symlink`."""
    resolve.stat_beneath(old_dirfd, old_path, follow, old_bounds)
    return _making(new_dirfd, new_path, new_bounds)


def rmdir(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Error of `unlinkat` with AT_REMOVEDIR: EINVAL for a last `.`, ENOTEMPTY for a last `..`."""
    return _after(dirfd, path, rmdir_errno(path), bounds)


def unlink(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> OSError:
    """Error of `unlinkat`: EISDIR for a last `.` or `..`."""
    return _after(dirfd, path, errno.EISDIR, bounds)


def rename(
    old_dirfd: int,
    old_path: str,
    new_dirfd: int,
    new_path: str,
    old_bounds: Bounds = ANYWHERE,
    new_bounds: Bounds = ANYWHERE,
) -> OSError:
    """Error of `renameat`, if either end is read-only: EINVAL for a path that ends in `.` or `..`."""
    refused = None
    try:
        _after(old_dirfd, old_path, errno.EINVAL, old_bounds)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        refused = error
    found = _after(new_dirfd, new_path, errno.EINVAL, new_bounds)  # its path is checked before `refused` is returned
    return refused or found


def utime(dirfd: int, path: str, follow: bool, bounds: Bounds = ANYWHERE) -> OSError:
    """Error of `utimensat`: the file has to exist."""
    resolve.stat_beneath(dirfd, path, follow, bounds)
    return os_error(errno.EROFS, path)


def _after(dirfd: int, path: str, dots: int, bounds: Bounds, code: int = errno.EROFS) -> OSError:
    """Errno `code` once the path up to its last name is known to exist. Raises: errno `dots` for `.` and `..`."""
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
    """Error of `open` with O_CREAT if nothing exists: follow links to the name that would be created."""
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
    """Return the target of the link; empty if it is not a link or does not exist."""
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno is None:  # the system's have one: a signal handler raised it
            raise
        return ""
