"""A directory of the host, held as an open fd. Only the sandbox decides where a path leads.

A read-only mount is a flag that every directory opened through it inherits: every call that would change something
raises ROFS, whatever rights the guest requests (GHSA-2r75-cxrj-cmph: TRUNC without a write right; GHSA-4ch3-9j33-3pmj:
link and rename out of it).
"""

from __future__ import annotations

import errno
import os
import stat

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filestat, Filetype, Fstflags, Oflags, Rights

from wasihost.common.cache_folder import SEALED
from wasihost.common.interrupts import FRAGILE, WHEN_TRACED
from wasihost.descriptors import rights as kinds
from wasihost.descriptors.base import Descriptor, Directory
from wasihost.descriptors.file_calls import change_status_flags, fdatasync, stamps
from wasihost.descriptors.host_file import HostFile
from wasihost.descriptors.host_stream import Fifo, HostDevice, HostStream
from wasihost.descriptors.hoststat import KINDS, filestat_of, filetype_of, host_filestat
from wasihost.descriptors.reported import CHECKED, DirectoryEntry, Listing
from wasihost.errors import raise_if_from_handler
from wasihost.native import extension
from wasihost.sandbox import operations, read_only, resolve
from wasihost.sandbox.bounds import Bounds, bounds_of, is_harmless
from wasihost.sandbox.names import is_itself
from wasihost.sandbox.times import set_times
from wasihost.waiting.cancel_scope import CancelScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

_READ, _WRITE = int(Rights.FD_READ), int(Rights.FD_WRITE)
_CREAT, _DIRECTORY, _EXCL, _TRUNC = (int(flag) for flag in (Oflags.CREAT, Oflags.DIRECTORY, Oflags.EXCL, Oflags.TRUNC))
_FILE, _STREAM = int(kinds.FILE), int(kinds.STREAM)
_A_FILE, _A_FOLDER, _A_BLOCK_DEVICE = Filetype.REGULAR_FILE, Filetype.DIRECTORY, Filetype.BLOCK_DEVICE
_A_DEVICE = Filetype.CHARACTER_DEVICE
_AT_ONCE = os.O_NONBLOCK | os.O_NOCTTY
_KIND_BYTES = bytes(KINDS)
_LEASE_PAUSE = 20_000_000
"""ns between two attempts to open a file on which another process holds a lease."""
FRAGILE.add(resolve.open_beneath.__code__)
WHEN_TRACED.append(resolve.expect_tracers)
_HOST_FLAGS = {
    Fdflags.APPEND: os.O_APPEND,
    Fdflags.DSYNC: os.O_DSYNC,
    Fdflags.NONBLOCK: os.O_NONBLOCK,
    Fdflags.RSYNC: getattr(os, "O_RSYNC", os.O_SYNC),
    Fdflags.SYNC: os.O_SYNC,
}


