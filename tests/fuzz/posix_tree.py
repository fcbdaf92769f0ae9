"""A plain model of POSIX' files, directories and links below one folder: what there is, and where paths lead.

Rules of these files (`posix_tree`, `posix_paths`, `posix`): written to be read, not to be fast; no code is shared with
the host. The kernel's order of checks is kept where the errno depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from wasi_preview1.types import Errno, Fstflags

from tests.conformance import case

UNKNOWN: Final = object()
"""A value that the model does not know."""
RECENT: Final = "recent"
"""A time that nobody has set."""


class Failed(Exception):
    """The errno that a call returns, or one of them where it has several faults."""

    def __init__(self, *errnos: Errno) -> None:
        super().__init__(*errnos)
        self.errnos = frozenset(errnos)


@dataclass(eq=False)
class File:
    """Bytes, and how many names they have."""

    data: bytearray = field(default_factory=bytearray)
    links: int = 1
    mtim: object = RECENT
    kind = "REGULAR_FILE"


@dataclass(eq=False)
class Link:
    """A symbolic link."""

    target: str
    links: int = 1
    mtim: object = RECENT
    kind = "SYMBOLIC_LINK"


@dataclass(eq=False)
class Folder:
    """Names; `parent` is None for the top, and for one that was removed (`gone`)."""

    parent: Folder | None = None
    names: dict[str, Node] = field(default_factory=dict)
    gone: bool = False
    mtim: object = RECENT
    kind = "DIRECTORY"


Node: TypeAlias = File | Link | Folder


@dataclass(eq=False)
class Open:
    """What a descriptor names; `read` and `write` are what a file was opened for."""

    node: File | Folder
    read: bool = True
    write: bool = False
    flags: int = 0
    position: int = 0
    preopen: bool = False


@dataclass
class Place:
    """Where a path leads: a name in a folder, and what is there. `name` is empty for the folder itself."""

    folder: Folder
    name: str
    node: Node | None
    slash: bool


class Tree:
    """What a guest has open, and the tree."""

    def __init__(self, tree: case.Tree) -> None:
        self.top = Folder()
        for path, content in case.whole(tree).items():
            above, _, name = path.rpartition("/")
            folder = self._plain(above)
            if content is None:
                folder.names[name] = Folder(folder)
            elif isinstance(content, case.Link):
                folder.names[name] = Link(str(content))
            else:
                assert isinstance(content, bytes)
                folder.names[name] = File(bytearray(content))
        self.open: dict[int, Open] = {3: Open(self.top, preopen=True)}
        self.slots: list[int] = []

    def _plain(self, path: str) -> Folder:
        folder = self.top
        for name in filter(None, path.split("/")):
            inner = folder.names[name]
            assert isinstance(inner, Folder)
            folder = inner
        return folder

    def tree(self) -> Mapping[str, case.Node]:
        """The tree as `tests.conformance.backends` reports it."""
        found: dict[str, case.Node] = {}

        def add(folder: Folder, prefix: str) -> None:
            for name, node in folder.names.items():
                match node:
                    case Folder():
                        found[prefix + name] = None
                        add(node, f"{prefix}{name}/")
                    case Link(target):
                        found[prefix + name] = case.Link(target)
                    case File(data):
                        found[prefix + name] = bytes(data)

        add(self.top, "")
        return found

    def _fd(self, fd: int) -> Open:
        if fd not in self.open:
            raise Failed(Errno.BADF)
        return self.open[fd]

    def _folder(self, fd: int) -> Folder:
        node = self._fd(fd).node
        if not isinstance(node, Folder):
            raise Failed(Errno.NOTDIR)
        return node

    def _file(self, fd: int, *, folder: Errno = Errno.BADF) -> tuple[Open, File]:
        opened = self._fd(fd)
        if not isinstance(opened.node, File):
            raise Failed(folder)
        return opened, opened.node

    # -- paths ---------------------------------------------------------------------------------------------------------

    def _walk(self, fd: int, path: str, *, follow: bool, last: bool = False, slash_follows: bool = True) -> Place:
        """Where a path leads that starts at a descriptor and stays beneath it. `last` leaves a `.` or `..` at the end
        to the caller, as the name of the place."""
        start = self._folder(fd)
        if not path:
            raise Failed(Errno.NOENT)
        if path.startswith("/"):
            raise Failed(Errno.PERM)
        here = start
        parts = path.split("/")
        hops = 0
        while True:
            name, rest = parts[0], parts[1:]
            final = not any(rest)
            slash = final and bool(rest)
            if final and last and name in (".", ".."):
                return Place(here, name, self._dots(start, here, name), slash)
            if name in ("", ".", ".."):
                here = self._dots(start, here, name)
                if final:
                    return Place(here, "", here, slash)
                parts = rest
                continue
            if len(name.encode()) > 255:
                raise Failed(Errno.NAMETOOLONG)
            if here.gone:
                raise Failed(Errno.NOENT)
            node = here.names.get(name)
            if isinstance(node, Link) and (not final or follow or (slash and slash_follows)):
                hops += 1
                if hops > 40:
                    raise Failed(Errno.LOOP)
                if node.target.startswith("/"):
                    raise Failed(Errno.PERM)
                parts = node.target.split("/") + rest
                continue
            if final:
                if slash and isinstance(node, File):
                    return Place(here, name, node, slash)
                return Place(here, name, node, slash)
            if node is None:
                raise Failed(Errno.NOENT)
            if not isinstance(node, Folder):
                raise Failed(Errno.NOTDIR)
            here = node
            parts = rest

    @staticmethod
    def _dots(start: Folder, here: Folder, name: str) -> Folder:
        if name != "..":
            return here
        if here is start:
            raise Failed(Errno.PERM)
        if here.parent is None:
            raise Failed(Errno.NOENT)
        return here.parent

    def _existing(self, fd: int, path: str, *, follow: bool) -> Node:
        place = self._walk(fd, path, follow=follow)
        if place.node is None:
            raise Failed(Errno.NOENT)
        if place.slash and not isinstance(place.node, Folder):
            raise Failed(Errno.NOTDIR)
        return place.node


def stat(node: Node) -> Any:
    told: dict[str, object] = {"filetype": node.kind, "mtim": node.mtim}
    if not isinstance(node, Folder):
        size = len(node.data) if isinstance(node, File) else len(node.target)
        told |= {"nlink": node.links, "size": size}
    return told


def check_times(which: int) -> None:
    for both in (Fstflags.ATIM | Fstflags.ATIM_NOW, Fstflags.MTIM | Fstflags.MTIM_NOW):
        if which & both == both:
            raise Failed(Errno.INVAL)


def set_times(node: Node, mtim: int, which: int) -> None:
    if which & Fstflags.MTIM:
        node.mtim = mtim
    elif which & Fstflags.MTIM_NOW:
        node.mtim = RECENT
