"""Copies the content of a file into a file of the host: as a clone where the file system can, or within the kernel.

Rules of this file: long copies end with their guest, as `vfs.interruption` has it. Holes of the source become zeros or
holes, as the system does it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import Final

from wasihost.overlays.files import OverlayFile
from wasihost.vfs.interruption import check_now
from wasihost.vfs.nodes import File

_FICLONE: Final = 0x40049409
_PIECE: Final = 1 << 20
_KERNEL_PIECE: Final = 16 << 20
_CANNOT: Final = frozenset(
    getattr(errno, name)
    for name in ("EXDEV", "EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EBADF", "EPERM", "ETXTBSY", "ENOTTY")
)


def copy_into(fd: int, source: File | int, size: int | None = None) -> None:
    """Copy a file, or its first `size` bytes, into the empty file that is open as `fd`.

    `source` is a node, or a descriptor that is open for reading. Raises: OSError; what the check of this thread raises.
    """
    if isinstance(source, int):
        _copy_descriptor(fd, source, size)
        return
    opened = source.open(writing=False)
    try:
        inner = opened.content or opened.source if isinstance(opened, OverlayFile) else opened
        descriptor = getattr(inner, "fd", None)  # of a file of the host, as it is below or in the overlay's own folder
        if isinstance(descriptor, int):
            _copy_descriptor(fd, descriptor, size)
        else:
            _copy_pieces(fd, opened, size)
    finally:
        opened.close()


def _copy_descriptor(fd: int, source: int, size: int | None) -> None:
    whole = os.fstat(source).st_size
    size = whole if size is None else min(size, whole)
    if size == whole and _clone(fd, source):
        return
    done = 0
    while done < size:
        check_now()
        try:
            copied = os.copy_file_range(source, fd, min(size - done, _KERNEL_PIECE), done, done)
        except AttributeError:
            copied = -1
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            copied = -1
        if copied < 0:
            copied = _write_all(fd, os.pread(source, min(size - done, _PIECE), done), done)
        if not copied:  # the source is shorter by now
            os.ftruncate(fd, size)
            return
        done += copied


def _copy_pieces(fd: int, source: File, size: int | None) -> None:
    whole = source.stat().size
    size = whole if size is None else min(size, whole)
    done = 0
    while done < size:
        check_now()
        copied = _write_all(fd, source.read(done, min(size - done, _PIECE)), done)
        if not copied:
            os.ftruncate(fd, size)
            return
        done += copied


def _write_all(fd: int, data: bytes, offset: int) -> int:
    """Write all of `data`, and return its size."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        offset += written
        rest = rest[written:]
    return len(data)


def _clone(fd: int, source: int) -> bool:
    """Let both files share their blocks until one is written to. False if the file system cannot."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(fd, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    return True
