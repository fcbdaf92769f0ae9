"""The files of `MemoryFS`, whose content is in memory."""

from __future__ import annotations

import errno

from wasihost.common.unpatched import threading
from wasihost.sandbox.names import os_error
from wasihost.vfs.interruption import wait_for
from wasihost.vfs.nodes import File, Node, Stat
from wasihost.vfs.quota import Lazy, Loading, Quota, exceeded
from wasihost.vfs.sparse import PAGE, WHOLE, Sparse


class MemoryNode(Node):
    """What files, directories and links have in common: times, and the number of names (`links`)."""

    __slots__ = ("atime", "ctime", "links", "mtime", "quota")

    def __init__(self, quota: Quota) -> None:
        self.quota: Quota = quota
        self.links: int = 0
        now = quota.clock()
        self.atime: int = now
        self.mtime: int = now
        self.ctime: int = now

    def size(self) -> int:
        """Bytes."""
        return 0

    def stat(self) -> Stat:
        return Stat(self.size(), self.mtime, self.atime, self.ctime, self.links, self.quota.device)

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        self.atime = self.atime if atime_ns is None else atime_ns
        self.mtime = self.mtime if mtime_ns is None else mtime_ns
        self.ctime = self.now()

    def now(self) -> int:
        return self.quota.clock()

    def changed(self) -> None:
        """Set the times of a change of content."""
        self.mtime = self.ctime = self.quota.clock()

    def status_changed(self) -> None:
        """Set the time of the last change of status."""
        self.ctime = self.quota.clock()

    def dropped(self) -> None:
        """Remove one name; called with the lock held."""
        self.links -= 1
        self.status_changed()


class CountedFile(MemoryNode, File):
    """A file that counts how often it is open: its content is released with the last name and the last open."""

    __slots__ = ("opens",)

    def __init__(self, quota: Quota) -> None:
        super().__init__(quota)
        self.opens: int = 0

    def open(self, *, writing: bool) -> File:
        with self.quota.lock:
            self.opens += 1
        return self

    def close(self) -> None:
        with self.quota.lock:
            self.opens -= 1
            self._release()

    def dropped(self) -> None:
        super().dropped()
        self._release()

    def _release(self) -> None:
        """Release the content if there is neither a name nor an open; called with the lock held."""
        raise NotImplementedError


