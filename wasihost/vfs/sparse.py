"""The content of a large file in memory: only pages that were written take memory.

Rules of this file: bytes at offsets; no limits and no locks, which are the caller's. A page that was never written is
that of `base`, the original content, with zeros after its end. So a hole takes no memory, and a file that was passed as
`bytes` is not copied when a guest changes a part of it.
"""

from __future__ import annotations

import io
from typing import ClassVar, Final

PAGE: Final = 1 << 16
"""Bytes of a page."""
WHOLE: Final = 1 << 20
"""Bytes up to which content is kept in one piece: copying it costs less than looking up pages."""


class Sparse:
    """Content of `size` bytes. Only the first `kept` bytes of `base` count: cutting `bytes` would copy them."""

    __slots__ = ("base", "kept", "pages", "size")

    def __init__(self, base: bytes | bytearray) -> None:
        self.base: bytes | bytearray = base
        self.kept: int = len(base)
        self.size: int = len(base)
        self.pages: dict[int, bytearray] = {}

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        """Compare the content, also with `bytes`."""
        if not isinstance(other, (Sparse, bytes, bytearray)):
            return NotImplemented
        theirs = other if isinstance(other, Sparse) else Sparse(other)
        if self.size != theirs.size:
            return False
        numbers = {*range(-(-max(self.kept, theirs.kept) // PAGE)), *self.pages, *theirs.pages}
        return all(self._part(number, 0, PAGE) == theirs._part(number, 0, PAGE) for number in numbers)

    __hash__: ClassVar[None]  # type: ignore[assignment]  # it changes, and Python sets None beside `__eq__`

    def readinto(self, offset: int, buffer: memoryview) -> int:
        """Read from `offset` into `buffer`, and return how many bytes."""
        end = min(offset + len(buffer), self.size)
        at = offset
        while at < end:
            number, start = divmod(at, PAGE)
            stop = min(end, at - start + PAGE)
            buffer[at - offset : stop - offset] = self._part(number, start, stop - at + start)
            at = stop
        return max(0, end - offset)

    def write(self, offset: int, buffer: memoryview) -> int:
        """Write `buffer`, and return how many bytes: fewer if the process has no memory for more."""
        at, end = offset, offset + len(buffer)
        try:
            while at < end:
                number, start = divmod(at, PAGE)
                stop = min(end, at - start + PAGE)
                place, start = self._place(number, start)
                with memoryview(place) as view:
                    view[start : start + stop - at] = buffer[at - offset : stop - offset]
                at = stop
        except MemoryError:
            pass
        if at > offset:
            self.size = max(self.size, at)
        return at - offset

    def resize(self, size: int) -> None:
        """Cut the content, or extend it by a hole."""
        if size < self.size:
            for number in [number for number in self.pages if number * PAGE >= size]:
                del self.pages[number]
            number, start = divmod(size, PAGE)
            if number in self.pages:
                self.pages[number][start:] = bytes(PAGE - start)
            self.kept = min(self.kept, size)
            if isinstance(self.base, bytearray):
                del self.base[self.kept :]
        self.size = size

    def copy(self) -> Sparse:
        """Return an independent copy; holes stay holes."""
        other = Sparse(self.base[: self.kept])  # a slice of all of a bytes object is no copy
        other.size = self.size
        other.pages = {number: page.copy() for number, page in self.pages.items()}
        return other

    def tobytes(self) -> bytes:
        """Return the whole content. The system has no pages for holes; other threads run between the pieces."""
        out = io.BytesIO(bytes(self.size))  # BytesIO has the only reference, so it writes in place
        with memoryview(self.base)[: self.kept] as base:
            for at in range(0, self.kept, WHOLE):
                out.write(base[at : at + WHOLE])
        for number, page in self.pages.items():
            out.seek(number * PAGE)
            out.write(memoryview(page)[: self.size - number * PAGE])
        return out.getvalue()

    def _part(self, number: int, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` of a page."""
        page = self.pages.get(number)
        if page is not None:
            return bytes(page[start:stop])
        at = number * PAGE
        if at + start >= self.kept:
            return bytes(stop - start)
        part = bytes(self.base[at + start : min(at + stop, self.kept)])
        return part.ljust(stop - start, b"\0")

    def _place(self, number: int, start: int) -> tuple[bytearray, int]:
        """Return a writable buffer with this byte, and the byte's offset: a page of its own, or a mutable `base`."""
        page = self.pages.get(number)
        if page is None:
            at = number * PAGE
            if isinstance(self.base, bytearray) and at + PAGE <= self.kept:
                return self.base, at + start
            page = self.pages[number] = bytearray(self._part(number, 0, PAGE))
        return page, start
