"""What a guest path says before any directory is asked: predicates, splitting, and the proof of a single name.

Rules of this file: text in, text out, no system call. Every refusal is an `OSError`:

- an empty path is ENOENT, a NUL is EINVAL, a name the host cannot spell is EILSEQ;
- a rooted path, and anything else that would lead out of the directory it starts from, is EPERM;
- a trailing slash never stays on a name. `openat("link/", O_NOFOLLOW)` follows the link (GHSA-hp8f-xmx4-4qrg,
  CVE-2026-39822), so the slash travels as a flag of its own and the name goes to the `*at` call without it.
"""

import errno
import os

DOTS = frozenset({".", ".."})
"""The two names that do not name an entry of a directory."""


def os_error(code: int, path: str) -> OSError:
    """The `OSError` (in its fitting subclass) for errno `code` about `path`."""
    return OSError(code, os.strerror(code), path)


def unencodable(reason: ValueError, path: str) -> OSError:
    """The `OSError` for a path that Python refused to hand to the host: EINVAL for a NUL, EILSEQ for its encoding."""
    return os_error(errno.EILSEQ if isinstance(reason, UnicodeError) else errno.EINVAL, path)


def is_rooted(path: str) -> bool:
    """Whether `path` (or the content of a link) starts at a root instead of at a directory of ours."""
    return path[:1] == "/"


def is_single(name: str) -> bool:
    """Whether `name` is one component that names an entry: not empty, `.` or `..`, and without slash and NUL."""
    return "/" not in name and "\0" not in name and name not in DOTS and name != ""


def names_directory(path: str) -> bool:
    """Whether `path` can only name a directory: it ends in a slash, `.` or `..`."""
    last = path[path.rfind("/") + 1 :]
    return last in DOTS or (not last and path != "")


def is_itself(path: str) -> bool:
    """Whether `path` names the directory that it starts from, without a step: `.`, `./`."""
    return path[:1] == "." and not path[1:].strip("/")


def single_name(name: str) -> str:
    """Prove that `name` is one component and return it: only results of this go into calls that act on an entry.

    Raises: ENOENT for an empty name, EINVAL for a NUL, EPERM for a slash, `.` and `..`.
    """
    if "/" in name or name in DOTS:
        raise os_error(errno.EPERM, name)
    if not name:
        raise os_error(errno.ENOENT, name)
    if "\0" in name:
        raise os_error(errno.EINVAL, name)
    return name


def split_last(path: str) -> tuple[str, str, bool]:
    """Split `path` into the path of its parent, its last component and whether slashes followed it.

    The parent is `""` when the path has one component only; the last component can be `.` or `..`.
    Raises: ENOENT for an empty path, EPERM for a rooted one.
    """
    if is_rooted(path):
        raise os_error(errno.EPERM, path)
    if not path:
        raise os_error(errno.ENOENT, path)
    bare = path.rstrip("/")
    parent, _, name = bare.rpartition("/")
    return parent, name, len(bare) != len(path)


def components(path: str) -> list[str]:
    """The components of a path or of a link's content in order, without the empty ones between and after slashes.

    Raises: ENOENT when there is nothing, EPERM for a rooted path.
    """
    if is_rooted(path):
        raise os_error(errno.EPERM, path)
    if not path:
        raise os_error(errno.ENOENT, path)
    return [name for name in path.split("/") if name]


def host_bytes(path: str) -> bytes:
    """`path` as the bytes the host's calls take.

    Raises: EINVAL for a NUL (C would silently end the path there), EILSEQ if the host's encoding lacks a character.
    """
    if "\0" in path:
        raise os_error(errno.EINVAL, path)
    try:
        return os.fsencode(path)
    except UnicodeEncodeError as reason:
        raise unencodable(reason, path) from None
