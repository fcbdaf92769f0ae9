"""A read-only tree of a zip archive, mounted as a `zipfile.Path`.

Rules of this file: the archive's central directory is read once, because `zipfile.Path` reads it at each step.
Archives come from anywhere, so:

- an entry with `..` in its name is left out;
- leading and repeated slashes mean nothing;
- what is both a file and a directory is the directory, and of two files with one name the later one counts;
- a link cannot be read (EPERM): following it could lead out of the tree.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import Any

from wasihost.common.logs import warn
from wasihost.vfs.dates import seconds
from wasihost.vfs.foreign import raise_as_errno
from wasihost.vfs.interruption import read_all
from wasihost.vfs.listed import ListedDirectory, SealedLink, WholeFile
from wasihost.vfs.nodes import Directory, Node, Stat


def is_in_zip(source: object) -> bool:
    """Whether `source` is a `zipfile.Path`, or that of the package `zipp`."""
    archive = getattr(source, "root", None)
    return isinstance(getattr(source, "at", None), str) and hasattr(archive, "infolist") and hasattr(archive, "open")


class ZipTree(ListedDirectory):
    """The directory that a `zipfile.Path` names, with everything below it."""

    __slots__ = ("_path",)

    def __init__(self, path: Any, parent: Directory | None = None) -> None:
        super().__init__(parent)
        self._path = path

    def listing(self) -> dict[str, Node]:
        start = _steps(self._path.at)
        top: dict[str, Node] = {}
        left_out: list[str] = []
        for info in self._path.root.infolist():
            steps = _steps(info.filename)
            if ".." in steps:
                left_out.append(info.filename)
            elif len(steps) > len(start) and steps[: len(start)] == start:
                self._add(top, steps[len(start) :], info)
        if left_out:
            warn("files", "left out %d entries of an archive, such as %.80r", len(left_out), left_out[0])
        return top

    def _add(self, nodes: dict[str, Node], steps: list[str], info: Any) -> None:
        parent: Directory = self
        *parents, name = steps
        if info.filename.endswith("/"):
            parents, name = steps, ""
        for step in parents:
            found = nodes.get(step)
            if not isinstance(found, ZipDirectory):
                found = nodes[step] = ZipDirectory(parent)
            parent, nodes = found, found.nodes
        if name and not isinstance(nodes.get(name), ZipDirectory):
            nodes[name] = SealedLink() if stat.S_ISLNK(info.external_attr >> 16) else ZipFile(self._path.root, info)


class ZipDirectory(Directory):
    """A directory of an archive below its root, filled by `ZipTree`."""

    __slots__ = ("_parent", "nodes")

    def __init__(self, parent: Directory) -> None:
        self._parent = parent
        self.nodes: dict[str, Node] = {}

    def lookup(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        return self.nodes.items()

    def above(self) -> Directory | None:
        return self._parent


class ZipFile(WholeFile):
    """A file of an archive."""

    __slots__ = ("_archive", "_info")

    def __init__(self, archive: Any, info: Any) -> None:
        super().__init__()
        self._archive = archive
        self._info = info

    def stat(self) -> Stat:
        time = _nanoseconds(self._info.date_time)
        return Stat(self._info.file_size, time, time, time)

    def load(self) -> bytes:
        """Unpack it. Raises: EIO if it is damaged or compressed in an unknown way, EACCES if it needs a password."""
        try:
            with self._archive.open(self._info) as packed:
                data: bytes = read_all(packed)
        except Exception as error:
            raise_as_errno(error, self._archive, self._info.filename)
        return data


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


def _nanoseconds(date_time: tuple[int, int, int, int, int, int]) -> int:
    """Archives have local times without a zone: taken as UTC, to be the same everywhere. 0 if there is none."""
    try:
        return seconds(date_time) * 1_000_000_000
    except (ValueError, OverflowError):  # month 0: how many programs write that there is no date
        return 0
