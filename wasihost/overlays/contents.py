"""The content of changed files, in memory.

Rules of this file: each method is one step that holds the overlay's lock. What a guest can make grow is charged before
it is made. A small file is copied when it is first changed; of a large one only pages that are written, and the rest is
read from the file below, which stays open for that.
"""

from __future__ import annotations

import errno
from typing import Final, cast

from wasihost.overlays.state import Content, OverlayState
from wasihost.sandbox.names import os_error
from wasihost.vfs.memory_file import CountedFile, MemoryFile
from wasihost.vfs.nodes import File
from wasihost.vfs.quota import LimitError, exceeded
from wasihost.vfs.sparse import PAGE, WHOLE, Sparse

MOST_BASES: Final = 128
"""Files below that one overlay keeps open for their pages. Further large files are copied as a whole."""
_PIECE: Final = 1 << 20


class MemoryContent(MemoryFile, Content):
    """A file of which all is in memory."""

    __slots__ = ()


class Pages(CountedFile, Content):
    """A large file: the pages that were written, and for all others the file below.

    Charged are each written page of the original size, and all bytes beyond that size, also those of holes.
    """

    __slots__ = ("base", "charged", "data", "original")

    def __init__(self, quota: OverlayState, base: File, size: int) -> None:
        super().__init__(quota)
        self.base: File = base
        self.data: Sparse = Sparse(cast(bytes, _BytesOf(base, size)))
        self.original: int = size
        self.charged: int = 0
        quota.bases += 1

    def size(self) -> int:
        return self.data.size

    def read(self, offset: int, size: int) -> bytes:
        with self.quota.lock:
            buffer = bytearray(max(0, min(size, self.data.size - offset)))
            self.data.readinto(offset, memoryview(buffer))
        return bytes(buffer)

    def readinto(self, offset: int, buffer: memoryview) -> int:
        with self.quota.lock:
            return self.data.readinto(offset, buffer)

    def write(self, offset: int, data: bytes) -> int:
        return self.writefrom(offset, memoryview(data))

    def writefrom(self, offset: int, buffer: memoryview) -> int:
        """Write the part that there is room for. Raises: ENOSPC, EFBIG if there is none."""
        if not len(buffer):
            return 0
        with self.quota.lock:
            most = self.quota.max_file_size
            if most is not None and offset + len(buffer) > max(most, self.data.size):
                if offset >= max(most, self.data.size):
                    raise exceeded(errno.EFBIG, f"more than {most} bytes in a file", "max_file_size")
                buffer = buffer[: max(most, self.data.size) - offset]
            written = 0
            while written < len(buffer):
                at = offset + written
                piece = buffer[written : written + PAGE - at % PAGE]
                try:
                    self._charge(self._wanted(at, len(piece)))
                except LimitError:
                    if not written:
                        raise
                    break
                size = self.data.write(at, piece)
                written += size
                if size < len(piece):
                    self._settle()
                    break
            if not written:
                raise os_error(errno.ENOSPC, f"{offset + len(buffer)} bytes")
            self.changed()
        return written

    def appendfrom(self, buffer: memoryview) -> tuple[int, int]:
        with self.quota.lock:
            end = self.data.size
            return end, self.writefrom(end, buffer)

    def truncate(self, size: int) -> None:
        """ftruncate(2); grows by a hole. Raises: ENOSPC, EFBIG; nothing is changed then."""
        with self.quota.lock:
            most = self.quota.max_file_size
            if most is not None and size > most and size > self.data.size:
                raise exceeded(errno.EFBIG, f"more than {most} bytes in a file", "max_file_size")
            if size > self.data.size:
                self._charge(max(0, size - max(self.data.size, self.original)))
            self.data.resize(size)
            self._settle()
            self.changed()

    def allocate(self, size: int) -> None:
        with self.quota.lock:
            super().allocate(size)

    def _wanted(self, at: int, size: int) -> int:
        """Return what a write within one page adds to what is charged."""
        number = at // PAGE
        page = PAGE if number * PAGE < self.original and number not in self.data.pages else 0
        return page + max(0, at + size - max(self.data.size, self.original))

    def _charge(self, size: int) -> None:
        self.quota.charge(size)
        self.charged += size

    def _settle(self) -> None:
        """Charge exactly for what is there, after it became less."""
        pages = sum(PAGE for number in self.data.pages if number * PAGE < self.original)
        self._charge(pages + max(0, self.data.size - self.original) - self.charged)

    def _release(self) -> None:
        if self.links <= 0 and self.opens <= 0 and self.original >= 0:
            self._charge(-self.charged)
            cast(OverlayState, self.quota).bases -= 1
            self.original = -1
            self.base.close()


class _BytesOf:
    """The content of an open file, as `Sparse` reads its base: by slices."""

    __slots__ = ("_file", "_size")

    def __init__(self, file: File, size: int) -> None:
        self._file = file
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        return read_exactly(self._file, part.start, part.stop - part.start)


def read_exactly(file: File, offset: int, size: int) -> bytes:
    """Return `size` bytes; zeros for those that the file does not have any more."""
    pieces = []
    while size > 0:
        piece = file.read(offset, min(size, _PIECE))
        if not piece:
            pieces.append(bytes(size))
            break
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class MemoryStore:
    """Keeps the content of changed files in memory, and no records."""

    __slots__ = ("_state",)
    slow: bool = False

    def __init__(self, state: OverlayState) -> None:
        self._state = state

    def create(self, number: int) -> Content:
        """Return the content of an empty file."""
        made = MemoryContent(self._state)
        made.links = 1
        return made

    def copy(self, number: int, lower: File, size: int) -> Content:
        """Return a copy of a file of the tree below. Raises: ENOSPC, EFBIG."""
        state = self._state
        source = lower.open(writing=False)
        made: MemoryContent | Pages
        if size > WHOLE and state.bases < MOST_BASES:
            made = Pages(state, source, size)
        else:
            try:
                made = MemoryContent(state, read_exactly(source, 0, size))
            finally:
                source.close()
        made.links = 1
        return made

    def note(self, records: list[list[object]]) -> None:
        """Keep no records."""

    def host_folders(self) -> tuple[int, ...]:
        """There are none."""
        return ()

    def sync(self) -> None:
        """Nothing to write back."""

    def clear(self) -> None:
        """Nothing to forget: the content goes with the nodes."""

    def close(self) -> None:
        """Nothing to release."""
