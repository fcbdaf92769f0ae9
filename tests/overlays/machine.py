"""The same calls on an overlay over a folder and on a plain `MemoryFS` with the same files, and what both have then."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conformance.backends import fill_folder, fill_memory, host_tree, memory_tree
from tests.conformance.case import Link, Tree, whole
from wasihost import MemoryFS, Overlay
from wasihost.descriptors.virtual import filetype_of
from wasihost.vfs import nodes, operations
from wasihost.vfs.resolve import node_at

TREE: Tree = {
    "a": b"text",
    "b": b"other text",
    "d/a": b"inner",
    "d/b/a": b"deep",
    "d/c": None,
    "e": None,
    "l": Link("a"),
    "m": Link("d"),
    "big": bytes(range(256)) * 4100,  # beyond what is copied in one piece
}
HARD = ("d/h", "h")
NAMES = st.sampled_from(["a", "b", "d", "e", "h", "l", "m", "new", "big"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
DATA = st.sampled_from([b"", b"x", b"1234567890", b"text"])
OFFSETS = st.sampled_from([0, 2, 7, 70_000, 1_049_590])

Answer = tuple[str, object]


def answer(call: Callable[[], object]) -> Answer:
    """What a call returned or raised, where both sides must be alike."""
    try:
        return "returned", call()
    except OSError as error:
        return "raised", error.errno


def inodes(root: nodes.Directory) -> dict[str, int]:
    """Every path with the number of its inode."""
    return {path: node_at(root, path, follow=False).inode for path, _ in memory_tree(root)}


def picture(root: nodes.Directory) -> dict[str, object]:
    """Every path with its content, the number of its names, and the first path of the same file."""
    out: dict[str, object] = dict(memory_tree(root))
    first: dict[int, str] = {}
    for path in sorted(out):
        node = node_at(root, path, follow=False)
        if isinstance(node, nodes.Directory):
            continue
        out[path] = out[path], node.stat().links, first.setdefault(node.inode, path)
    return out


class Comparison(RuleBasedStateMachine):
    """One overlay, one `MemoryFS`, and files that are open in both."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="wasihost-overlay-")
        self.base = Path(self._folder.name, "base")
        self.open: list[tuple[nodes.File, nodes.File]] = []

    @initialize(in_memory=st.booleans())
    def begin(self, in_memory: bool) -> None:
        fill_folder(self.base, TREE)
        for name in HARD:
            if name == HARD[0]:
                (self.base / name).write_bytes(b"linked")
            else:
                os.link(self.base / HARD[0], self.base / name)
        self.plain = self.copy()
        self.lower = self.copy() if in_memory else None
        self.overlay = self.make(self.lower if self.lower is not None else self.base)

    def make(self, lower: MemoryFS | Path) -> Overlay:
        return Overlay(lower)

    def copy(self) -> MemoryFS:
        fs = MemoryFS(max_bytes=None)
        fill_memory(fs, TREE)
        fs[HARD[0]] = b"linked"
        fs.link(*HARD)
        return fs

    def both(self, call: Callable[[nodes.Directory], object]) -> None:
        assert answer(lambda: call(self.overlay.root)) == answer(lambda: call(self.plain.root))

    @rule(path=PATHS, create=st.booleans(), exclusive=st.booleans(), truncate=st.booleans(), data=DATA, offset=OFFSETS)
    def opens(self, path: str, create: bool, exclusive: bool, truncate: bool, data: bytes, offset: int) -> None:
        opened: list[nodes.File] = []

        def call(root: nodes.Directory) -> object:
            node = operations.open_node(
                root, path, follow=True, create=create, exclusive=exclusive, writing=truncate or bool(data)
            )
            if not isinstance(node, nodes.File):
                return "directory"
            file = node.open(writing=True)
            opened.append(file)
            if truncate:
                file.truncate(0)
            return file.write(offset, data) if data else None, file.read(0, 30), file.stat().size

        self.both(call)
        if len(opened) == 2:
            self.open.append((opened[0], opened[1]))

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 20), data=DATA, offset=OFFSETS, append=st.booleans(), size=st.none() | OFFSETS)
    def uses(self, number: int, data: bytes, offset: int, append: bool, size: int | None) -> None:
        first, second = self.open[number % len(self.open)]

        def call(file: nodes.File) -> object:
            if size is not None:
                file.truncate(size)
            done = file.appendfrom(memoryview(data)) if append else file.write(offset, data)
            return done, file.read(offset - 2 if offset else 0, 20), file.stat().size, file.stat().links

        assert answer(lambda: call(first)) == answer(lambda: call(second))

    @precondition(lambda self: self.open)
    @rule(number=st.integers(0, 20))
    def closes(self, number: int) -> None:
        for file in self.open.pop(number % len(self.open)):
            file.close()

    @rule(path=PATHS)
    def mkdir(self, path: str) -> None:
        self.both(lambda root: operations.mkdir(root, path))

    @rule(path=PATHS)
    def rmdir(self, path: str) -> None:
        self.both(lambda root: operations.rmdir(root, path))

    @rule(path=PATHS)
    def unlink(self, path: str) -> None:
        self.both(lambda root: operations.unlink(root, path))

    @rule(path=PATHS, to=PATHS)
    def rename(self, path: str, to: str) -> None:
        self.both(lambda root: operations.rename(root, path, root, to))

    @rule(path=PATHS, to=PATHS, follow=st.booleans())
    def link(self, path: str, to: str, follow: bool) -> None:
        self.both(lambda root: operations.link(root, path, follow, root, to))

    @rule(path=PATHS, content=st.sampled_from(["a", "d", "../a", "nothing"]))
    def symlink(self, path: str, content: str) -> None:
        self.both(lambda root: operations.symlink(content, root, path))

    @rule(path=PATHS, mtime=st.sampled_from([5, 10**18]))
    def touches(self, path: str, mtime: int) -> None:
        def call(root: nodes.Directory) -> object:
            node = node_at(root, path, follow=True)
            node.set_times(None, mtime)
            return node.stat().mtime_ns

        self.both(call)

    @invariant()
    def both_have_the_same(self) -> None:
        if hasattr(self, "overlay"):
            assert picture(self.overlay.root) == picture(self.plain.root)
            root = self.overlay.root
            listed = {(name, node.inode, filetype_of(node)) for name, node in root.listing_entries()}
            assert listed == {(name, node.inode, filetype_of(node)) for name, node in root.entries()}

    def teardown(self) -> None:
        try:
            if hasattr(self, "overlay"):
                self.end()
        finally:
            self._folder.cleanup()

    def end(self) -> None:
        before = dict(host_tree(str(self.base)))
        assert before == {**whole(TREE), HARD[0]: b"linked", HARD[1]: b"linked"}
        wanted = dict(memory_tree(self.plain.root))
        for pair in self.open:
            for file in pair:
                file.close()
        changes, text = self.overlay.changes(), self.overlay.diff()
        if wanted == before:
            assert not {*changes.created, *changes.changed, *changes.removed}, changes
            assert not changes.renamed
            assert not text
        to = self.copy()
        self.overlay.apply(to)
        assert dict(memory_tree(to.root)) == wanted
        if self.lower is not None:
            assert dict(memory_tree(self.lower.root)) == before
        else:
            assert dict(host_tree(str(self.base))) == before
        assert self.overlay.apply() == changes
        lower = dict(host_tree(str(self.base))) if self.lower is None else dict(memory_tree(self.lower.root))
        assert lower == wanted
        assert self.overlay.changes() == ()
        assert dict(memory_tree(self.overlay.root)) == wanted
        self.plain.root.children.clear()
        assert self.overlay._state.bytes == self.overlay._state.entries == self.overlay._state.bases == 0
        self.overlay.close()


class Kept(Comparison):
    """The same with an overlay that is kept in a folder, closed and opened again."""

    def make(self, lower: MemoryFS | Path) -> Overlay:
        return Overlay(lower, self.base.parent / "kept")

    @precondition(lambda self: not self.open)
    @rule()
    def reopens(self) -> None:
        before = inodes(self.overlay.root)
        changes, state = self.overlay.changes(), self.overlay._state
        counted = state.bytes, state.entries
        self.overlay.close()
        self.overlay = self.make(self.lower if self.lower is not None else self.base)
        assert inodes(self.overlay.root) == before
        assert self.overlay.changes() == changes
        assert (self.overlay._state.bytes, self.overlay._state.entries) == counted
