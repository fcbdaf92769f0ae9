"""A read-only tree of any fsspec file system.

Rules of this file: fsspec is not imported, because a caller that has a file system has imported it. Each directory is
listed once. An open file is one handle of fsspec, which buffers. What is neither a file nor a directory counts as a
link that cannot be read (EPERM): some back ends would follow a link wherever it leads.
"""

from __future__ import annotations

import datetime
from typing import Any, Protocol, TypeGuard

from wasihost.vfs.dates import seconds
from wasihost.vfs.foreign import raise_as_errno
from wasihost.vfs.listed import ListedDirectory, SealedLink
from wasihost.vfs.nodes import File, Node, Stat


class FsspecFileSystem(Protocol):
    """The part of `fsspec.AbstractFileSystem` that is used."""

    def ls(self, path: str, detail: bool = True) -> Any:
        """Return a directory's entries: dicts with `name`, `type` and `size`."""

    def info(self, path: str) -> Any:
        """Return one entry, as `ls` does."""

    def open(self, path: str, mode: str = "rb") -> Any:
        """Return a binary file object."""


def is_fsspec(source: object) -> TypeGuard[FsspecFileSystem]:
    """Whether `source` looks like an fsspec file system."""
    return all(hasattr(source, name) for name in ("ls", "info", "open", "protocol"))


class FsspecDirectory(ListedDirectory):
    """A directory of an fsspec file system: `FsspecDirectory(fs, "bucket/prefix")`."""

    __slots__ = ("_fs", "_path")

    def __init__(self, fs: FsspecFileSystem, path: str = "", parent: FsspecDirectory | None = None) -> None:
        super().__init__(parent)
        self._fs = fs
        self._path = path

    def listing(self) -> dict[str, Node]:
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
    """A file, with the status that its listing had."""

    __slots__ = ("_entry", "_fs")

    def __init__(self, fs: FsspecFileSystem, entry: dict[str, Any]) -> None:
        self._fs = fs
        self._entry = entry

    @property
    def name(self) -> str:
        """Its path, for messages."""
        return str(self._entry["name"])

    def stat(self) -> Stat:
        """As listed; `info` is called only for a missing size. Raises: EIO for a size that is not a number."""
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
        try:
            handle = self._fs.open(self._entry["name"], "rb")
        except Exception as error:
            raise_as_errno(error, self._fs, self._entry["name"])
        return FsspecOpenFile(self, handle, self._fs)


class FsspecOpenFile(File):
    """An open file, with the inode of the file it was opened from."""

    __slots__ = ("_file", "_fs", "_handle")

    def __init__(self, file: FsspecFile, handle: Any, fs: FsspecFileSystem) -> None:
        self._file = file
        self._handle = handle
        self._fs = fs
        self.inode: int = file.inode

    def stat(self) -> Stat:
        return self._file.stat()

    def read(self, offset: int, size: int) -> bytes:
        try:
            self._handle.seek(offset)  # the guest's position is not the handle's
            data: bytes = self._handle.read(size)
        except Exception as error:
            raise_as_errno(error, self._fs, self._file.name)
        return data

    def close(self) -> None:
        try:
            self._handle.close()
        except Exception as error:
            raise_as_errno(error, self._fs, self._file.name)


def _nanoseconds(time: object) -> int:
    """Convert a time of a back end, which is seconds since 1970 or a datetime; 0 if it is unknown or impossible."""
    try:
        if isinstance(time, datetime.datetime):
            return seconds(time.utctimetuple()) * 1_000_000_000
        return int(time * 1_000_000_000) if isinstance(time, (int, float)) else 0
    except (ValueError, OverflowError):  # NaN, infinity, a year that cannot be converted
        return 0