class HostDirectory(Directory):
    """An open host directory. The fd is owned and closed by this object.

    `bounds` are those of the mount through which it was opened.
    """

    __slots__ = ("bounds", "fd")

    OWNS: ClassVar[bool] = True
    usage: object = None
    """What is counted for its mount, if that has a quota."""

    def __init__(self, fd: int, read_only: bool, bounds: Bounds, preopen: str | None = None) -> None:
        super().__init__(preopen, read_only)
        self.fd: int = fd
        self.bounds: Bounds = bounds

    def close(self) -> None:
        """close(2), once."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, flags: Fdflags, held: list[int]) -> Descriptor:
        """openat(2) through the sandbox. FD_READ and FD_WRITE are the access mode.

        Never blocks. In POSIX opening a FIFO blocks until the other end is opened, and opening a terminal until it has
        a carrier: one such file in a mount could block the host without limit. Here opening a FIFO for reading succeeds
        at once, and the first read waits for a writer; opening it for writing raises NXIO while it has no reader.
        Later reads and writes block as usual, unless the guest asked for NONBLOCK.
        """
        how = 0
        if rights & _WRITE:
            how = os.O_RDWR if rights & _READ else os.O_WRONLY
        if oflags & _DIRECTORY:
            how |= os.O_DIRECTORY
        if oflags:
            how |= (os.O_CREAT if oflags & _CREAT else 0) | (os.O_EXCL if oflags & _EXCL else 0)
            how |= os.O_TRUNC if oflags & _TRUNC else 0
        if self.read_only and how & ~os.O_DIRECTORY:
            if refused := read_only.opening(self.fd, path, how, follow, self.bounds):
                raise refused
            how &= os.O_DIRECTORY  # the path may name something else by now; opening it so changes nothing
            rights &= ~_WRITE
        if flags:
            for flag, host in _HOST_FLAGS.items():
                how |= host if flags & flag else 0
        if how & os.O_DIRECTORY and how & os.O_CREAT:
            raise WasiError(Errno.INVAL)
        mode: int | None = None
        try:
            if extension is not None:
                mode = resolve.open_plain(self.fd, path, how | _AT_ONCE, 0o666, follow, self.bounds, held)
            if mode is None:
                resolve.open_beneath(self.fd, path, how | _AT_ONCE, 0o666, follow, self.bounds, held)
        except PermissionError:
            if not is_itself(path) or how & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC):
                raise
            held += map(os.dup, (self.fd,))  # without search permission `.` cannot be opened: duplicate this fd
        except BlockingIOError:  # another process holds a lease on the file and was now asked to release it
            if flags & Fdflags.NONBLOCK:
                raise
            self._open_leased(path, how, follow, held)
        fd = held[-1]
        if mode is None:
            st = os.fstat(fd)
            mode = st.st_mode if st.st_dev in self.bounds.known else -st.st_mode
        return self.opened(fd, mode, how, rights, flags, path)

    def opened(self, fd: int, mode: int, how: int, rights: int, flags: Fdflags, path: str) -> Descriptor:
        """Make the descriptor of what `open` has opened with the flags `how`. The fd stays the caller's if this raises.

        `mode` is its `st_mode`, negated if its device is not known to `bounds`.
        """
        if mode < 0:
            self.bounds.admit(fd, os.fstat(fd).st_dev, path)
            mode = -mode
        kind = _A_FILE if mode & 0o170000 == 0o100000 else filetype_of(mode)
        if kind is _A_FILE:
            if how & os.O_ACCMODE and mode & 0o7777 == SEALED:  # a compiled module in the cache; root could write to it
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return HostFile(fd, kinds.opened(_FILE, rights), flags, kind, read_only=self.read_only)
        if kind is _A_FOLDER:
            return HostDirectory(fd, self.read_only, self.bounds)
        if not self.bounds.kernel_files:
            _refuse_device(kind, os.fstat(fd).st_rdev)
        if kind is _A_BLOCK_DEVICE:
            return HostFile(fd, kinds.opened(_FILE, rights), flags, kind, read_only=self.read_only)
        change_status_flags(fd, flags)  # regular files keep O_NONBLOCK, which has no effect on them
        if kind is _A_DEVICE and not os.isatty(fd):
            return HostDevice(fd, kinds.opened(_FILE, rights), kind, flags, read_only=self.read_only)
        stream = Fifo if stat.S_ISFIFO(mode) else HostStream
        return stream(fd, kinds.opened(_STREAM, rights), kind, flags)

    def _open_leased(self, path: str, how: int, follow: bool, held: list[int]) -> None:
        """Retry until the other process has released its lease, or the OS has revoked it, which takes a minute."""
        scope = self.scope if self.scope is not None else CancelScope()
        while True:
            scope.sleep(_LEASE_PAUSE)
            try:
                resolve.open_beneath(self.fd, path, how | _AT_ONCE, 0o666, follow, self.bounds, held)
                return
            except BlockingIOError:
                pass

    def entries(self) -> list[DirectoryEntry]:
        """scandir(3), with inode numbers and types from the kernel and no stat per entry."""
        here, parent = self._inodes()
        out = [(b".", here, Filetype.DIRECTORY), (b"..", parent, Filetype.DIRECTORY)]
        with os.scandir(self.fd) as found:
            for entry in found:
                out.append((os.fsencode(entry.name), entry.inode(), _entry_type(entry)))
                if not len(out) % CHECKED and self.scope is not None:
                    self.scope.check()
        return out

    def listed(self, check: Callable[[], None]) -> Listing:
        if extension is None:
            return super().listed(check)
        listing: Listing = extension.read_directory(self.fd, *self._inodes(), _KIND_BYTES, check)
        return listing

    def _inodes(self) -> tuple[int, int]:
        """The inode numbers of `.` and `..`.

        `..` of a mount has the inode number of the mount itself: the guest must not learn about its parent. So has `..`
        of a directory without search permission, where it cannot be looked up.
        """
        st = os.fstat(self.fd)
        here = st.st_ino
        if (st.st_dev, here) != self.bounds.root:
            try:
                return here, os.stat("..", dir_fd=self.fd).st_ino
            except PermissionError:
                pass
        return here, here

    def stat(self) -> Filestat:
        return host_filestat(self.fd)

    def set_flags(self, flags: Fdflags) -> None:
        change_status_flags(self.fd, flags)
        self.flags = flags

    def _set_times(self, times: tuple[int, int]) -> None:
        set_times(self.fd, None, *times)

    def sync(self) -> None:
        os.fsync(self.fd)

    def datasync(self) -> None:
        fdatasync(self.fd)

    def stat_path(self, path: str, follow: bool) -> Filestat:
        try:
            if extension is not None:
                found: Filestat | None = resolve.filestat_plain(self.fd, path, follow, self.bounds)
                if found is not None:
                    return found
            return filestat_of(resolve.stat_beneath(self.fd, path, follow, self.bounds))
        except PermissionError:
            if not is_itself(path):
                raise
            return self.stat()

    def set_times_path(self, path: str, follow: bool, atim: int, mtim: int, which: Fstflags) -> None:
        times = stamps(atim, mtim, which)
        if self.read_only:
            raise read_only.utime(self.fd, path, follow, self.bounds)
        try:
            operations.utime_beneath(self.fd, path, follow, times, self.bounds)
        except PermissionError:
            if not is_itself(path):
                raise
            self.set_times(atim, mtim, which)

    def create_directory(self, path: str) -> None:
        if self.read_only:
            raise read_only.mkdir(self.fd, path, self.bounds)
        operations.mkdir_beneath(self.fd, path, 0o777, self.bounds)

    def remove_directory(self, path: str) -> None:
        if self.read_only:
            raise read_only.rmdir(self.fd, path, self.bounds)
        operations.rmdir_beneath(self.fd, path, self.bounds)

    def unlink(self, path: str) -> None:
        if self.read_only:
            raise read_only.unlink(self.fd, path, self.bounds)
        operations.unlink_beneath(self.fd, path, self.bounds)

    def rename(self, path: str, target: Directory, target_path: str) -> None:
        other = self._same_kind(target)
        if self.read_only or other.read_only:
            raise read_only.rename(self.fd, path, other.fd, target_path, self.bounds, other.bounds)
        operations.rename_beneath(self.fd, path, other.fd, target_path, self.bounds, other.bounds)

    def link(self, path: str, follow: bool, target: Directory, target_path: str) -> None:
        other = self._same_kind(target)
        if self.read_only or other.read_only:
            raise read_only.link(self.fd, path, follow, other.fd, target_path, self.bounds, other.bounds)
        operations.link_beneath(self.fd, path, follow, other.fd, target_path, self.bounds, other.bounds)

    def symlink(self, content: str, path: str) -> None:
        if self.read_only:
            raise read_only.symlink(self.fd, path, self.bounds)
        operations.symlink_beneath(content, self.fd, path, self.bounds)

    def readlink(self, path: str) -> str:
        return operations.readlink_beneath(self.fd, path, self.bounds)

    def _same_kind(self, target: Directory) -> HostDirectory:
        if not isinstance(target, HostDirectory) or target.usage is not self.usage:
            raise WasiError(Errno.XDEV)
        return target


def open_host_directory(
    path: str, guest_path: str, read_only: bool, *, kernel_files: bool = False, one_file_system: bool = False
) -> HostDirectory:
    """Open a host directory as a preopen.

    Raises OSError if there is no such directory, NotForGuests if it is on a file system of the kernel's and not
    `kernel_files`.
    """
    return Preopen(path, guest_path, read_only, kernel_files, one_file_system)


class Preopen(HostDirectory):
    """Closes its fd when it is deleted: a signal handler may raise before it has reached the guest's table."""

    __slots__ = ()
    fd: int
    bounds: Bounds

    def __init__(self, path: str, guest_path: str, read_only: bool, kernel_files: bool, one_file_system: bool) -> None:
        super().__init__(-1, read_only, Bounds((0, 0)), guest_path)
        # Unpacking an iterator written in C leaves no point where a signal handler could run before `fd` is set.
        [self.fd] = map(os.open, (path,), (os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC,))
        self.bounds = bounds_of(self.fd, kernel_files=kernel_files, one_file_system=one_file_system)

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        if getattr(self, "fd", -1) >= 0:
            _close(self.fd)


def _refuse_device(kind: Filetype, device: int) -> None:
    """Raise EACCES for a device that is a terminal, a disk, or a part of the machine."""
    if kind is _A_BLOCK_DEVICE or (kind is _A_DEVICE and not is_harmless(device)):
        raise WasiError(Errno.ACCES)


def _entry_type(entry: os.DirEntry[str]) -> Filetype:
    try:
        if entry.is_file(follow_symlinks=False):
            return _A_FILE
        if entry.is_dir(follow_symlinks=False):
            return _A_FOLDER
        if entry.is_symlink():
            return Filetype.SYMBOLIC_LINK
        return filetype_of(entry.stat(follow_symlinks=False).st_mode)
    except OSError as error:  # removed since it was listed, or no search permission
        raise_if_from_handler(error)
        return Filetype.UNKNOWN
