"""The operations that act on a name: each resolves the parent directory and makes one call on one proven name.

Rules of this file:

- No call follows a link or sees a slash. What a trailing slash requires is decided here, by POSIX's rules for the call.
- A path that ends in `.` or `..` is resolved first, so that an escape is EPERM before anything else.
- All raise EPERM for a path that leads out of its directory, ENOENT for an empty one, EINVAL for a NUL, EILSEQ for a
  name that the host cannot encode, and what the POSIX call raises; the docstrings say what differs.
- The bodies repeat "try, parent_of, finally close" because a shared function or context manager costs more than 3 %
  of a call, and an `__exit__` can lose a descriptor when a signal handler raises: see `held`, and RATIONALE.
"""

import errno
import os
import stat

from . import resolve, times
from .bounds import ANYWHERE, Bounds
from .names import is_rooted, names_directory, os_error, rmdir_errno, unencodable
from .walk import MAX_LINKS


def mkdir_beneath(dirfd: int, path: str, mode: int, bounds: Bounds = ANYWHERE) -> None:
    """POSIX `mkdirat`; a trailing slash is allowed. Raises: EEXIST if anything exists, also a dangling link."""
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
    """POSIX `unlinkat` with AT_REMOVEDIR; a trailing slash is allowed, but ENOTDIR for a link.

    Raises: EINVAL for a last `.`, ENOTEMPTY for a last `..`.
    """
    held: list[int] = []
    try:
        parent, name, _ = resolve.parent_of(dirfd, path, rmdir_errno(path), bounds, held)
        os.rmdir(name, dir_fd=parent)
    except ValueError as reason:
        raise unencodable(reason, path) from None
    finally:
        if held:
            list(map(os.close, held))


def unlink_beneath(dirfd: int, path: str, bounds: Bounds = ANYWHERE) -> None:
    """POSIX `unlinkat` without AT_REMOVEDIR.

    Raises: EISDIR for a directory, also on hosts that say EPERM; ENOTDIR for anything else with a trailing slash.
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
    """POSIX `renameat`.

    Raises: ENOTDIR for a trailing slash on either path if the source is not a directory; EINVAL for a path that ends in
    `.` or `..`, as in POSIX (Linux itself says EBUSY).
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
    """POSIX `readlinkat`: return the target of the link, decoded by `os.fsdecode`.

    Raises: EINVAL for anything but a link; EPERM for a target that starts with a slash, which is a place on the host
    that the guest must not learn. A trailing slash follows the link, so it always raises (EINVAL for a directory).
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
    """POSIX `symlinkat`: make a link at `path`. The target need not exist, and is checked when the link is followed.

    Raises: EPERM for a target that starts with a slash. For a path with a trailing slash: ENOENT if nothing is there,
    EEXIST for a directory, ENOTDIR for anything else.
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
    """POSIX `linkat`: make a second name for a file, for a link itself unless `follow`.

    Raises: EPERM for a directory; as `symlink_beneath` for a new path with a trailing slash.
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

    Each of `stamps` (access, modification) is nanoseconds since 1970, `times.UTIME_NOW` or `times.UTIME_OMIT`.
    """
    held: list[int] = []
    try:
        if bounds.one_file_system:  # another file system may be mounted at the name
            resolve.strategy(dirfd, path, resolve.HANDLE, 0, follow, bounds, held)
        parent, name = _entry(dirfd, path, follow, bounds, held)
        if stamps == _NEITHER:
            os.lstat(name, dir_fd=parent)  # Linux would not check that the file exists
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
    """Return the open directory and the proven name for `path`; descriptors opened for that are in `held`.

    With `follow` the name is not a link. If it becomes one before it is used, the operation acts on the link, never on
    its target. For a path that names a directory by `.`, `..` or a slash, also of a link, it is that directory and `.`.
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
