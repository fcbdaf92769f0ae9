"""The plain model of POSIX, as a guest sees it: one method per function of the spec, with the arguments of a `Step`.

A method returns what `tests.differential.hosts.result` makes of a call, or raises `Failed`. What the model does not
know (a listing, as names have no order; polls) is `UNKNOWN`.
"""

from __future__ import annotations

from typing import Any, Final

from wasi_preview1.types import Errno, Fdflags

from tests.conformance.steps import Data, Room, Rooms, Slot, Step
from tests.fuzz.posix_paths import Paths
from tests.fuzz.posix_tree import RECENT, UNKNOWN, Failed, File, check_times, set_times, stat

MOUNT: Final = b"/data"
CLOSED: Final = 99
_SUCCESS: Final = frozenset({Errno.SUCCESS})


class Posix(Paths):
    """One guest and its tree."""

    def call(self, step: Step) -> tuple[frozenset[Errno], Any]:
        """Make a call: what may come of it."""
        arguments = [self._number(one) if isinstance(one, Slot) else one for one in step.arguments]
        method = getattr(self, step.function, None)
        if method is None:
            return _SUCCESS, UNKNOWN
        try:
            return _SUCCESS, method(*arguments)
        except Failed as failed:
            return failed.errnos, None

    def _number(self, slot: Slot) -> int:
        return self.slots[slot.number] if slot.number < len(self.slots) else CLOSED

    def fd_close(self, fd: int) -> bytes:
        self._fd(fd)
        del self.open[fd]
        self.slots = [CLOSED if number == fd else number for number in self.slots]
        return b""

    def fd_renumber(self, fd: int, to: int) -> bytes:
        moved = self._fd(fd)
        self._fd(to)
        if fd != to:
            del self.open[fd]
            self.open[to] = moved
            self.slots = [to if number == fd else number for number in self.slots]
        return b""

    def fd_read(self, fd: int, rooms: Rooms) -> Any:
        opened, file = self._file(fd, folder=Errno.ISDIR)
        if not opened.read:
            raise Failed(Errno.BADF)
        data = bytes(file.data[opened.position : opened.position + sum(rooms.sizes)])
        opened.position += len(data)
        return len(data), data

    def fd_pread(self, fd: int, rooms: Rooms, offset: int) -> Any:
        opened, file = self._file(fd, folder=Errno.ISDIR)
        if not opened.read:
            raise Failed(Errno.BADF)
        data = bytes(file.data[offset : offset + sum(rooms.sizes)])
        return len(data), data

    def fd_write(self, fd: int, data: Data) -> Any:
        opened, file = self._file(fd)
        if not opened.write:
            raise Failed(Errno.BADF)
        content = b"".join(data.pieces)
        if content:
            at = len(file.data) if opened.flags & Fdflags.APPEND else opened.position
            _put(file, at, content)
            opened.position = at + len(content)
        return len(content), b""

    def fd_pwrite(self, fd: int, data: Data, offset: int) -> Any:
        opened, file = self._file(fd)
        if not opened.write:
            raise Failed(Errno.BADF)
        content = b"".join(data.pieces)
        if content:
            _put(file, offset, content)
        return len(content), b""

    def fd_seek(self, fd: int, offset: int, whence: int) -> bytes:
        opened, file = self._file(fd)
        offset += (0, opened.position, len(file.data))[whence]
        if offset < 0:
            raise Failed(Errno.INVAL)
        opened.position = offset
        return offset.to_bytes(8, "little")

    def fd_tell(self, fd: int) -> bytes:
        opened, _ = self._file(fd)
        return opened.position.to_bytes(8, "little")

    def fd_filestat_get(self, fd: int) -> Any:
        return stat(self._fd(fd).node)

    def fd_filestat_set_size(self, fd: int, size: int) -> bytes:
        opened, file = self._file(fd, folder=Errno.INVAL)
        if not opened.write:
            raise Failed(Errno.INVAL)
        del file.data[size:]
        file.data.extend(bytes(size - len(file.data)))
        file.mtim = RECENT
        return b""

    def fd_filestat_set_times(self, fd: int, _atim: int, mtim: int, which: int) -> bytes:
        node = self._fd(fd).node
        check_times(which)
        set_times(node, mtim, which)
        return b""

    def fd_allocate(self, fd: int, offset: int, size: int) -> bytes:
        opened, file = self._file(fd)
        if not opened.write:
            raise Failed(Errno.BADF)
        if not size:
            raise Failed(Errno.INVAL)
        file.data.extend(bytes(max(0, offset + size - len(file.data))))
        file.mtim = UNKNOWN  # Linux' file systems do not agree on whether it changes
        return b""

    def fd_advise(self, fd: int, _offset: int, _size: int, _advice: int) -> bytes:
        self._file(fd, folder=Errno.ISDIR)
        return b""

    def fd_sync(self, fd: int) -> bytes:
        self._fd(fd)
        return b""

    def fd_datasync(self, fd: int) -> bytes:
        self._fd(fd)
        return b""

    def fd_fdstat_get(self, fd: int) -> Any:
        opened = self._fd(fd)
        return opened.node.kind, opened.flags

    def fd_fdstat_set_flags(self, fd: int, flags: int) -> bytes:
        opened = self._fd(fd)
        fixed = Fdflags.DSYNC | Fdflags.RSYNC | Fdflags.SYNC
        if isinstance(opened.node, File) and (opened.flags ^ flags) & fixed:
            raise Failed(Errno.NOTSUP)
        opened.flags = flags
        return b""

    def fd_prestat_get(self, fd: int) -> Any:
        if not self._fd(fd).preopen:
            raise Failed(Errno.BADF)
        return 0, len(MOUNT).to_bytes(4, "little")

    def fd_prestat_dir_name(self, fd: int, room: Room) -> bytes:
        if not self._fd(fd).preopen:
            raise Failed(Errno.BADF)
        if room.size < len(MOUNT):
            raise Failed(Errno.NAMETOOLONG)
        return MOUNT.ljust(room.size, b"?")

    def fd_readdir(self, fd: int, _room: Room, _cookie: int) -> Any:
        self._folder(fd)
        return UNKNOWN


def _put(file: File, at: int, content: bytes) -> None:
    file.data.extend(bytes(max(0, at - len(file.data))))
    file.data[at : at + len(content)] = content
    file.mtim = RECENT
