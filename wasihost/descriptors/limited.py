"""A directory of the host with a quota: how much a guest may add to what lies in it.

Rules of this file:

- Counted is what the guest adds from its start on, and never what was there before. What it removes or cuts is given
  back, so the folder never grows by more than the limit by the doing of this guest.
- The size of a file is its length, holes too; a link's is that of its content. A name of a file that has others costs
  no bytes. A file without a name counts until it is closed.
- A call and its counting are one step under the lock of the quota, which threads of the guest share. What other
  processes change meanwhile is not seen, but for the length of a file that the guest writes to.
- Calls that need no counting are those of the base classes. C does no calls on these files.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Filetype, Oflags

from wasihost.common.forking import Locked
from wasihost.descriptors.base import Descriptor, Directory
from wasihost.descriptors.file_calls import APPEND, file_offset
from wasihost.descriptors.host_directory import HostDirectory, Preopen
from wasihost.descriptors.host_file import HostFile
from wasihost.sandbox import resolve
from wasihost.vfs.quota import check_growth, exceeded, fitting
from wasihost.waiting.pieces import are_large, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CREAT, _EXCL, _TRUNC = (int(flag) for flag in (Oflags.CREAT, Oflags.EXCL, Oflags.TRUNC))


class Usage(Locked):
    """The limits of one mount, and what a guest has added to it: `bytes` and `entries` are negative if it removed more.

    `open` counts the descriptors of each file, by device and inode number.
    """

    __slots__ = ("bytes", "entries", "max_bytes", "max_entries", "max_file_size", "open")

    def __init__(self, max_bytes: int | None, max_entries: int | None, max_file_size: int | None) -> None:
        super().__init__()
        self.max_bytes: int | None = max_bytes
        self.max_entries: int | None = max_entries
        self.max_file_size: int | None = max_file_size
        self.bytes: int = 0
        self.entries: int = 0
        self.open: dict[tuple[int, int], int] = {}

    def charge(self, size: int) -> None:
        """Count bytes more. Raises: ENOSPC."""
        if size > 0 and self.max_bytes is not None and self.bytes + size > self.max_bytes:
            raise exceeded(errno.ENOSPC, f"more than {self.max_bytes} bytes", "max_bytes")
        self.bytes += size

    def grow(self, old: int, size: int) -> None:
        """Charge a file of `old` bytes that is to have `size`. Raises: ENOSPC, EFBIG."""
        check_growth(self, old, size)
        self.bytes += size - old

    def gone(self, st: os.stat_result) -> None:
        """Give back what a name held that was removed: its bytes too, if it was the last of a file that is closed."""
        self.entries -= 1
        last = st.st_nlink < 2 and not stat.S_ISDIR(st.st_mode)
        if last and (st.st_dev, st.st_ino) not in self.open:
            self.bytes -= _held(st)


class LimitedFile(HostFile):
    """A regular file below a mount with a quota."""

    __slots__ = ("key", "usage")

    def __init__(self, fd: int, rights: int, flags: Fdflags, kind: Filetype, usage: Usage, st: os.stat_result) -> None:
        super().__init__(fd, rights, flags, kind)
        self.usage: Usage = usage
        self.key: tuple[int, int] = st.st_dev, st.st_ino
        with usage.lock:
            usage.open[self.key] = usage.open.get(self.key, 0) + 1

    def close(self) -> None:
        """close(2); a file without a name is given back with its last descriptor."""
        usage, fd = self.usage, self.fd
        if fd < 0:
            return
        with usage.lock:
            left = usage.open.pop(self.key, 1) - 1
            if left:
                usage.open[self.key] = left
            elif not (st := os.fstat(fd)).st_nlink:
                usage.bytes -= st.st_size
            super().close()

    def write(self, buffers: list[memoryview]) -> int:
        """Write the part that there is room for. Raises: ENOSPC, EFBIG if there is none."""
        if are_large(buffers):
            return each(buffers, self.scope, lambda piece, _: self.write([piece]))
        with self.usage.lock:
            old = os.fstat(self.fd).st_size
            return self._counted(old, super().write, buffers, old if self.flags & APPEND else self.position)

    def pwrite(self, buffers: list[memoryview], offset: int) -> int:
        """As `write`."""
        if are_large(buffers):
            return each(buffers, self.scope, lambda piece, done: self.pwrite([piece], offset + done))
        start, write = file_offset(offset), super().pwrite
        with self.usage.lock:
            return self._counted(os.fstat(self.fd).st_size, lambda part: write(part, start), buffers, start)

    def set_size(self, size: int) -> None:
        with self.usage.lock:
            old = os.fstat(self.fd).st_size
            self.usage.grow(old, file_offset(size))
            try:
                super().set_size(size)
            except BaseException:
                self.usage.bytes += old - size
                raise

    def allocate(self, offset: int, size: int) -> None:
        end = file_offset(offset + size)
        with self.usage.lock:
            old = os.fstat(self.fd).st_size
            self.usage.grow(old, max(old, end))
            try:
                super().allocate(offset, size)
            finally:
                self.usage.bytes += os.fstat(self.fd).st_size - max(old, end)

    def _counted(
        self, old: int, write: Callable[[list[memoryview]], int], buffers: list[memoryview], offset: int
    ) -> int:
        usage = self.usage
        size = sum(map(len, buffers))
        room = fitting(usage, old, offset, size)
        written = write(buffers if room == size else _first(buffers, room))
        usage.bytes += max(0, offset + written - old) if written else 0
        return written


class LimitedDirectory(HostDirectory):
    """A directory below a mount with a quota."""

    __slots__ = ("usage",)
    usage: Usage

    def open(self, path: str, follow: bool, oflags: Oflags, rights: int, flags: Fdflags, held: list[int]) -> Descriptor:
        """openat(2). Raises: ENOSPC for a file that would be one name too many."""
        usage = self.usage
        if not oflags & (_CREAT | _TRUNC):
            return self._limited(super().open(path, follow, oflags, rights, flags, held))
        with usage.lock:
            before = self._find(path, follow and not oflags & _EXCL)
            if before is None and oflags & _CREAT:
                self._check_entries()
            made = self._limited(super().open(path, follow, oflags, rights, flags, held))
            if before is None:
                usage.entries += 1
            elif oflags & _TRUNC and stat.S_ISREG(before.st_mode):
                usage.bytes -= before.st_size
            return made

    def create_directory(self, path: str) -> None:
        with self.usage.lock:
            if self._find(path, False) is None:
                self._check_entries()
            super().create_directory(path)
            self.usage.entries += 1

    def remove_directory(self, path: str) -> None:
        with self.usage.lock:
            super().remove_directory(path)
            self.usage.entries -= 1

    def unlink(self, path: str) -> None:
        with self.usage.lock:
            before = self._find(path, False)
            super().unlink(path)
            if before is not None:
                self.usage.gone(before)

    def rename(self, path: str, target: Directory, target_path: str) -> None:
        """renameat(2). Raises XDEV between two mounts of which one has a quota: a tree would have to be counted."""
        if not isinstance(target, LimitedDirectory) or target.usage is not self.usage:
            raise WasiError(Errno.XDEV)
        with self.usage.lock:
            source, replaced = self._find(path, False), target._find(target_path, False)
            super().rename(path, target, target_path)
            if source is not None and replaced is not None and not os.path.samestat(source, replaced):
                self.usage.gone(replaced)

    def link(self, path: str, follow: bool, target: Directory, target_path: str) -> None:
        """linkat(2). Raises XDEV as `rename`."""
        if not isinstance(target, LimitedDirectory) or target.usage is not self.usage:
            raise WasiError(Errno.XDEV)
        with self.usage.lock:
            if target._find(target_path, False) is None:
                self._check_entries()
            super().link(path, follow, target, target_path)
            self.usage.entries += 1

    def symlink(self, content: str, path: str) -> None:
        try:
            size = len(os.fsencode(content))
        except UnicodeEncodeError:  # which the call refuses
            size = 0
        with self.usage.lock:
            if self._find(path, False) is None:
                self._check_entries()
            self.usage.charge(size)
            try:
                super().symlink(content, path)
            except BaseException:
                self.usage.bytes -= size
                raise
            self.usage.entries += 1

    def _find(self, path: str, follow: bool) -> os.stat_result | None:
        """Return the status of what is there; None for nothing, and for a path of which the call says what is wrong."""
        with suppress(OSError, WasiError):
            return resolve.stat_beneath(self.fd, path, follow, self.bounds)
        return None

    def _check_entries(self) -> None:
        most = self.usage.max_entries
        if most is not None and self.usage.entries >= most:
            raise exceeded(errno.ENOSPC, f"more than {most} names", "max_entries")

    def _limited(self, made: Descriptor) -> Descriptor:
        """Return a descriptor that counts, instead of one that was just opened."""
        if type(made) is HostDirectory:
            directory = LimitedDirectory(made.fd, made.read_only, made.bounds)
            directory.usage = self.usage
            return directory
        if type(made) is HostFile and made.kind is Filetype.REGULAR_FILE:
            return LimitedFile(made.fd, made.rights, made.flags, made.kind, self.usage, os.fstat(made.fd))
        return made


class LimitedPreopen(LimitedDirectory, Preopen):
    """A mount with a quota."""

    __slots__ = ()

    def __init__(
        self, path: str, guest_path: str, usage: Usage, *, kernel_files: bool = False, one_file_system: bool = False
    ) -> None:
        Preopen.__init__(self, path, guest_path, False, kernel_files, one_file_system)
        self.usage = usage


def _held(st: os.stat_result) -> int:
    return st.st_size if stat.S_ISREG(st.st_mode) or stat.S_ISLNK(st.st_mode) else 0


def _first(buffers: list[memoryview], size: int) -> list[memoryview]:
    """Return the first `size` bytes of buffers."""
    kept = []
    for buffer in buffers:
        kept.append(buffer[:size])
        size -= len(kept[-1])
    return kept
