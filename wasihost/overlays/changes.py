"""What is different in an overlay from the tree below it.

Rules of this file: it only reads. Paths are relative to the mount, without a leading slash. Directories that are as
below are not walked, however large they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from wasihost.overlays.directories import OverlayDirectory
from wasihost.overlays.files import OverlayFile
from wasihost.overlays.nodes import OverlayNode
from wasihost.vfs.nodes import Directory, File, Link, Node

ChangeKind: TypeAlias = Literal["created", "changed", "removed", "renamed", "touched"]
_LETTERS: Final = {"created": "A", "changed": "M", "removed": "D", "renamed": "R", "touched": "T"}
_PIECE: Final = 1 << 18


class Change(NamedTuple):
    """One difference.

    Attributes:
        kind: "created", "changed" (other content, or another kind of file), "removed", "renamed", or "touched": only
            the times of a file are others.
        path: Where it is; of something removed, where it was.
        old_path: Where something renamed was; None for all others.
        filetype: "file", "directory", "link" or "other".
    """

    kind: ChangeKind
    path: str
    old_path: str | None
    filetype: Literal["file", "directory", "link", "other"]

    def __str__(self) -> str:
        old = f"{self.old_path} -> " if self.old_path is not None else ""
        return f"{_LETTERS[self.kind]} {old}{self.path}{'/' * (self.filetype == 'directory')}"


class OverlayChanges(tuple[Change, ...]):
    """All differences, sorted by path. As text it is one line for each, with the letters of `git status`: A created, M
    changed, D removed, R renamed; and T for times."""

    __slots__ = ()

    @property
    def created(self) -> tuple[str, ...]:
        """Paths of what is new; everything in a new directory too."""
        return self._paths("created")

    @property
    def changed(self) -> tuple[str, ...]:
        """Paths of files and links with other content than before."""
        return self._paths("changed")

    @property
    def removed(self) -> tuple[str, ...]:
        """Paths of what is gone; everything in a directory that is gone too."""
        return self._paths("removed")

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """Old and new path of what was moved to a path that was free; of a directory only the directory itself."""
        return tuple((change.old_path, change.path) for change in self if change.old_path is not None)

    @property
    def touched(self) -> tuple[str, ...]:
        """Paths of files and links of which only the times are others."""
        return self._paths("touched")

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from wasihost.representation import table

        rows = [(one.path, one.kind, one.filetype, one.old_path or "") for one in self]
        return table(f"{len(rows):,} changes", rows, ("path", "what", "type", "was"))

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        """The paths, for rich."""
        for kind in ("created", "changed", "removed", "renamed", "touched"):
            yield kind, getattr(self, kind), ()

    def _paths(self, kind: ChangeKind) -> tuple[str, ...]:
        return tuple(change.path for change in self if change.kind == kind)


class Difference(NamedTuple):
    """A change with the nodes that it is about: that of the overlay, and that below.

    `old_path` is the path of the node below, if it is another: also of a file that was moved and has other content.
    """

    kind: ChangeKind
    path: str
    old_path: str | None
    node: OverlayNode | None
    below: Node | None

    def public(self) -> Change:
        """Return it without the nodes."""
        node = self.node or self.below
        old_path = self.old_path if self.kind == "renamed" else None
        if isinstance(node, Directory):
            return Change(self.kind, self.path, old_path, "directory")
        kind: Literal["file", "link", "other"]
        kind = "file" if isinstance(node, File) else "link" if isinstance(node, Link) else "other"
        return Change(self.kind, self.path, old_path, kind)


def differences(root: OverlayDirectory) -> list[Difference]:
    """Return all differences, sorted by path. Called with the overlay's lock held."""
    return _Comparison(root).found()


