"""Checks and splitting of guest paths, and the proof of a single name.

Rules of this file: text in, text out, no system calls. Every refusal is an `OSError`:

- an empty path is ENOENT, a NUL is EINVAL, a name that the host cannot encode is EILSEQ;
- a path that starts with a slash, or leads out of the directory it starts from in any other way, is EPERM;
- a trailing slash never stays on a name. `openat("link/", O_NOFOLLOW)` follows the link (GHSA-hp8f-xmx4-4qrg,
  CVE-2026-39822), so the slash is passed on as a flag, and the `*at` call gets the name without it.
"""

import errno
import os
import sys

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
DOTS = frozenset({".", ".."})
"""The names that are not names of entries."""


def os_error(code: int, path: str) -> OSError:
    """Return the `OSError` for errno `code` about `path`; Python chooses the subclass."""
    return OSError(code, os.strerror(code), path)


def unencodable(reason: ValueError, path: str) -> OSError:
    """Return the error for a path that Python could not pass to the host: EILSEQ for its encoding, EINVAL for a NUL."""
    return os_error(errno.EILSEQ if isinstance(reason, UnicodeError) else errno.EINVAL, path)


def is_rooted(path: str) -> bool:
    """Whether `path`, or the target of a link, starts with a slash: at the root instead of at the guest's directory."""
    return path[:1] == "/"


def is_single(name: str) -> bool:
    """Whether `name` is one component that names an entry: no slash, no NUL, not empty, not `.` or `..`."""
    return "/" not in name and "\0" not in name and name not in DOTS and name != ""


def names_directory(path: str) -> bool:
    """Whether `path` can only name a directory: it ends in a slash, `.` or `..`."""
    last = path[path.rfind("/") + 1 :]
    return last in DOTS or (not last and path != "")


def is_itself(path: str) -> bool:
    """Whether `path` names the directory that it starts from, as `.` and `./` do."""
    return path[:1] == "." and not path[1:].strip("/")


def rmdir_errno(path: str) -> int:
    """The errno of rmdir(2) for a path that ends in `.` (EINVAL) or `..` (ENOTEMPTY)."""
    return errno.ENOTEMPTY if path.rstrip("/").endswith("..") else errno.EINVAL


def single_name(name: str) -> str:
    """Return `name` once it is proven to be one component. Calls that act on an entry get only such names.

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

    The parent is `""` if the path has only one component; the last component can be `.` or `..`.
    Raises: ENOENT for an empty path, EPERM for one that starts with a slash.
    """
    if is_rooted(path):
        raise os_error(errno.EPERM, path)
    if not path:
        raise os_error(errno.ENOENT, path)
    bare = path.rstrip("/")
    parent, _, name = bare.rpartition("/")
    return parent, name, len(bare) != len(path)


def components(path: str) -> list[str]:
    """Return the components of a path or a link's target in order, without the empty ones around slashes.

    Raises: ENOENT for an empty path, EPERM for one that starts with a slash.
    """
    if is_rooted(path):
        raise os_error(errno.EPERM, path)
    if not path:
        raise os_error(errno.ENOENT, path)
    return [name for name in path.split("/") if name]


def host_bytes(path: str) -> bytes:
    """Return `path` as bytes for system calls.

    Raises: EINVAL for a NUL, at which C would silently end the path; EILSEQ for what the host cannot encode.
    """
    if "\0" in path:
        raise os_error(errno.EINVAL, path)
    try:
        return path.encode(_ENCODING, _ERRORS)  # os.fsencode, in a fifth of its time
    except UnicodeEncodeError as reason:
        raise unencodable(reason, path) from None
