"""What the operations say on a virtual tree of a read-only mount: which error comes before EROFS.

Rules of this file: those of `wasihost.sandbox.read_only`, in the same order, on nodes. No method that changes a tree is
called; each function returns the error to be raised. Opening is in `operations.open_node`, which knows read-only trees.
"""

from __future__ import annotations

import errno

from wasihost.sandbox.names import os_error
from wasihost.vfs.nodes import Directory
from wasihost.vfs.resolve import node_at, resolve


def mkdir(start: Directory, path: str) -> OSError:
    """Of mkdirat(2): EEXIST for what is there."""
    return _making(start, path, directory=True)


def symlink(start: Directory, path: str) -> OSError:
    """Of symlinkat(2): EEXIST for what is there, ENOENT for a slash after what is not."""
    return _making(start, path)


def link(start: Directory, path: str, follow: bool, new_start: Directory, new_path: str) -> OSError:
    """Of linkat(2), if either end is read-only: the old name has to be there; the new one as for `symlink`."""
    node_at(start, path, follow=follow)
    return _making(new_start, new_path)


def rmdir(start: Directory, path: str) -> OSError:
    """Of unlinkat(2) with AT_REMOVEDIR: EINVAL for a last `.`, ENOTEMPTY for a last `..`."""
    return _after(start, path, errno.ENOTEMPTY if path.rstrip("/").endswith("..") else errno.EINVAL)


def unlink(start: Directory, path: str) -> OSError:
    """Of unlinkat(2): EISDIR for a last `.` or `..`."""
    return _after(start, path, errno.EISDIR)


def rename(start: Directory, path: str, new_start: Directory, new_path: str) -> OSError:
    """Of renameat(2), if either end is read-only: EINVAL for a path that ends in `.` or `..`."""
    first, second = _after(start, path, errno.EINVAL), _after(new_start, new_path, errno.EINVAL)
    return first if first.errno == errno.EINVAL else second


def utime(start: Directory, path: str, follow: bool) -> OSError:
    """Of utimensat(2): the file has to be there."""
    node_at(start, path, follow=follow)
    return os_error(errno.EROFS, path)


def _after(start: Directory, path: str, dots: int) -> OSError:
    """EROFS, once the way to the last name is known to exist; errno `dots` for no name."""
    return os_error(errno.EROFS if resolve(start, path, follow=False).name else dots, path)


def _making(start: Directory, path: str, *, directory: bool = False) -> OSError:
    place = resolve(start, path, follow=False)
    if place.node is not None:
        return os_error(errno.EEXIST, path)
    return os_error(errno.ENOENT if place.slash and not directory else errno.EROFS, path)
