"""POSIX calls on a path of any virtual tree: the counterpart of `wasihost.sandbox.operations`.

Rules of this file: each function resolves the path, checks what slashes, dots and kinds of nodes require, and calls one
method of one directory with one name. Nothing here depends on a kind of tree. All raise what `resolve` raises; the
docstrings say what else.
"""

from __future__ import annotations

import errno

from wasihost.sandbox.names import is_rooted, names_directory, os_error, rmdir_errno
from wasihost.vfs.names import check_path, target_of
from wasihost.vfs.nodes import Directory, File, Link, Node, unsupported
from wasihost.vfs.resolve import Place, names_no_entry, node_at, resolve


def open_node(
    start: Directory,
    path: str,
    *,
    follow: bool,
    directory: bool = False,
    create: bool = False,
    exclusive: bool = False,
    writing: bool = False,
    read_only: bool = False,
) -> Node:
    """openat(2): return the file or directory at `path`; with `create`, a new file if there is none.

    With `read_only`, raises EROFS instead of making a file, and for `writing`.

    Raises: EEXIST for `create` with `exclusive` if anything exists; ELOOP for a link that is not to be followed; EISDIR
    for a directory to be written, or for creating with a trailing slash; ENOTDIR for `directory` and anything else;
    ENOTSUP for a FIFO, a socket or a device.
    """
    exclusive = exclusive and create
    follow = not exclusive and (follow or path[-1:] == "/")
    place = resolve(start, path, follow=follow, creating=create)
    node = place.node
    if node is None:
        if not create:
            raise os_error(errno.ENOENT, path)
        if read_only:
            raise os_error(errno.EROFS, path)
        try:
            return place.directory.create_file(place.name)
        except FileExistsError:  # another thread has just made it
            place = resolve(start, path, follow=follow, creating=create)
            node = place.node
            if node is None:
                raise
    if exclusive:
        raise os_error(errno.EEXIST, path)
    if isinstance(node, Directory):
        if create or writing:
            raise os_error(errno.EISDIR, path)
    elif directory or place.slash:
        raise os_error(errno.ENOTDIR, path)
    elif isinstance(node, Link):
        raise os_error(errno.ELOOP, path)
    elif not isinstance(node, File):
        raise unsupported(path)
    elif read_only and writing:
        raise os_error(errno.EROFS, path)
    return node


def mkdir(start: Directory, path: str) -> None:
    """mkdirat(2); a trailing slash is allowed. Raises: EEXIST if anything exists, also a dangling link."""
    place = resolve(start, path, follow=False)
    if place.node is not None:
        raise os_error(errno.EEXIST, path)
    place.directory.create_directory(place.name)


def rmdir(start: Directory, path: str) -> None:
    """unlinkat(2) with AT_REMOVEDIR. Raises: EINVAL for a last `.`, ENOTEMPTY for a last `..`."""
    place = resolve(start, path, follow=False)
    if not place.name:
        raise os_error(rmdir_errno(path), path)
    if not isinstance(_existing(place, path), Directory):
        raise os_error(errno.ENOTDIR, path)
    place.directory.remove_directory(place.name)


def unlink(start: Directory, path: str) -> None:
    """unlinkat(2). Raises: EISDIR for a directory, ENOTDIR for anything else with a trailing slash."""
    place = resolve(start, path, follow=False)
    if isinstance(_existing(place, path), Directory):
        raise os_error(errno.EISDIR, path)
    if place.slash:
        raise os_error(errno.ENOTDIR, path)
    place.directory.remove(place.name)


def rename(start: Directory, path: str, new_start: Directory, new_path: str) -> None:
    """renameat(2); replaces what POSIX lets it replace.

    Raises: EINVAL for a path that ends in `.` or `..`, and for moving a directory into itself; ENOTDIR for a trailing
    slash if the source is not a directory, and for replacing something else by a directory; EISDIR for the reverse.
    """
    old = resolve(start, path, follow=False)
    if not old.name:
        raise os_error(errno.EINVAL, path)
    new = resolve(new_start, new_path, follow=False)
    if not new.name:
        raise os_error(errno.EINVAL, new_path)
    source = _existing(old, path)
    if (old.slash or new.slash) and not isinstance(source, Directory):
        raise os_error(errno.ENOTDIR, path if old.slash else new_path)
    if source is new.directory or _is_above(source, new.directory):
        raise os_error(errno.EINVAL, new_path)
    if new.node is not None and (new.node is old.directory or _is_above(new.node, old.directory)):
        raise os_error(errno.ENOTEMPTY, new_path)
    if isinstance(source, Directory):
        if new.node is not None and not isinstance(new.node, Directory):
            raise os_error(errno.ENOTDIR, new_path)
    elif isinstance(new.node, Directory):
        raise os_error(errno.EISDIR, new_path)
    if new.node is not source:
        old.directory.rename(old.name, new.directory, new.name)


def link(start: Directory, path: str, follow: bool, new_start: Directory, new_path: str) -> None:
    """linkat(2): make a second name for a file, for a link itself unless `follow`.

    Raises: EPERM for a directory, EEXIST if the new path exists; as `symlink` if that has a trailing slash.
    """
    if names_directory(path):
        raise names_no_entry(start, path, errno.EPERM)
    old = resolve(start, path, follow=follow)
    if follow and not isinstance(_existing(old, path), Directory) and old.slash:
        raise os_error(errno.ENOTDIR, path)
    place = _place_of_new(new_start, new_path)
    node = _existing(old, path)
    if place.node is not None:
        raise os_error(errno.EEXIST, new_path)
    if isinstance(node, Directory):
        raise os_error(errno.EPERM, path)
    place.directory.link(place.name, node)


def symlink(target: str, start: Directory, path: str) -> None:
    """symlinkat(2). The target need not exist; whether it leads out of the tree is checked when the link is followed.

    Raises: EPERM for a target that starts with a slash, ENOENT for an empty one, ENAMETOOLONG, EINVAL for a NUL. For a
    path with a trailing slash: ENOENT if nothing is there, EEXIST for a directory, ENOTDIR for anything else.
    """
    if is_rooted(target):
        raise os_error(errno.EPERM, target)
    place = _place_of_new(start, path)
    check_path(target)
    if not target:
        raise os_error(errno.ENOENT, target)
    if place.node is not None:
        raise os_error(errno.EEXIST, path)
    place.directory.create_link(place.name, target)


def readlink(start: Directory, path: str) -> str:
    """readlinkat(2). Raises: EINVAL for anything but a link, EPERM for a target that starts with a slash."""
    if names_directory(path):
        raise names_no_entry(start, path, errno.EINVAL)
    node = node_at(start, path, follow=False)
    if not isinstance(node, Link):
        raise os_error(errno.EINVAL, path)
    content = target_of(node)
    if is_rooted(content):
        raise os_error(errno.EPERM, path)
    return content


def _existing(place: Place, path: str) -> Node:
    if place.node is None:
        raise os_error(errno.ENOENT, path)
    return place.node


def _is_above(node: Node, directory: Directory) -> bool:
    """Whether `node` is an ancestor of `directory`, as far as the tree knows its ancestors."""
    ancestor = directory.above()
    while ancestor is not None and ancestor is not node:
        ancestor = ancestor.above()
    return ancestor is not None


def _place_of_new(start: Directory, path: str) -> Place:
    """Resolve the path of a new file or link. Raises: EEXIST for a path that ends in `.`, `..` or a slash."""
    if path[-1:] == "/":
        raise names_no_entry(start, path, errno.EEXIST)
    place = resolve(start, path, follow=False)
    if not place.name:
        raise os_error(errno.EEXIST, path)
    return place
