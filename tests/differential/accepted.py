"""The differences from wasmtime's own WASI that are meant, each with its reason.

Rules of this file: an entry names the function, the errnos of both sides, and what the call must be like for it to be
accepted; the reason says what is on our side: the specification, POSIX, or Linux' own system calls. `Accepted.fits` is
as narrow as can be said of one call. An entry that no script needs any more is to be removed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wasi_preview1.types import Errno, Fdflags, Oflags

from tests.conformance.steps import Step

ANY = frozenset(Errno)
FAILURES = ANY - {Errno.SUCCESS}


@dataclass(frozen=True)
class Accepted:
    """One difference. `fits` looks at the call and at what both sides returned."""

    reason: str
    functions: frozenset[str]
    ours: frozenset[Errno]
    theirs: frozenset[Errno]
    fits: Callable[[Step, Any, Any], bool] = lambda _step, _ours, _theirs: True


def _of(*functions: str) -> frozenset[str]:
    return frozenset(functions)


def _errnos(*names: str) -> frozenset[Errno]:
    return frozenset(Errno[name] for name in names)


def _paths(step: Step) -> list[str]:
    return [one for one in step.arguments if isinstance(one, str)]


def _itself(path: str) -> bool:
    """Whether a path ends in `.` or `..`."""
    return path.rstrip("/").rpartition("/")[2] in (".", "..", "")


def _number(step: Step, position: int) -> int:
    number = step.arguments[position]
    assert isinstance(number, int)
    return number


ACCEPTED = (
    Accepted(
        "on a directory Linux reads with EISDIR, truncates with EINVAL, and fsync, fdatasync and fcntl succeed; "
        "theirs returns BADF for all of these",
        _of("fd_read", "fd_pread", "fd_advise", "fd_sync", "fd_datasync", "fd_filestat_set_size",
            "fd_fdstat_set_flags"),
        _errnos("ISDIR", "INVAL", "SUCCESS"),
        _errnos("BADF"),
    ),
    Accepted(
        "openat and the like return ENOTDIR where the descriptor is a file; theirs returns BADF",
        frozenset({"path_open", "path_create_directory", "path_filestat_get", "path_filestat_set_times", "path_link",
                   "path_readlink", "path_remove_directory", "path_rename", "path_symlink", "path_unlink_file",
                   "fd_readdir"}),
        _errnos("NOTDIR"),
        _errnos("BADF"),
    ),
    Accepted(
        "the spec has dsync, rsync and sync, and the host can open files so; theirs returns NOTSUP",
        _of("path_open"),
        ANY,
        _errnos("NOTSUP"),
        lambda step, _ours, _theirs: bool(_number(step, 6) & (Fdflags.DSYNC | Fdflags.RSYNC | Fdflags.SYNC)),
    ),
    Accepted(
        "the spec has symlink_follow for links; theirs returns INVAL",
        _of("path_link"),
        ANY,
        _errnos("INVAL"),
        lambda step, _ours, _theirs: _number(step, 1) == 1,
    ),
    Accepted(
        "posix_fallocate(3) is what fd_allocate does; theirs returns NOTSUP for every file",
        _of("fd_allocate"),
        ANY,
        _errnos("NOTSUP"),
    ),
    Accepted(
        "a descriptor that is no preopened directory's is BADF for both functions about them, as the spec has no other "
        "errno for them; theirs returns NOTDIR from one",
        _of("fd_prestat_dir_name"),
        _errnos("BADF"),
        _errnos("NOTDIR"),
    ),
    Accepted(
        "a time that is to be both given and now is INVAL, and so may any other error of the call be what is returned",
        _of("fd_filestat_set_times", "path_filestat_set_times"),
        FAILURES,
        _errnos("INVAL"),
        lambda step, _ours, _theirs: any(_number(step, len(step.arguments) - 1) & bits == bits for bits in (3, 12)),
    ),
    Accepted(
        "open(2) with O_DIRECTORY and O_TRUNC fails by what is there; theirs returns INVAL whatever it is",
        _of("path_open"),
        _errnos("ISDIR", "NOTDIR", "NOENT", "PERM", "LOOP", "NAMETOOLONG", "BADF"),
        _errnos("INVAL"),
        lambda step, _ours, _theirs: _number(step, 3) & 10 == Oflags.DIRECTORY | Oflags.TRUNC,
    ),
    Accepted(
        "POSIX has EINVAL where a path of rename ends in `.` or `..`; Linux, and so theirs, EBUSY, or what else is "
        "wrong with the paths",
        _of("path_rename"),
        _errnos("INVAL"),
        _errnos("BUSY", "PERM", "NOENT", "NOTDIR"),
        lambda step, _ours, _theirs: any(map(_itself, _paths(step))),
    ),
    Accepted(
        "the name to be made is there already, and something else is wrong too: either may be returned",
        _of("path_link", "path_symlink"),
        _errnos("EXIST", "PERM"),
        _errnos("NOENT", "EXIST", "PERM", "INVAL", "NOTDIR", "LOOP"),
    ),
    Accepted(
        "openat(2) with O_NOFOLLOW and O_DIRECTORY is ENOTDIR at a link; theirs is LOOP",
        _of("path_open"),
        _errnos("NOTDIR"),
        _errnos("LOOP"),
        lambda step, _ours, _theirs: step.arguments[1] == 0 and bool(_number(step, 3) & Oflags.DIRECTORY),
    ),
    Accepted(
        "rmdir(2) and unlink(2) return ENOTDIR for a link with a slash behind it, and rmdir ENOTEMPTY for `..`",
        _of("path_remove_directory", "path_unlink_file"),
        _errnos("NOTDIR", "NOTEMPTY"),
        _errnos("INVAL", "ISDIR", "NOENT", "LOOP"),
        lambda step, _ours, _theirs: _paths(step)[0].endswith("/") or _itself(_paths(step)[0]),
    ),
    Accepted(
        "POSIX lets utimensat(2) fail for a file that does not exist also where no time is to be set; Linux, and so "
        "theirs, does not look",
        _of("path_filestat_set_times"),
        FAILURES,
        _errnos("SUCCESS"),
        lambda step, _ours, _theirs: _number(step, 5) == 0,
    ),
    Accepted(
        "the spec has an error in each event; theirs fails the whole poll for one bad descriptor",
        _of("poll_oneoff"),
        _errnos("SUCCESS"),
        _errnos("BADF"),
        lambda _step, ours, _theirs: any(event["error"] for event in ours),
    ),
    Accepted(
        "all that is ready is returned, also the clock whose time has come; theirs returns the first that it finds",
        _of("poll_oneoff"),
        _errnos("SUCCESS"),
        _errnos("SUCCESS"),
        lambda _step, ours, theirs: all(event in ours for event in theirs),
    ),
    Accepted(
        "without fd_write a file is opened to be read, also with creat, as open(2) has it; theirs can be written",
        _of("fd_write", "fd_pwrite", "fd_filestat_set_size", "fd_allocate"),
        _errnos("BADF", "INVAL"),
        _errnos("SUCCESS"),
    ),
    Accepted(
        "readv(2) and writev(2) go on with the next buffer; theirs stops behind the first that is not empty",
        _of("fd_read", "fd_write", "fd_pread", "fd_pwrite"),
        _errnos("SUCCESS"),
        _errnos("SUCCESS"),
        lambda _step, ours, theirs: theirs[0] < ours[0] and ours[1].startswith(theirs[1]),
    ),
)  # fmt: skip

CHANGE_NOTHING = _of("poll_oneoff", "fd_sync", "fd_datasync", "fd_advise")
"""After a difference of these, what follows can still be compared."""


def reason(step: Step, ours: tuple[Errno, Any], theirs: tuple[Errno, Any]) -> str | None:
    """Why a difference is accepted; None if it is not."""
    for one in ACCEPTED:
        if (
            step.function in one.functions
            and ours[0] in one.ours
            and theirs[0] in one.theirs
            and one.fits(step, ours[1], theirs[1])
        ):
            return one.reason
    return None
