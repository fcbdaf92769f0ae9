"""System calls on an open file and their arguments, with the checks and errnos that kinds of descriptors share.

Rules of this file: functions over a host fd or plain numbers; no descriptor is known here.
"""

from __future__ import annotations

import os

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Advice, Errno, Fdflags, Fstflags

from wasihost.waiting.cancel_scope import CancelScope
from wasihost.waiting.pieces import PIECE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_OFFSET = 2**63 - 1
"""The largest position in a file: a signed 64-bit number, as the spec's `filedelta`."""
APPEND, NONBLOCK = int(Fdflags.APPEND), int(Fdflags.NONBLOCK)
SYNCHRONOUS = int(Fdflags.DSYNC | Fdflags.SYNC | Fdflags.RSYNC)

fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
"""fdatasync(2), or fsync(2) where the host does not have it."""

_ADVICE = {
    Advice[name]: getattr(os, f"POSIX_FADV_{name}", 0)
    for name in ("NORMAL", "SEQUENTIAL", "RANDOM", "WILLNEED", "DONTNEED", "NOREUSE")
}
_ALLOCATED = 16 * PIECE
"""Bytes allocated by one call: 4 ms where the system has to make zeros in memory, less on a disk."""


def file_offset(value: int) -> int:
    """`value` as an `off_t`. Raises INVAL if it does not fit."""
    if value > MAX_OFFSET:
        raise WasiError(Errno.INVAL)
    return value


def check_synchronous(now: Fdflags, wanted: Fdflags) -> None:
    """Raise NOTSUP if a synchronous flag would change: systems fix these when a file is opened."""
    if (wanted ^ now) & SYNCHRONOUS:
        raise WasiError(Errno.NOTSUP)


def advise(fd: int, offset: int, size: int, advice: Advice) -> None:
    """posix_fadvise(2); does nothing where the host does not have it. Raises INVAL for an end beyond 2**63-1."""
    file_offset(offset + size)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, size, _ADVICE[advice])


def allocate(fd: int, offset: int, size: int, scope: CancelScope | None) -> None:
    """posix_fallocate(2). A large size is allocated in pieces, after a check that the file system has enough room.

    Raises INVAL for size 0 and for an end beyond 2**63-1, NOTSUP where the host does not have the call.
    """
    end = file_offset(offset + size)
    if not hasattr(os, "posix_fallocate"):
        raise WasiError(Errno.NOTSUP)
    if size <= _ALLOCATED:
        os.posix_fallocate(fd, offset, size)
        return
    room = os.fstatvfs(fd)
    if size > room.f_bavail * room.f_frsize + os.fstat(fd).st_blocks * 512:
        raise WasiError(Errno.NOSPC)
    for at in range(offset, end, _ALLOCATED):
        if scope is not None:
            scope.check()
        os.posix_fallocate(fd, at, min(_ALLOCATED, end - at))


def status_flags(fd: int) -> Fdflags:
    """fcntl(F_GETFL): the current APPEND and NONBLOCK."""
    import fcntl

    mode = fcntl.fcntl(fd, fcntl.F_GETFL)
    return Fdflags((APPEND if mode & os.O_APPEND else 0) | (NONBLOCK if mode & os.O_NONBLOCK else 0))


def change_status_flags(fd: int, flags: Fdflags) -> None:
    """fcntl(F_SETFL): set APPEND and NONBLOCK as in `flags`, keep all other flags."""
    import fcntl

    mode = fcntl.fcntl(fd, fcntl.F_GETFL) & ~(os.O_APPEND | os.O_NONBLOCK)
    mode |= os.O_APPEND if flags & APPEND else 0
    mode |= os.O_NONBLOCK if flags & NONBLOCK else 0
    fcntl.fcntl(fd, fcntl.F_SETFL, mode)


def stamps(atim: int, mtim: int, which: Fstflags) -> tuple[int, int]:
    """The access and modification time in ns, or `UTIME_NOW`, or `UTIME_OMIT`.

    Raises INVAL if the flags ask for both a given time and the current one.
    """
    return (
        _stamp(atim, which & Fstflags.ATIM, which & Fstflags.ATIM_NOW),
        _stamp(mtim, which & Fstflags.MTIM, which & Fstflags.MTIM_NOW),
    )


def _stamp(time: int, given: int, now: int) -> int:
    if given and now:
        raise WasiError(Errno.INVAL)
    from wasihost.sandbox.times import UTIME_NOW, UTIME_OMIT  # not needed by a guest that sets no times

    return time if given else UTIME_NOW if now else UTIME_OMIT