class MemoryFile(CountedFile):
    """A regular file.

    `data` is the given object until the first write, then a `bytearray`, to which appending is O(1) amortized. No view
    of the bytearray outlives a method, because it could not grow then. A large file that is changed, or a file with a
    hole, is `Sparse`. A hole is charged as if it were written: reading the file as `bytes` needs memory for it.
    """

    __slots__ = ("data", "version")

    def __init__(self, quota: Quota, data: bytes | Lazy | Sparse = b"") -> None:
        super().__init__(quota)
        self.data: bytes | bytearray | Lazy | Sparse = b""
        self.version: int = 0
        self._fit(_size(data))
        self.data = data

    def changed(self) -> None:
        """Also count the change, since a clock may stand still."""
        super().changed()
        self.version += 1

    def size(self) -> int:
        """Bytes; loads nothing."""
        data = self.data  # read once: another thread may be loading it
        return data.size if isinstance(data, (Lazy, Sparse)) else len(data)

    def opens_at_once(self) -> bool:
        return not isinstance(self.data, Lazy)

    def open(self, *, writing: bool) -> File:
        """Count the open: a file without a name keeps its content until it is closed everywhere."""
        self.load()
        with self.quota.lock:
            if (
                self.links <= 0 and self.opens <= 0
            ):  # its last name was removed after the lookup, so nothing is charged for it
                self.quota.charge(self.size())
            return super().open(writing=writing)

    def load(self) -> None:
        """Fetch lazy content. Called without the lock, so that other threads can use the tree meanwhile.

        If another thread is fetching it, wait for that thread, as `interruption` does. Raises: EIO if the loader
        returns another number of bytes than the size of the `Lazy`.
        """
        quota = self.quota
        while isinstance(lazy := self.data, Lazy):
            with quota.lock:
                if self.data is not lazy:  # another thread has loaded it meanwhile
                    continue
                other = quota.loading.get(self)
                if other is None:
                    own = quota.loading[self] = Loading(threading.get_ident(), threading.Lock())
                    own.over.acquire()
            if other is not None:
                if other.thread == threading.get_ident():
                    raise RuntimeError("a lazy file whose loader reads the file itself")
                wait_for(other.over)
                continue
            try:
                data = lazy.load()
                if len(data) != lazy.size:
                    raise os_error(errno.EIO, f"a lazy file of {lazy.size} bytes that loaded {len(data)}")
                with quota.lock:
                    if self.data is lazy:
                        self.data = data
            finally:
                quota.loading.pop(self, None)
                own.over.release()

    def content(self) -> bytes | bytearray | Sparse:
        """Return the content. That of an open file is loaded, unless lazy content has replaced it since."""
        if isinstance(self.data, Lazy):
            self.load()
        assert not isinstance(self.data, Lazy)
        return self.data

    def image(self) -> bytes:
        """Return the whole content as `bytes`."""
        self.load()
        with self.quota.lock:
            data = self.content()
            return data.tobytes() if isinstance(data, Sparse) else _copy(data)

    def frozen(self) -> bytes | Lazy | Sparse:
        """Return the present content as a value that does not change. Loads nothing; holes stay holes."""
        with self.quota.lock:
            data = self.data
            return data.copy() if isinstance(data, Sparse) else _copy(data) if isinstance(data, bytearray) else data

    def replace(self, data: bytes | Lazy) -> None:
        """Replace the whole content."""
        with self.quota.lock:
            self._fit(_size(data))
            self.data = data
            self.changed()

    def read(self, offset: int, size: int) -> bytes:
        """pread(2); does not change the access time, as on a host mounted `noatime`."""
        with self.quota.lock:
            data = self.content()
            if not isinstance(data, Sparse):
                return bytes(data[offset : offset + size])
            buffer = bytearray(max(0, min(size, data.size - offset)))
            data.readinto(offset, memoryview(buffer))
            return bytes(buffer)

    def readinto(self, offset: int, buffer: memoryview) -> int:
        """As `read`, with one copy."""
        with self.quota.lock:
            data = self.content()
            if isinstance(data, Sparse):
                return data.readinto(offset, buffer)
            with memoryview(data)[offset : offset + len(buffer)] as part:
                size = len(part)
                buffer[:size] = part
        return size

    def write(self, offset: int, data: bytes) -> int:
        """pwrite(2); a gap beyond the old end is a hole."""
        return self.writefrom(offset, memoryview(data))

    def writefrom(self, offset: int, buffer: memoryview) -> int:
        """As `write`, with one copy: write the part that there is room for. Raises: ENOSPC, EFBIG if there is none."""
        size = len(buffer)
        if not size:
            return 0
        with self.quota.lock:
            data, end = self._writable(), offset + size
            old = len(data)
            if end > old:
                if self._too_much(old, end):
                    end = self._most(offset, old, end)
                    buffer, size = buffer[: end - offset], end - offset
                if offset - old > PAGE and not isinstance(data, Sparse):
                    self.data = data = Sparse(data)
            if isinstance(data, Sparse):
                size = self._write_sparse(data, offset, buffer)
            elif offset == old:
                self._grow(data, end, buffer)
            else:
                if end > old:
                    self._grow(data, end)
                with memoryview(data) as view:
                    view[offset:end] = buffer
            self.changed()
        return size

    def appendfrom(self, buffer: memoryview) -> tuple[int, int]:
        """Write at the end, in one step, as O_APPEND promises."""
        with self.quota.lock:
            end = self.size()
            return end, self.writefrom(end, buffer)

    def truncate(self, size: int) -> None:
        """ftruncate(2); grows by a hole. Raises: ENOSPC, EFBIG for one that does not fit; nothing is changed then."""
        if size:
            self.load()
        with self.quota.lock:
            old = self.size()
            self._fit(size)
            try:
                self._resize(size)
            except (MemoryError, OverflowError):
                self.quota.charge(old - size)
                raise os_error(errno.ENOSPC, f"{size} bytes") from None
            self.changed()

    def allocate(self, size: int) -> None:
        with self.quota.lock:
            super().allocate(size)

    def _resize(self, size: int) -> None:
        """Resize to a size that is already charged. Raises: MemoryError, OverflowError."""
        if not size:
            self.data = b""
            return
        data = self.content()
        if not isinstance(data, Sparse) and max(size, len(data)) > WHOLE:
            data = Sparse(data)
        if not isinstance(data, Sparse):
            self.data = data = bytearray(data) if isinstance(data, bytes) else data
            del data[size:]
            data.extend(bytes(size - len(data)))
            return
        if size > data.size:
            bytes(
                size
            )  # allocated and freed at once, without writing: a file is never longer than Python could allocate
        data.resize(size)
        self.data = bytearray(data.tobytes()) if size <= WHOLE else data

    def _writable(self) -> bytearray | Sparse:
        data = self.content()
        if isinstance(data, bytes):
            self.data = data = bytearray(data) if len(data) <= WHOLE else Sparse(data)  # a Sparse does not copy it
        return data

    def _grow(self, data: bytearray, size: int, tail: memoryview | None = None) -> None:
        """Charge for `size` and append `tail`, or zeros. Raises: EFBIG; ENOSPC, also if the process has no memory."""
        old = len(data)
        self._fit(size)
        try:
            data.extend(bytes(size - old) if tail is None else tail)
        except (MemoryError, OverflowError):
            self.quota.charge(old - size)
            raise os_error(errno.ENOSPC, f"{size} bytes") from None

    def _write_sparse(self, data: Sparse, offset: int, buffer: memoryview) -> int:
        old, end = data.size, offset + len(buffer)
        if end > old:
            self._fit(end)
        written = 0
        try:
            if offset - old > WHOLE:
                bytes(end)  # as in `_resize`
            written = data.write(offset, buffer)
        except (MemoryError, OverflowError):
            pass
        self.quota.charge(data.size - max(old, end))
        if not written:
            raise os_error(errno.ENOSPC, f"{end} bytes")
        return written

    def _fit(self, size: int) -> None:
        """Charge for content of `size` bytes instead of the present size. Raises: ENOSPC, EFBIG."""
        quota = self.quota
        if quota.max_file_size is not None and size > quota.max_file_size and size > self.size():
            raise exceeded(errno.EFBIG, f"more than {quota.max_file_size} bytes in a file", "max_file_size")
        quota.charge(size - self.size())

    def _too_much(self, old: int, end: int) -> bool:
        """Whether growing from `old` to `end` exceeds a limit."""
        quota = self.quota
        return (quota.max_bytes is not None and quota.bytes + end - old > quota.max_bytes) or (
            quota.max_file_size is not None and end > quota.max_file_size
        )

    def _most(self, offset: int, old: int, end: int) -> int:
        """Return how far a write from `offset` to `end` may go. Raises: ENOSPC, EFBIG if no byte of it fits."""
        quota = self.quota
        if quota.max_bytes is not None:
            end = min(end, old + quota.max_bytes - quota.bytes)
        if quota.max_file_size is not None:
            end = min(end, quota.max_file_size)
        end = max(end, old)
        if end <= offset:
            self._fit(offset + 1)
        return end

    def _release(self) -> None:
        """Stop charging after the last name and open. The content stays, for a thread that is about to open it."""
        if self.links <= 0 and self.opens <= 0:
            self.quota.charge(-self.size())


def _copy(data: bytes | bytearray) -> bytes:
    return Sparse(data).tobytes() if isinstance(data, bytearray) and len(data) > WHOLE else bytes(data)


def _size(data: bytes | Lazy | Sparse) -> int:
    size = data.size if isinstance(data, (Lazy, Sparse)) else len(data)
    if size < 0:
        raise ValueError(f"a Lazy file of {size} bytes: its size is at least 0")
    return size
