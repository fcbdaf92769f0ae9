"""The content and the records of an overlay in a folder of the host, where they outlive the process.

    journal   what is different: see `journal`
    files/N   the content of the file with the number N
    lock      locked by the overlay that uses the folder

Rules of this file: names in the folder are numbers, and never what a guest chose. Each method is one step that holds
the overlay's lock, but for copying. A file is open here while a guest has it open.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from itertools import starmap
from typing import Final

from wasihost.errors import ConfigError
from wasihost.overlays.copying import copy_into
from wasihost.overlays.state import Content, OverlayState
from wasihost.sandbox.names import os_error
from wasihost.sandbox.times import UTIME_OMIT, set_times
from wasihost.vfs.host_tree import stat_of
from wasihost.vfs.nodes import File, Stat
from wasihost.vfs.quota import check_growth, fitting

VERSION: Final = 1
"""That of the journal."""
JOURNAL: Final = "journal"
COMPACT: Final = 1 << 20
"""How many bytes a journal has beyond twice those with which it began, before it begins again."""
_FILES: Final = "files"
_LOCK: Final = "lock"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderStore:
    """An overlay's own folder. It is made if there is none.

    Raises:
        ConfigError: It cannot be used: another overlay uses it, or something else lies in it.
    """

    __slots__ = ("_fds", "_files", "_folder", "_journal", "_most", "path", "records", "state")
    slow: bool = True

    def __init__(self, state: OverlayState, path: str | os.PathLike[str]) -> None:
        self.state: OverlayState = state
        self.path: str = os.path.abspath(path)
        self.records: Callable[[], list[list[object]]] = list
        """Returns records of all that is different now, with which the journal begins again when it is long."""
        self._most: int = COMPACT
        self._fds: list[int] = []
        try:
            self._open()
        except (OSError, ValueError) as error:
            self.close()
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"changes cannot be kept in {self.path!r}: {reason}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with suppress(FileExistsError):
            os.mkdir(self.path, 0o700)
        self._folder = self._keep(self.path, _FOLDER)
        there = os.listdir(self._folder)
        if there and JOURNAL not in there and set(there) - {_FILES, _LOCK}:
            raise ConfigError(
                f"changes cannot be kept in {self.path!r}: something else lies in it; give an empty folder, or one "
                "that an Overlay has made"
            )
        try:
            fcntl.flock(self._keep(_LOCK, _APPEND, self._folder), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"changes cannot be kept in {self.path!r}: another Overlay uses it") from None
        with suppress(FileExistsError):
            os.mkdir(_FILES, 0o700, dir_fd=self._folder)
        self._files = self._keep(_FILES, _FOLDER | os.O_NOFOLLOW, self._folder)
        self._journal = self._keep(JOURNAL, _APPEND, self._folder)

    def _keep(self, name: str, flags: int, folder: int | None = None) -> int:
        self._fds += (os.open(name, flags, 0o600, dir_fd=folder),)
        return self._fds[-1]

    # -- records -------------------------------------------------------------------------------------------------------

    def text(self) -> bytes:
        """Return the whole journal."""
        size = os.fstat(self._journal).st_size
        return os.pread(self._journal, size, 0) if size else b""

    def replace(self, *lines: bytes) -> None:
        """Replace the journal in one step: its first line, and more."""
        fd = os.open("journal.new", _APPEND | os.O_TRUNC, 0o600, dir_fd=self._folder)
        try:
            rest = memoryview(b"".join((header(), *lines)))
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
            self._most = 2 * os.fstat(fd).st_size + COMPACT
            os.rename("journal.new", JOURNAL, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            fd, self._journal = self._journal, fd
            self._fds[self._fds.index(fd)] = self._journal
        finally:
            os.close(fd)

    def note(self, records: list[list[object]]) -> None:
        """Add records in one line. Raises: ENOSPC; the line is not there then.

        A guest can make the same changes again and again, so a journal that has become long is replaced by what holds.
        """
        text = line(records)
        before = os.fstat(self._journal).st_size
        if before > self._most:
            self.replace(line(self.records()))
            return
        written = 0
        try:
            written = os.write(self._journal, text)
            if written < len(text):
                raise os_error(errno.ENOSPC, self.path)
        finally:
            if written < len(text):
                os.ftruncate(self._journal, before)

    def host_folders(self) -> tuple[int, ...]:
        """Return the descriptor of the folder."""
        return (self._folder,)

    def sync(self) -> None:
        """fsync(2) of the journal."""
        os.fsync(self._journal)

    def clear(self) -> None:
        """Forget everything."""
        self.replace()
        self.remove_others(())

    def close(self) -> None:
        """Write everything to the disk, and let others use the folder."""
        fds, self._fds = self._fds, []
        if len(fds) > 3:
            with suppress(OSError):
                os.fsync(self._journal)
        self._folder = self._files = self._journal = -1  # another file may get these numbers
        list(map(os.close, fds))

    # -- files ---------------------------------------------------------------------------------------------------------

    def create(self, number: int) -> Content:
        """Make an empty file."""
        made = FolderContent(self, number)
        os.close(os.open(made.name, _OPEN | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._files))
        return made

    def copy(self, number: int, lower: File, size: int) -> Content:
        """Copy a file of the tree below, as a clone where the file system can. Raises: ENOSPC, EFBIG."""
        with self.state.lock:
            check_growth(self.state, 0, size)
            self.state.bytes += size
        made = FolderContent(self, number)
        try:
            fd = os.open(made.name, _OPEN | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=self._files)
            try:
                copy_into(fd, lower, size)
            finally:
                os.close(fd)
        except BaseException:
            with self.state.lock:
                self.state.bytes -= size
            with suppress(OSError):
                os.unlink(made.name, dir_fd=self._files)
            raise
        return made

    def adopt(self, number: int) -> Content:
        """Return the content that the file with this number had. Raises: ENOENT."""
        made = FolderContent(self, number)
        self.state.bytes += made.stat().size
        return made

    def remove_others(self, numbers: Container[int]) -> None:
        """Remove the files that do not have one of these numbers."""
        for name in os.listdir(self._files):
            if not name.isdigit() or int(name) not in numbers:
                os.unlink(name, dir_fd=self._files)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._files)

    def status(self, name: str) -> os.stat_result:
        """lstat(2) of a file."""
        return os.stat(name, dir_fd=self._files, follow_symlinks=False)

    def open(self, name: str, held: list[int]) -> None:
        """Open a file; its descriptor is the last in `held`."""
        held += starmap(_opened, ((name, self._files),))


class FolderContent(Content):
    """The content of one file. `opens` counts its descriptors; `unnamed`: its last name is gone."""

    __slots__ = ("held", "name", "opens", "store", "unnamed")

    def __init__(self, store: FolderStore, number: int) -> None:
        self.store: FolderStore = store
        self.name: str = str(number)
        self.held: list[int] = []
        self.opens: int = 0
        self.unnamed: bool = False

    @property
    def fd(self) -> int:
        """The descriptor of an open file. Raises: EBADF."""
        if not self.held:
            raise os_error(errno.EBADF, self.name)
        return self.held[0]

    def open(self, *, writing: bool) -> File:
        with self.store.state.lock:
            if not self.held:
                self.store.open(self.name, self.held)
            self.opens += 1
        return self

    def close(self) -> None:
        with self.store.state.lock:
            self.opens -= 1
            if self.opens <= 0:
                if self.unnamed:
                    self._remove()
                list(map(os.close, map(self.held.pop, (-1,) * len(self.held))))

    def dropped(self) -> None:
        """Remove the file, once it is closed."""
        self.unnamed = True
        if self.opens <= 0:
            self._remove()

    def status_changed(self) -> None:
        """The system sets this time itself, when the file changes."""

    def stat(self) -> Stat:
        held = self.held
        return stat_of(os.fstat(held[0]) if held else self.store.status(self.name))

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        with self._opened() as fd:
            set_times(
                fd,
                None,
                UTIME_OMIT if atime_ns is None else max(0, atime_ns),
                UTIME_OMIT if mtime_ns is None else max(0, mtime_ns),
            )

    def read(self, offset: int, size: int) -> bytes:
        with self._opened() as fd:
            return os.pread(fd, size, offset)

    def readinto(self, offset: int, buffer: memoryview) -> int:
        with self._opened() as fd:
            return os.preadv(fd, [buffer], offset)

    def write(self, offset: int, data: bytes) -> int:
        return self.writefrom(offset, memoryview(data))

    def writefrom(self, offset: int, buffer: memoryview) -> int:
        """Write the part that there is room for. Raises: ENOSPC, EFBIG if there is none."""
        state = self.store.state
        with state.lock, self._opened() as fd:
            old = os.fstat(fd).st_size
            size = os.pwrite(fd, buffer[: fitting(state, old, offset, len(buffer))], offset)
            if size:
                state.bytes += max(0, offset + size - old)
            return size

    def appendfrom(self, buffer: memoryview) -> tuple[int, int]:
        with self.store.state.lock:
            end = self.stat().size
            return end, self.writefrom(end, buffer)

    def truncate(self, size: int) -> None:
        state = self.store.state
        with state.lock, self._opened() as fd:
            old = os.fstat(fd).st_size
            check_growth(state, old, size)
            os.ftruncate(fd, size)
            state.bytes += size - old

    def allocate(self, size: int) -> None:
        state = self.store.state
        with state.lock, self._opened() as fd:
            old = os.fstat(fd).st_size
            if size > old:
                check_growth(state, old, size)
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(fd, 0, size)
                else:
                    os.ftruncate(fd, size)
                state.bytes += size - old

    def sync(self) -> None:
        with self._opened() as fd:
            os.fsync(fd)

    def _remove(self) -> None:
        self.store.state.bytes -= self.stat().size
        self.store.remove(self.name)
        self.unnamed = False

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the file, also if no guest has it open."""
        if self.held:
            yield self.held[0]
            return
        held: list[int] = []
        try:
            self.store.open(self.name, held)
            yield held[0]
        finally:
            list(map(os.close, held))


def header() -> bytes:
    """Return the first line of a journal."""
    return json.dumps({"wasihost-overlay": VERSION}).encode() + b"\n"


def line(records: list[list[object]]) -> bytes:
    """Return the line of some records."""
    return json.dumps(records, separators=(",", ":")).encode() + b"\n"


def _opened(name: str, folder: int) -> int:
    return os.open(name, _OPEN, dir_fd=folder)
