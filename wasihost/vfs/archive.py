"""A read-only tree of a zip archive, which a `zipfile.Path` leads to.

Rules of this file: the archive's own directory is gone through once, because `zipfile.Path` goes through it at each
step, and because archives come from anywhere. An entry with `..` in its name is left out; a slash at the beginning, or
one after the other, means nothing; what is a file and a directory too is the directory; of two files of one name, the
later counts. A link, which unpacking would follow out of the tree, cannot be read: EPERM.
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
    """Whether it is a `zipfile.Path`, or one of the package `zipp`."""
    archive = getattr(source, "root", None)
    return isinstance(getattr(source, "at", None), str) and hasattr(archive, "infolist") and hasattr(archive, "open")


class ZipTree(ListedDirectory):
    """The directory that a `zipfile.Path` names, with all that is below it."""

    __slots__ = ("_path",)

    def __init__(self, path: Any, above: Directory | None = None) -> None:
        super().__init__(above)
        self._path = path

    def listing(self) -> dict[str, Node]:
        """All of the archive at once."""
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
        above: Directory = self
        *parents, name = steps
        if info.filename.endswith("/"):
            parents, name = steps, ""
        for step in parents:
            found = nodes.get(step)
            if not isinstance(found, ZipDirectory):
                found = nodes[step] = ZipDirectory(above)
            above, nodes = found, found.nodes
        if name and not isinstance(nodes.get(name), ZipDirectory):
            nodes[name] = SealedLink() if stat.S_ISLNK(info.external_attr >> 16) else ZipFile(self._path.root, info)


class ZipDirectory(Directory):
    """A directory of an archive, all of which was found before."""

    __slots__ = ("_above", "nodes")

    def __init__(self, above: Directory) -> None:
        self._above = above
        self.nodes: dict[str, Node] = {}

    def lookup(self, name: str) -> Node | None:
        """From what was found."""
        return self.nodes.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        """What was found."""
        return self.nodes.items()

    def above(self) -> Directory | None:
        """The directory it lies in."""
        return self._above


class ZipFile(WholeFile):
    """A file of an archive."""

    __slots__ = ("_archive", "_info")

    def __init__(self, archive: Any, info: Any) -> None:
        super().__init__()
        self._archive = archive
        self._info = info

    def stat(self) -> Stat:
        """As the archive's directory has it."""
        time = _nanoseconds(self._info.date_time)
        return Stat(self._info.file_size, time, time, time)

    def load(self) -> bytes:
        """Unpacks it. Raises: EIO for what is damaged or packed in an unknown way, EACCES without its password."""
        try:
            with self._archive.open(self._info) as packed:
                data: bytes = read_all(packed)
        except Exception as error:
            raise_as_errno(error, self._archive, self._info.filename)
        return data


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


def _nanoseconds(date_time: tuple[int, int, int, int, int, int]) -> int:
    """An archive has local times without a zone: taken as UTC, so that they are the same everywhere. 0 for none."""
    try:
        return seconds(date_time) * 1_000_000_000
    except (ValueError, OverflowError):  # month 0, which is how many programs say that they have no date
        return 0
