"""Linux `openat2`: the kernel resolves the whole path and promises that it stays beneath the directory.

Rules of this file: one system call, made through libc's `syscall`, because neither `os` nor most C libraries have a
function for it. `ctypes.CDLL` releases the GIL during the call. `bounds.INSIDE` and O_CLOEXEC are always set. What an
error means beyond its errno is decided in `resolve`.
"""

import ctypes
import errno
import functools
import os
import struct
from itertools import starmap

from .bounds import INSIDE, NO_LINKS
from .names import host_bytes, os_error

_SYS_OPENAT2 = 437  # the same on every architecture, as for all calls added since Linux 5.1
_AT_FDCWD = -100

RETRIES = 128
"""Retries after EAGAIN, which a path with `..` can get from any rename or mount on the host."""

_O_PATH: int = getattr(os, "O_PATH", 0)
_O_LARGEFILE: int = getattr(os, "O_LARGEFILE", 0)
_PATH_ONLY = _O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)

_usable: bool | None = None


@functools.lru_cache(maxsize=256)
def open_how(flags: int, mode: int, resolve: int = INSIDE) -> bytes:
    """Return `struct open_how`: three u64. Unlike `open`, the call refuses flags that it would have to ignore."""
    if flags & _O_PATH:
        flags &= _PATH_ONLY
    else:
        flags |= _O_LARGEFILE
    return struct.pack("=QQQ", flags | os.O_CLOEXEC, mode & 0o7777 if flags & os.O_CREAT else 0, resolve)


def open_path(
    dirfd: int, path: str, flags: int, mode: int, resolve: int = INSIDE, held: list[int] | None = None
) -> int:
    """Open `path` beneath `dirfd` and return a new descriptor, which is the last in `held`.

    A link that is the last component is followed, unless `flags` has O_NOFOLLOW.

    Raises: EPERM for a path that leads out (the kernel says EXDEV; that stays if `resolve` also forbids other mounts,
    because the kernel does not say which it was); ELOOP for too many links, for a link with O_NOFOLLOW and for a magic
    link; EAGAIN if each of `RETRIES` attempts met a rename; and all that `open` raises.
    """
    name = host_bytes(path)
    how = open_how(flags, mode, resolve)
    attempts = 0
    if held is None:
        held = []
    while True:
        held += starmap(_syscall, ((_SYS_OPENAT2, dirfd, name, how, 24),))
        if (fd := held[-1]) >= 0:
            return fd
        held.pop()
        code = ctypes.get_errno()
        if code == errno.EXDEV and resolve & ~NO_LINKS == INSIDE:
            raise os_error(errno.EPERM, path)
        if code == errno.EAGAIN and attempts < RETRIES:
            attempts += 1
        elif code != errno.EINTR:  # after EINTR the loop continues; a signal handler that raises ends it
            raise os_error(code, path)


def available() -> bool:
    """Whether the kernel has the call and this process may use it; tried once.

    Opening `/` beneath the current directory must fail with EXDEV. A kernel without the call says ENOSYS, a seccomp
    filter usually EPERM. A full descriptor table is detected before that and proves nothing, so it is not remembered.
    """
    global _usable
    if _usable is None:
        code = 0
        held: list[int] = []
        held += starmap(_syscall, ((_SYS_OPENAT2, _AT_FDCWD, b"/", open_how(_O_PATH, 0), 24),))
        if held[-1] < 0:
            code = ctypes.get_errno()
        else:
            os.close(held.pop())
        if code in (errno.EMFILE, errno.ENFILE):
            return True
        _usable = code == errno.EXDEV
    return _usable
