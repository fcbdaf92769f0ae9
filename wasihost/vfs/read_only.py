"""The errors of operations on a virtual tree that is mounted read-only: those that come before EROFS.

Rules of this file: those of `wasihost.sandbox.read_only`, in the same order, on nodes. Each function returns the error
to raise, and calls no method that changes a tree. Opening is in `operations.open_node`, which has a `read_only` flag.
"""

from __future__ import annotations

import errno

from wasihost.sandbox.names import os_error, rmdir_errno
from wasihost.vfs.nodes import Directory
from wasihost.vfs.resolve import node_at, resolve


def mkdir(start: Directory, path: str) -> OSError:
    """Error of mkdirat(2): EEXIST if anything exists."""
    return _making(start, path, directory=True)


def symlink(start: Directory, path: str) -> OSError:
    """Error of symlinkat(2): EEXIST if anything exists; ENOENT for a trailing slash if nothing does."""
    return _making(start, path)


def link(start: Directory, path: str, follow: bool, new_start: Directory, new_path: str) -> OSError:
    """Error of linkat(2), if either end is read-only: the old path has to exist; the new one as for `symlink`."""
    node_at(start, path, follow=follow)
    return _making(new_start, new_path)


def rmdir(start: Directory, path: str) -> OSError:
    """Error of unlinkat(2) with AT_REMOVEDIR: EINVAL for a last `.`, ENOTEMPTY for a last `..`."""
    return _after(start, path, rmdir_errno(path))


def unlink(start: Directory, path: str) -> OSError:
    """Error of unlinkat(2): EISDIR for a last `.` or `..`."""
    return _after(start, path, errno.EISDIR)


def rename(start: Directory, path: str, new_start: Directory, new_path: str) -> OSError:
    """Error of renameat(2), if either end is read-only: EINVAL for a path that ends in `.` or `..`."""
    first, second = _after(start, path, errno.EINVAL), _after(new_start, new_path, errno.EINVAL)
    return first if first.errno == errno.EINVAL else second


def utime(start: Directory, path: str, follow: bool) -> OSError:
    """Error of utimensat(2): the file has to exist."""
    node_at(start, path, follow=follow)
    return os_error(errno.EROFS, path)


def _after(start: Directory, path: str, dots: int) -> OSError:
    """EROFS once the path up to its last name is known to exist; errno `dots` if it ends in `.` or `..`."""
    return os_error(errno.EROFS if resolve(start, path, follow=False).name else dots, path)


def _making(start: Directory, path: str, *, directory: bool = False) -> OSError:
    place = resolve(start, path, follow=False)
    if place.node is not None:
        return os_error(errno.EEXIST, path)
    return os_error(errno.ENOENT if place.slash and not directory else errno.EROFS, path)
