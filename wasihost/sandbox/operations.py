"""The operations that act on a name: each resolves the parent directory and makes one call on one proven name.

Rules of this file: no call follows a link or sees a slash; what a trailing slash demands is decided here, as POSIX does
for the operation; a path that ends in `.` or `..` is resolved first, so that an escape is EPERM before anything else.
All raise EPERM for a path that leads out of its directory, ENOENT for an empty one, EINVAL for NUL, EILSEQ for a name
the host cannot spell, and what the POSIX call raises; the docstrings say what differs.
"""

import errno
import os
import stat

from . import resolve, times
from .bounds import ANYWHERE, Bounds
from .names import is_rooted, names_directory, os_error, unencodable
from .walk import MAX_LINKS


def mkdir_beneath(dirfd: int, path: str, mode: int, bounds: Bounds = ANYWHERE) -> None:
    """POSIX `mkdirat`; a trailing slash is allowed. EEXIST for whatever is there, for a dangling link too."""
    held: list[int] = []
    try:
        parent, name, _ = resolve.parent_of(dirfd, path, errno.EEXIST, bounds, held)
        os.mkdir(name, mode, dir_fd=parent)
    except ValueError as reason:
        raise unencodable(reason, path) from None
    finally:
        if held:
            list(map(os.close, held))


