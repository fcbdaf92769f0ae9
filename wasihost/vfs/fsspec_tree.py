"""A read-only tree of any fsspec file system. fsspec itself is not imported: whoever has a file system has it loaded.

A listing is asked for once per directory and file system, an open file is one handle of fsspec's, which buffers. What
is neither a file nor a directory is a link here, and reading it is refused with EPERM: some back ends would follow one
to wherever it leads.
"""

from __future__ import annotations

import datetime
from typing import Any, Protocol, TypeGuard

from wasihost.vfs.dates import seconds
from wasihost.vfs.foreign import raise_as_errno
from wasihost.vfs.listed import ListedDirectory, SealedLink
from wasihost.vfs.nodes import File, Node, Stat


class FsspecFileSystem(Protocol):
    """What is used of `fsspec.AbstractFileSystem`."""

    def ls(self, path: str, detail: bool = True) -> Any:
        """A directory's entries: dicts with `name`, `type` and `size`."""

    def info(self, path: str) -> Any:
        """One entry."""

    def open(self, path: str, mode: str = "rb") -> Any:
        """A binary file object."""


def is_fsspec(source: object) -> TypeGuard[FsspecFileSystem]:
    """Whether it looks like an fsspec file system."""
    return all(hasattr(source, name) for name in ("ls", "info", "open", "protocol"))


class FsspecDirectory(ListedDirectory):
    """A directory of an fsspec file system: `FsspecDirectory(fs, "bucket/prefix")`."""

    __slots__ = ("_fs", "_path")

    def __init__(self, fs: FsspecFileSystem, path: str = "", above: FsspecDirectory | None = None) -> None:
        super().__init__(above)
        self._fs = fs
        self._path = path

    def listing(self) -> dict[str, Node]:
        """By `ls`."""
        here = self._path.strip("/")
        nodes: dict[str, Node] = {}
        try:
            for entry in self._fs.ls(self._path, detail=True):
                name = str(entry["name"]).rstrip("/").rpartition("/")[2]
                if str(entry["name"]).strip("/") != here:  # some object stores list the directory itself
                    nodes[name] = self._node(entry)
        except Exception as error:
            raise_as_errno(error, self._fs, self._path)
        return nodes

    def _node(self, entry: dict[str, Any]) -> Node:
        if entry.get("islink") or entry.get("type") not in ("file", "directory"):
            return SealedLink()
        if entry["type"] == "directory":
            return FsspecDirectory(self._fs, entry["name"], self)
        return FsspecFile(self._fs, entry)


class FsspecFile(File):
    """A file as it was listed."""

    __slots__ = ("_entry", "_fs")

    def __init__(self, fs: FsspecFileSystem, entry: dict[str, Any]) -> None:
        self._fs = fs
        self._entry = entry

    @property
    def name(self) -> str:
        """Its path, for messages."""
        return str(self._entry["name"])

    def stat(self) -> Stat:
        """As listed; a size that the listing lacks is asked for. Raises: EIO for one that is no number."""
        try:
            if self._entry.get("size") is None:
                self._entry = {**self._entry, **self._fs.info(self._entry["name"])}
            size = int(self._entry.get("size") or 0)
        except (ValueError, OverflowError) as error:  # a size of NaN or infinity
            raise_as_errno(EOFError(error), self._fs, self.name)
        except Exception as error:
            raise_as_errno(error, self._fs, self._entry["name"])
        time = _nanoseconds(self._entry.get("mtime", self._entry.get("LastModified", self._entry.get("created"))))
        return Stat(size, time, time, time)

    def open(self, *, writing: bool) -> File:
        """One handle of fsspec's."""
        try:
            handle = self._fs.open(self._entry["name"], "rb")
        except Exception as error:
            raise_as_errno(error, self._fs, self._entry["name"])
        return FsspecOpenFile(self, handle, self._fs)


class FsspecOpenFile(File):
    """An open file; to the guest it is the file it was opened from."""

    __slots__ = ("_file", "_fs", "_handle")

    def __init__(self, file: FsspecFile, handle: Any, fs: FsspecFileSystem) -> None:
        self._file = file
        self._handle = handle
        self._fs = fs
        self.inode = file.inode

    def stat(self) -> Stat:
        """The file's."""
        return self._file.stat()

    def read(self, offset: int, size: int) -> bytes:
        """Seeks first: the guest's position is not the handle's."""
        try:
            self._handle.seek(offset)
            data: bytes = self._handle.read(size)
        except Exception as error:
            raise_as_errno(error, self._fs, self._file.name)
        return data

    def close(self) -> None:
        """Closes the handle."""
        try:
            self._handle.close()
        except Exception as error:
            raise_as_errno(error, self._fs, self._file.name)


def _nanoseconds(time: object) -> int:
    """What back ends give as a time: seconds since 1970 or a datetime; 0 for what is not known, or cannot be."""
    try:
        if isinstance(time, datetime.datetime):
            return seconds(time.utctimetuple()) * 1_000_000_000
        return int(time * 1_000_000_000) if isinstance(time, (int, float)) else 0
    except (ValueError, OverflowError):  # NaN, infinity, a year that cannot be converted
        return 0
