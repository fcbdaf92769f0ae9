"""The merged files of an overlay.

Rules of this file: a file reads from the file below until it is first changed; then it gets a `content` of its own. Its
descriptors have this one node, so all of them see the change. The file below stays open until the last of them is
closed, for a thread that is reading it at that moment.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from wasihost.overlays.nodes import OverlayNode
from wasihost.overlays.state import Content, OverlayState
from wasihost.sandbox.names import os_error
from wasihost.vfs.nodes import File, Node, Stat


class OverlayFile(OverlayNode, File):
    """A regular file. `content` is what it contains since it was first changed, `source` the open file below."""

    __slots__ = ("content", "opens", "source", "was")
    KIND: ClassVar[str] = "file"
    device: int
    times: tuple[int, int, int] | None

    def __init__(
        self, state: OverlayState, lower: Node | None, origin: str | None, content: Content | None = None
    ) -> None:
        super().__init__(state, lower, origin)
        self.content: Content | None = content
        self.source: File | None = None
        self.opens: int = 0
        self.was: tuple[int, int] | None = None
        """Size and modification time of the file below when it was copied."""
        if lower is None:
            self.content = content or state.store.create(self.number)
            self.times = None

    # -- status ----------------------------------------------------------------------------------------------------

    def stat(self) -> Stat:
        content, source = self.content, self.source
        if content is not None:
            found = content.stat()
            return found._replace(links=self.links(), device=self.device)
        if source is None or self.lower is None:
            return super().stat()
        found = source.stat()
        if self.times is not None:
            atime, mtime, ctime = self.times
            found = found._replace(atime_ns=atime, mtime_ns=mtime, ctime_ns=ctime)
        return found._replace(links=found.links + self.delta, device=self.device or found.device)

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Copies nothing: the times of a file that is as below are kept without its content."""
        with self.state.changing:
            if self.content is None:
                super().set_times(atime_ns, mtime_ns)
            else:
                self.content.set_times(atime_ns, mtime_ns)

    def status_changed(self) -> None:
        if self.content is None:
            super().status_changed()
        else:
            self.content.status_changed()

    def gone(self) -> None:
        if self.content is not None:
            self.content.dropped()

    def detail(self) -> object:
        return [self.content is not None, self.was]

    # -- opening ---------------------------------------------------------------------------------------------------

    def opens_at_once(self) -> bool:
        return self.content is not None or not isinstance(self.lower, File) or self.lower.opens_at_once()

    def writes_at_once(self) -> bool:
        return self.content is not None or not self.state.store.slow

    def open(self, *, writing: bool) -> File:
        """Open the content, or the file below, which may be read as a whole for that.

        Raises: EACCES for writing to a file that this process may not write to below.
        """
        if writing and self.content is None:
            self.check_permission(errno.EACCES)
        if self.content is None and self.source is None:
            assert isinstance(self.lower, File)
            source = self.lower.open(writing=False)
            with self.state.lock:
                spare = self.content is not None or self.source is not None  # another thread was faster
                if not spare:
                    self.source = source
            if spare:
                source.close()
        with self.state.lock:
            if not self.opens and self.content is not None:
                self.content.open(writing=True)
            self.opens += 1
            self.state.opens += 1
        return self

    def close(self) -> None:
        with self.state.lock:
            self.opens -= 1
            self.state.opens -= 1
            if self.opens > 0:
                return
            source, self.source = self.source, None
            if self.content is not None:
                self.content.close()
        if source is not None:
            source.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> bytes:
        content, source = self.content, self.source
        if content is not None:
            return content.read(offset, size)
        if source is not None:
            return source.read(offset, size)
        self.open(writing=False)
        try:
            return self.read(offset, size)
        finally:
            self.close()

    def readinto(self, offset: int, buffer: memoryview) -> int:
        content = self.content
        if content is not None:
            return content.readinto(offset, buffer)
        if self.source is None:
            return super().readinto(offset, buffer)
        return self.source.readinto(offset, buffer)

    # -- changing --------------------------------------------------------------------------------------------------

    def write(self, offset: int, data: bytes) -> int:
        return self.writefrom(offset, memoryview(data))

    def writefrom(self, offset: int, buffer: memoryview) -> int:
        return self._own().writefrom(offset, buffer) if len(buffer) else 0

    def appendfrom(self, buffer: memoryview) -> tuple[int, int]:
        return self._own().appendfrom(buffer)

    def truncate(self, size: int) -> None:
        self._own(size).truncate(size)

    def allocate(self, size: int) -> None:
        if size > self.stat().size:
            self._own().allocate(size)

    def sync(self) -> None:
        if self.content is not None:
            self.content.sync()
            self.state.store.sync()

    def _own(self, size: int | None = None) -> Content:
        """Return the content to change; copies at most `size` bytes of the file below. Raises: ENOSPC, EFBIG."""
        content = self.content
        if content is not None:
            return content
        state = self.state
        if not state.store.slow:
            with state.changing:
                return self.content or self._install(size)
        state.copy_begins()
        try:
            return self.content or self._install(size)
        finally:
            state.copying.release()

    def _install(self, size: int | None) -> Content:
        state, lower = self.state, self.lower
        assert isinstance(lower, File)
        with state.changing:
            self.keep()
            atime, mtime, _ = self._times()
        found = self.below()
        if found.size < 0:
            raise os_error(errno.EOVERFLOW, "")
        part = found.size if size is None else min(size, found.size)
        content = state.store.copy(self.number, lower, part) if part else state.store.create(self.number)
        content.set_times(atime, mtime)
        with state.changing:
            self.device = found.device
            self.was = found.size, found.mtime_ns
            if self.opens:
                content.open(writing=True)
            self.content = content
            self.times = None
            if self.links() <= 0 and self.home is None:
                content.dropped()
            self.note()
        return content
