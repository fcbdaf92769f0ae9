"""Set the access and modification time of one name or one open file.

Rules of this file: `os.utime` supports neither UTIME_NOW nor UTIME_OMIT for one of the two times, so this is POSIX
`utimensat` through ctypes. It never follows a link.
"""

import ctypes
import errno
import os
import struct
import sys

from .names import host_bytes, os_error

UTIME_NOW = -1
"""Instead of nanoseconds: the time of the call."""
UTIME_OMIT = -2
"""Instead of nanoseconds: keep the time as it is."""

if sys.platform == "linux":
    _AT_SYMLINK_NOFOLLOW, _NSEC = 0x100, {UTIME_NOW: (1 << 30) - 1, UTIME_OMIT: (1 << 30) - 2}
elif sys.platform == "darwin":
    _AT_SYMLINK_NOFOLLOW, _NSEC = 0x20, {UTIME_NOW: -1, UTIME_OMIT: -2}
else:
    _AT_SYMLINK_NOFOLLOW, _NSEC = 0x200, {UTIME_NOW: -1, UTIME_OMIT: -2}

_libc = ctypes.CDLL(None, use_errno=True)
_utimensat, _futimens = _libc.utimensat, _libc.futimens
_utimensat.restype = _futimens.restype = ctypes.c_int
_futimens.argtypes = (ctypes.c_int, ctypes.c_char_p)
_utimensat.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)


def set_times(fd: int, name: str | None, atime: int, mtime: int) -> None:
    """POSIX `utimensat` on the entry `name` of the directory `fd`, or `futimens` on the open file `fd` if that is None.

    `name` must be proven single, or be `.`. Times are nanoseconds since 1970, `UTIME_NOW` or `UTIME_OMIT`.
    Raises: EINVAL for a time that the host cannot store, and all that `utimensat` raises (EBADF for O_PATH).
    """
    try:
        times = struct.pack("@4l", *_timespec(atime), *_timespec(mtime))
    except struct.error:
        raise os_error(errno.EINVAL, name or "") from None
    entry = b"" if name is None else host_bytes(name)
    while (_futimens(fd, times) if name is None else _utimensat(fd, entry, times, _AT_SYMLINK_NOFOLLOW)) < 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code), name)


def _timespec(time: int) -> tuple[int, int]:
    if time >= 0:
        return divmod(time, 1_000_000_000)
    if time not in _NSEC:
        raise struct.error
    return 0, _NSEC[time]
