"""`wasihost.testing.strategies`: trees that both kinds of file systems can have, and that are not all alike."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings

from wasihost.testing.strategies import FileTree, file_names, file_trees

QUICK = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def test_a_tree_is_the_same_on_both() -> None:
    """And there is every kind of entry in some tree."""
    kinds: set[str] = set()

    @QUICK
    @given(file_trees(links=True))
    def check(tree: FileTree) -> None:
        same_on_both(tree)
        kinds.update(
            kind
            for kind, found in {
                "a file in a directory": any("/" in path for path in tree.files),
                "a directory in a directory": any("/" in path for path in tree.directories),
                "an empty directory": any(not tree.memory().listdir(path) for path in tree.directories),
                "a link upwards": any(".." in target for target in tree.links.values()),
                "several files": len(tree.files) > 2,
            }.items()
            if found
        )

    check()
    assert len(kinds) == 5, kinds


def same_on_both(tree: FileTree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree.write(folder)
        found = tree.memory()
        for path, content in tree.files.items():
            assert found[path] == Path(folder, path).read_bytes() == content
        for path in tree.directories:
            assert sorted(found.listdir(path)) == sorted(os.listdir(Path(folder, path)))
        for path, target in tree.links.items():
            assert found.readlink(path) == os.readlink(Path(folder, path)) == target
        assert sorted(found.listdir()) == sorted(os.listdir(folder))


@QUICK
@given(file_names())
def test_names_are_names(name: str) -> None:
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert "\0" not in name
