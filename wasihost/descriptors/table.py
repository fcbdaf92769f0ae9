"""A guest's descriptors by their numbers.

The lowest free number is used first, as in POSIX. The table holds at most `limit` descriptors, if there is a limit, and
raises MFILE beyond it, and also if this process has few fds left (see `reserve`).

`plain` has the open files by the same numbers, for the calls that C does without the GIL (`wasihost/native/plain.h`):
what leaves a number leaves `plain` first, what gets one is shared last. Closing needs no word here: a closed file is
closed for C too.

`watched` is for whoever polls: what it found out of the open descriptors and their rights. Every change empties it.
"""

from __future__ import annotations

import sys
from _heapq import heappop, heappush
from _warnings import warn

from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno

from wasihost.descriptors.base import Descriptor, Directory
from wasihost.descriptors.reported import Listing
from wasihost.descriptors.reserve import reserve
from wasihost.errors import raise_if_from_handler
from wasihost.native import extension
from wasihost.waiting.cancel_scope import CancelScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from wasihost.native import _native

DEFAULT_LIMIT = 1024
_LISTINGS = 16 << 20
"""Bytes that the kept listings of a guest may take together, without the last one."""
_FEW = 16  # with so few descriptors the size of kept listings is not checked


def _size(listing: Listing) -> int:
    return len(listing[0]) + 40 * len(listing[1])


class _Open(dict[int, Descriptor]):
    """Open descriptors by number; looking up any other number raises BADF."""

    __slots__ = ()

    def __missing__(self, fd: int) -> NoReturn:
        raise WasiError(Errno.BADF)


class FdTable:
    """Numbers to descriptors. The hot path reads `open` directly, which saves a call."""

    __slots__ = ("_freed", "_met", "_next", "limit", "open", "plain", "scope", "watched")

    def __init__(
        self, limit: int | None = DEFAULT_LIMIT, scope: CancelScope | None = None, met: set[str] | None = None
    ) -> None:
        self.open: _Open = _Open()
        self.limit: int = sys.maxsize if limit is None else limit
        self._met = met if met is not None else set()  # names of limits that the guest has reached
        self.watched: dict[bytes, Any] = {}
        self._freed: list[int] = []
        self._next = 0
        self.scope: CancelScope = scope if scope is not None else CancelScope()
        self.plain: _native.PlainCalls | None = extension.PlainCalls() if extension is not None else None

    def get(self, fd: int) -> Descriptor:
        """Return the descriptor. Raises BADF if the number is not open."""
        return self.open[fd]

    def directory(self, fd: int) -> Directory:
        """Return the directory. Raises BADF if the number is not open, NOTDIR if it is not a directory."""
        descriptor = self.open[fd]
        if not isinstance(descriptor, Directory):
            raise WasiError(Errno.NOTDIR)
        return descriptor

    def check_room(self, beside: Descriptor) -> None:
        """Raise MFILE if no other descriptor like `beside` can be opened. Called before the host opens anything."""
        if len(self.open) >= self.limit or (reserve.tight and beside.OWNS and not reserve.leaves_one(self._held)):
            self._met.add("open_files")
            raise WasiError(Errno.MFILE)

    def insert(self, descriptor: Descriptor) -> int:
        """Add a descriptor. Returns its number, the lowest free one."""
        while self._freed:
            fd = heappop(self._freed)
            if fd not in self.open:
                break
        else:
            fd = self._next
            self._next += 1
        self.open[fd] = descriptor
        if self.watched:
            self.watched.clear()
        descriptor.set_scope(self.scope)
        if descriptor.OWNS and descriptor.fd > reserve.high:  # type: ignore[attr-defined]  # see OWNS
            reserve.note(descriptor.fd)  # type: ignore[attr-defined]
        if self.plain is not None:
            descriptor.share(self.plain, fd)
        return fd

    def forget(self, fds: list[int]) -> None:
        """Remove the descriptors that own these host fds, which the caller is about to close."""
        self.watched.clear()
        for number, descriptor in list(self.open.items()):
            if descriptor.OWNS and descriptor.fd in fds:  # type: ignore[attr-defined]  # see OWNS
                if self.plain is not None:
                    self.plain.remove(number)
                del self.open[number]
                heappush(self._freed, number)

    def _held(self) -> int:
        """The number of fds of this process in the table."""
        return sum(descriptor.OWNS for descriptor in self.open.values())

    def keep_listing(self, directory: Directory, listing: Listing) -> None:
        """Keep a listing with its directory. Drops others if all would take too much memory: they are made again."""
        directory.listing = listing
        if len(self.open) <= _FEW:
            return
        room = _LISTINGS - _size(listing)
        for other in self.open.values():
            if isinstance(other, Directory) and other.listing is not None and other is not directory:
                room -= _size(other.listing)
                if room < 0:
                    other.listing = None

    def close(self, fd: int) -> None:
        """Close the descriptor and free its number, also if closing fails.

        A descriptor that owns an fd stays in the table until the fd is closed, wherever a signal handler raises.
        """
        descriptor = self.open[fd]
        if self.watched:
            self.watched.clear()
        if descriptor.OWNS:
            try:
                descriptor.close()
            except OSError:
                del self.open[fd]
                heappush(self._freed, fd)
                raise
            del self.open[fd]
            heappush(self._freed, fd)
        else:
            del self.open[fd]
            heappush(self._freed, fd)
            descriptor.close()

    def renumber(self, source: int, target: int) -> None:
        """Move `source` to the open number `target`, which is closed before.

        Both are checked first, and equal numbers change nothing (CVE-2025-53901). Raises BADF if one is not open.
        """
        moved, _ = self.get(source), self.get(target)
        if source == target:
            return
        if self.plain is not None:
            self.plain.remove(source)
        try:
            self.close(target)
        finally:
            self.watched.clear()
            if target not in self.open:  # otherwise a signal handler raised before it was closed
                self.open[target] = moved
                del self.open[source]
                heappush(self._freed, source)
                if self.plain is not None:
                    moved.share(self.plain, target)

    def close_all(self) -> None:
        """Close everything, also if closing one descriptor fails."""
        held = self.open
        while held:
            fd = next(reversed(held))
            try:
                if held[fd].OWNS:
                    self.close(fd)
                else:
                    held.pop(fd).close()
            except OSError as error:
                raise_if_from_handler(error)

    def __del__(self, _warn: Callable[..., None] = warn, _ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Close what the owner of the table did not close. When the interpreter ends, the OS does that."""
        held = getattr(self, "open", None)
        if not held or _ending():
            return
        owned = self._held()
        self.close_all()
        if owned:
            text = f"{owned} files or directories of a guest were not closed: close its State or Instance"
            _warn(f"{text}, or use it in a with block", ResourceWarning, source=self)
