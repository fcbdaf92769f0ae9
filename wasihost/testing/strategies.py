"""hypothesis strategies for files: names, and whole trees, which become a `MemoryFS` or a folder of the host.

    from hypothesis import given
    from wasihost.testing import strategies

    @given(strategies.file_trees())
    def test_sizes(tree):
        done = wasihost.run("du.wasm", fs=tree.memory(), capture_output=True)

Rule of this file: it is imported by tests that have hypothesis, and by nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from wasihost.vfs import MemoryFS

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FileTree", "file_names", "file_trees"]


class FileTree(NamedTuple):
    """Files, directories and links of a tree. Paths are relative to its root."""

    files: dict[str, bytes]
    """Path -> content."""
    directories: list[str]
    """All of them, each before what is in it."""
    links: dict[str, str]
    """The path of a symbolic link -> where it leads, which may not exist or be outside."""

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Self:
        """Return the tree of these entries: name -> content, where a link leads, or the entries of a directory."""
        tree = cls({}, [], {})
        todo = [("", entries)]
        while todo:
            base, inside = todo.pop()
            for name, entry in inside.items():
                path = base + name
                if isinstance(entry, Mapping):
                    tree.directories.append(path)
                    todo.append((f"{path}/", entry))
                elif isinstance(entry, str):
                    tree.links[path] = entry
                else:
                    tree.files[path] = entry
        return tree

    def memory(self, **options: Any) -> MemoryFS:
        """Return a new `MemoryFS` with this tree. `options` are those of `MemoryFS`."""
        made = MemoryFS(**options)
        for path in self.directories:
            made.mkdir(path)
        for path, content in self.files.items():
            made[path] = content
        for path, target in self.links.items():
            made.symlink(target, path)
        return made

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Make this tree in an empty folder of the host. Raises OSError where the system cannot have such a name."""
        base = Path(folder)
        for path in self.directories:
            (base / path).mkdir()
        for path, content in self.files.items():
            (base / path).write_bytes(content)
        for path, target in self.links.items():
            (base / path).symlink_to(target)


def file_names(*, max_size: int = 12) -> st.SearchStrategy[str]:
    """Return a strategy for names of files: any text without `/` and NUL, except `.` and `..`.

    Args:
        max_size: The most characters, of which each may be four bytes long.
    """
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
    return st.text(characters, min_size=1, max_size=max_size).filter(lambda name: name not in (".", ".."))


def file_trees(
    *,
    names: st.SearchStrategy[str] | None = None,
    contents: st.SearchStrategy[bytes] | None = None,
    max_files: int = 8,
    links: bool = False,
) -> st.SearchStrategy[FileTree]:
    """Return a strategy for trees of files, with empty directories.

    Args:
        names: Names of files and directories. Default: `file_names()`.
        contents: Contents of files. Default: up to 200 bytes.
        max_files: About how many files there are at most.
        links: Whether there are symbolic links, also to nothing and to the outside.
    """
    names = file_names() if names is None else names
    leaves: st.SearchStrategy[Any] = st.binary(max_size=200) if contents is None else contents
    if links:
        steps = st.lists(st.one_of(st.just(".."), names), min_size=1, max_size=3)
        leaves = st.one_of(leaves, steps.map("/".join))
    nested = st.recursive(leaves, lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=max_files)
    return st.dictionaries(names, nested, max_size=max_files).map(FileTree.of)