class _Comparison:
    """One comparison. `moved` has the paths below whose files are elsewhere now, and the first path of each."""

    def __init__(self, root: OverlayDirectory) -> None:
        self._root = root
        self._out: list[Difference] = []
        placed: dict[OverlayNode, str] = {}
        in_place: set[OverlayNode] = set()
        for path, directory, name, node in _kept(root):
            if node.origin is None:
                continue
            if isinstance(directory.lower, Directory) and joined(directory.origin or "", name) == node.origin:
                in_place.add(node)
            elif directory.lower_entry(name) is None:
                placed.setdefault(node, path)
        self._moved: dict[str, str] = {
            node.origin: path for node, path in placed.items() if node not in in_place and node.origin is not None
        }

    def found(self) -> list[Difference]:
        self._inside("", self._root)
        if any(isinstance(node, OverlayFile) and node.content for node in self._root.state.linked.values()):
            self._other_names()
        self._out.sort(key=lambda one: one.path)
        return self._out

    def _inside(self, path: str, directory: OverlayDirectory) -> None:
        """Compare a directory with its own lower one."""
        for name, node in directory.names.items():
            below = directory.lower_entry(name)
            self._compare(joined(path, name), joined(directory.origin or "", name), node, below)

    def _compare(self, path: str, low: str, node: OverlayNode | None, below: Node | None) -> None:
        if node is None:
            if below is not None:
                self._removed(low, below)
        elif node.origin == low and below is not None:
            self._same_place(path, low, node)
        elif below is None or low in self._moved:
            self._new(path, node)
        elif isinstance(node, Directory) and isinstance(below, Directory):
            self._replaced(path, low, node, below)
        elif isinstance(node, Directory) or isinstance(below, Directory) or not is_alike(node, below):
            self._removed(low, below, beneath=True)
            self._new(path, node, "changed", below)
        elif not same_content(node, below):
            self._note("changed", path, node, below)
        elif _mtime(node) != _mtime(below):
            self._note("touched", path, node, below)

    def _same_place(self, path: str, low: str, node: OverlayNode) -> None:
        """Compare with the node's own lower one, whose path is `low`."""
        below = node.lower
        if isinstance(node, OverlayDirectory):
            self._inside(path, node)
        elif isinstance(node, OverlayFile) and node.content is not None and not same_content(node, below):
            self._note("changed", path, node, below, low)
        elif below is not None and _mtime(node) != _mtime(below):
            self._note("touched", path, node, below, low)

    def _new(self, path: str, node: OverlayNode, kind: ChangeKind = "created", below: Node | None = None) -> None:
        if node.origin is not None and self._moved.get(node.origin) == path:
            self._out.append(Difference("renamed", path, node.origin, node, node.lower))
            self._same_place(path, node.origin, node)
            return
        self._note(kind, path, node, below)
        if isinstance(node, OverlayDirectory):
            for name, inner in node.entries():
                self._new(joined(path, name), inner)

    def _replaced(self, path: str, low: str, node: Directory, below: Directory) -> None:
        """Compare a directory with one that it replaced."""
        left = dict(below.entries())
        for name, inner in node.entries():
            assert isinstance(inner, OverlayNode)
            self._compare(joined(path, name), joined(low, name), inner, left.pop(name, None))
        for name, gone in left.items():
            self._removed(joined(low, name), gone)

    def _removed(self, low: str, below: Node, *, beneath: bool = False) -> None:
        """Note what is gone; with `beneath`, only what was in a directory."""
        if low in self._moved:
            return
        if not beneath:
            self._note("removed", low, None, below)
        if isinstance(below, Directory):
            for name, inner in below.entries():
                self._removed(joined(low, name), inner)

    def _other_names(self) -> None:
        """Note the files that changed because they are others' second names below."""
        noted = {one.path for one in self._out}
        for path, node in walk(self._root):
            if path in noted or not isinstance(node, OverlayFile) or node.key is None or node.content is None:
                continue
            if not same_content(node, node.lower):
                self._note("changed", path, node, node.lower)

    def _note(
        self, kind: ChangeKind, path: str, node: OverlayNode | None, below: Node | None, low: str | None = None
    ) -> None:
        self._out.append(Difference(kind, path, low if low != path else None, node, below))


def joined(path: str, name: str) -> str:
    """Return the path of an entry."""
    return f"{path}/{name}" if path else name


def walk(directory: Directory, path: str = "") -> Iterator[tuple[str, Node]]:
    """Yield everything in a directory with its path, directories before what is in them."""
    pending = [(path, directory)]
    while pending:
        at, here = pending.pop()
        for name, node in here.entries():
            yield joined(at, name), node
            if isinstance(node, Directory):
                pending.append((joined(at, name), node))


def _kept(root: OverlayDirectory) -> Iterator[tuple[str, OverlayDirectory, str, OverlayNode]]:
    """Yield every node that a directory keeps: its path, the directory, the name."""
    pending = [("", root)]
    while pending:
        at, here = pending.pop()
        for name, node in here.names.items():
            if node is not None:
                yield joined(at, name), here, name, node
                if isinstance(node, OverlayDirectory):
                    pending.append((joined(at, name), node))


def is_alike(node: Node, other: Node) -> bool:
    """Whether two nodes are of one kind."""
    return any(isinstance(node, kind) and isinstance(other, kind) for kind in (File, Link, Directory))


def same_content(node: Node, below: Node | None) -> bool:
    """Whether two files or two links are equal."""
    if isinstance(node, Link) and isinstance(below, Link):
        return node.target() == below.target()
    if not isinstance(node, File) or not isinstance(below, File):
        return node is below
    size = node.stat().size
    if below.stat().size != size:
        return False
    first, second = node.open(writing=False), below.open(writing=False)
    try:
        return all(first.read(at, _PIECE) == second.read(at, _PIECE) for at in range(0, size, _PIECE))
    finally:
        first.close()
        second.close()


def _mtime(node: Node) -> int:
    return node.stat().mtime_ns