def rmdir_beneath(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> None:
    """POSIX `unlinkat` with AT_REMOVEDIR; a trailing slash is allowed, a link with one is ENOTDIR.

    Raises: EINVAL for a last `.`, ENOTEMPTY for a last `..`.
    """
    up = path.rstrip("/").endswith("..")
    held: list[int] = []
    try:
        parent, name, _ = resolve.parent_of(dirfd, path, errno.ENOTEMPTY if up else errno.EINVAL, bounds, held)
        os.rmdir(name, dir_fd=parent)
    except ValueError as reason:
        raise unencodable(reason, path) from None
    finally:
        if held:
            list(map(os.close, held))


def unlink_beneath(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> None:
    """POSIX `unlinkat` without AT_REMOVEDIR; EISDIR for a directory, on hosts that say EPERM too.

    Raises: for a trailing slash EISDIR if a directory is there, ENOTDIR if anything else is.
    """
    held: list[int] = []
    try:
        parent, name, slash = resolve.parent_of(dirfd, path, errno.EISDIR, bounds, held)
        if slash:
            raise os_error(errno.EISDIR if _is_directory(parent, name) else errno.ENOTDIR, path)
        try:
            os.unlink(name, dir_fd=parent)
        except PermissionError as error:
            if error.errno == errno.EPERM and _is_directory(parent, name):
                raise os_error(errno.EISDIR, path) from None
            raise
    except ValueError as reason:
        raise unencodable(reason, path) from None
    finally:
        if held:
            list(map(os.close, held))


def rename_beneath(
    old_dirfd: int,
    old_path: str,
    new_dirfd: int,
    new_path: str,
    old_bounds: Bounds = ANYWHERE,
    new_bounds: Bounds = ANYWHERE,
) -> None:
    """POSIX `renameat`; a trailing slash on either path demands that the source is a directory, ENOTDIR if not.

    Raises: EINVAL for a path that ends in `.` or `..`, as POSIX has it (Linux itself says EBUSY).
    """
    held: list[int] = []
    try:
        old_parent, old_name, old_slash = resolve.parent_of(old_dirfd, old_path, errno.EINVAL, old_bounds, held)
        new_parent, new_name, new_slash = resolve.parent_of(new_dirfd, new_path, errno.EINVAL, new_bounds, held)
        if (old_slash or new_slash) and not _is_directory(old_parent, old_name):
            raise os_error(errno.ENOTDIR, old_path if old_slash else new_path)
        os.rename(old_name, new_name, src_dir_fd=old_parent, dst_dir_fd=new_parent)
    except ValueError as reason:
        raise unencodable(reason, old_path) from None
    finally:
        if held:
            list(map(os.close, held))


def readlink_beneath(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> str:
    """POSIX `readlinkat`: the content of the link, as `os.fsdecode` gives it. EINVAL for anything but a link.

    Raises: EPERM for rooted content: it names a place on the host that the guest must not learn, nor could go to.
    A trailing slash follows the link, so the result can only be an error (EINVAL for a directory).
    """
    if path[-1:] == "/":
        raise resolve.names_no_entry(dirfd, path, errno.EINVAL, bounds)
    held: list[int] = []
    try:
        parent, name, _ = resolve.parent_of(dirfd, path, errno.EINVAL, bounds, held)
        content = os.readlink(name, dir_fd=parent)
    except ValueError as reason:
        raise unencodable(reason, path) from None
    finally:
        if held:
            list(map(os.close, held))
    if is_rooted(content):
        raise os_error(errno.EPERM, path)
    return content


def symlink_beneath(target: str, dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> None:
    """POSIX `symlinkat`: make a link at `path` whose content is `target`, which may name nothing yet or lead out (it is
    checked when followed).

    Raises: EPERM for a rooted target. With a trailing slash no link can be made: ENOENT if nothing is there, ENOTDIR if
    what is there is no directory, EEXIST if it is.
    """
    if is_rooted(target):
        raise os_error(errno.EPERM, target)
    if path[-1:] == "/":
        raise resolve.names_no_entry(dirfd, path, errno.EEXIST, bounds)
    held: list[int] = []
    try:
        parent, name, _ = resolve.parent_of(dirfd, path, errno.EEXIST, bounds, held)
        os.symlink(target, name, dir_fd=parent)
    except ValueError as reason:
        raise unencodable(reason, path) from None
    finally:
        if held:
            list(map(os.close, held))


def link_beneath(
    old_dirfd: int,
    old_path: str,
    follow: bool,
    new_dirfd: int,
    new_path: str,
    old_bounds: Bounds = ANYWHERE,
    new_bounds: Bounds = ANYWHERE,
) -> None:
    """POSIX `linkat`: a second name for a file, for a link itself unless `follow`.

    Raises: EPERM for a directory; for a new path with a trailing slash the same as `symlink_beneath`.
    """
    if names_directory(old_path):
        raise resolve.names_no_entry(old_dirfd, old_path, errno.EPERM, old_bounds)
    held: list[int] = []
    try:
        old_parent, old_name = _entry(old_dirfd, old_path, follow, old_bounds, held)
        if new_path[-1:] == "/":
            raise resolve.names_no_entry(new_dirfd, new_path, errno.EEXIST, new_bounds)
        new_parent, new_name, _ = resolve.parent_of(new_dirfd, new_path, errno.EEXIST, new_bounds, held)
        os.link(old_name, new_name, src_dir_fd=old_parent, dst_dir_fd=new_parent, follow_symlinks=False)
    except ValueError as reason:
        raise unencodable(reason, new_path) from None
    finally:
        if held:
            list(map(os.close, held))


def utime_beneath(dirfd: int, path: str, follow: bool, stamps: tuple[int, int], bounds: Bounds = ANYWHERE) -> None:
    """POSIX `utimensat`: set the access and modification time of a file, of a link itself unless `follow`.

    `stamps` are nanoseconds since 1970, `times.UTIME_NOW` or `times.UTIME_OMIT`, each for itself.
    """
    held: list[int] = []
    try:
        if bounds.one_file_system:  # the name may be where another one is mounted
            resolve.strategy(dirfd, path, resolve.HANDLE, 0, follow, bounds, held)
        parent, name = _entry(dirfd, path, follow, bounds, held)
        if stamps == _NEITHER:
            os.lstat(name, dir_fd=parent)  # Linux would not even look whether there is such a file
            return
        times.set_times(parent, name, *stamps)
    finally:
        if held:
            list(map(os.close, held))


_LAST = (-1,)
_NEITHER = (times.UTIME_OMIT, times.UTIME_OMIT)


def _is_directory(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)


def _link_content(parent: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
    except ValueError as reason:
        raise unencodable(reason, name) from None


def _entry(dirfd: int, path: str, follow: bool, bounds: Bounds, held: list[int]) -> tuple[int, str]:
    """The open directory and the proven name behind `path`; with `follow` one that is no link. What was opened for that
    is in `held`.

    Should it become one before it is used, then the operation is on the link and never on what that names.
    A path that names a directory, as it may turn out after a link, comes back as the directory and `.`.
    """
    for _ in range(MAX_LINKS + 1):
        if names_directory(path):
            return resolve.strategy(dirfd, path, resolve.DIRECTORY, 0, True, bounds, held), "."
        before = len(held)
        parent, name, _ = resolve.parent_of(dirfd, path, errno.EINVAL, bounds, held)
        if not follow or (content := _link_content(parent, name)) is None:
            return parent, name
        while len(held) > before:
            list(map(os.close, map(held.pop, _LAST)))
        if is_rooted(content):
            raise os_error(errno.EPERM, path)
        path = path[: -len(name)] + content
    raise os_error(errno.ELOOP, path)
