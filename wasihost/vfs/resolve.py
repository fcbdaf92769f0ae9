"""Where a path leads in a virtual tree, by the rules that `wasihost.sandbox` keeps on the host.

Rules of this file:

- A path stays beneath the directory that it starts from. `..` goes back on a stack of the directories passed, so one
  that was moved meanwhile does not lead to its new parent.
- Going back past the start is EPERM, even if the path returns; so is a path or link that starts with a slash.
- Components are looked up one at a time, and at most `MAX_LINKS` links are followed.
- Errors are those of Linux for the same path under RESOLVE_BENEATH.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from wasihost.sandbox.names import components, os_error
from wasihost.sandbox.walk import MAX_LINKS
from wasihost.vfs.names import NAME_MAX, check_path, is_entry, target_of
from wasihost.vfs.nodes import Directory, Link, Node


class Place(NamedTuple):
    """Where a path ends: the directory, the name in it, and the node of that name, if there is one.

    `name` is empty if the path ends in `.` or `..`: then `node` is `directory`. `slash`: the path, or the link at its
    end, has a trailing slash, and so can only name a directory.
    """

    directory: Directory
    name: str
    node: Node | None
    slash: bool


def resolve(start: Directory, path: str, *, follow: bool, creating: bool = False) -> Place:
    """Return where `path` ends beneath `start`. `follow`: also follow a link that is the last component.

    With `creating`, a trailing slash (also of a link at the end) is refused with EISDIR.

    Raises: ENOENT for an empty path and for a missing directory on the way, ENOTDIR for a file on the way, EPERM for a
    path that leads out, ELOOP for more than `MAX_LINKS` links, EINVAL for a NUL, EILSEQ for characters that UTF-8
    cannot encode, ENAMETOOLONG.
    """
    check_path(path)
    work = components(path)
    work.reverse()
    slash = path[-1] == "/"
    here, passed = start, [start]
    links = 0
    while True:
        name = work.pop()
        if name == "." or name == "..":
            if name == "..":
                passed.pop()
                if not passed:
                    raise os_error(errno.EPERM, path)
                here = passed[-1]
            if work:
                continue
            return Place(here, "", here, True)
        if len(name) * 4 > NAME_MAX and not is_entry(name):
            raise os_error(errno.ENAMETOOLONG, path)
        if creating and slash and not work:
            raise os_error(errno.EISDIR, path)
        node = here.lookup(name)
        if isinstance(node, Link) and (work or follow):
            links += 1
            if links > MAX_LINKS:
                raise os_error(errno.ELOOP, path)
            content = target_of(node)
            if not work and content[-1:] == "/":
                slash = True
            work += reversed(components(content))
        elif not work:
            return Place(here, name, node, slash)
        elif node is None:
            raise os_error(errno.ENOENT, path)
        elif not isinstance(node, Directory):
            raise os_error(errno.ENOTDIR, path)
        else:
            here = node
            passed.append(here)


def node_at(start: Directory, path: str, *, follow: bool) -> Node:
    """Return the node at `path`; a link with a trailing slash is always followed. Raises: ENOENT, ENOTDIR."""
    place = resolve(start, path, follow=follow or path[-1:] == "/")
    if place.node is None:
        raise os_error(errno.ENOENT, path)
    if place.slash and not isinstance(place.node, Directory):
        raise os_error(errno.ENOTDIR, path)
    return place.node


def names_no_entry(start: Directory, path: str, code: int) -> OSError:
    """Return errno `code`, for a `path` that names a directory itself and not an entry of one.

    Raises: the reason why `path`, followed to its end, is not a directory (ENOENT, ENOTDIR, EPERM, ELOOP ...).
    """
    if not isinstance(node_at(start, path, follow=True), Directory):
        raise os_error(errno.ENOTDIR, path)
    return os_error(code, path)
