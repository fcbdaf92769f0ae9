"""The walk needs the same permissions on the way as the kernel does: no more and no less."""

import os
from collections.abc import Iterator

import pytest

from tests.sandbox.trees import Tree, outcome
from wasihost.sandbox.resolve import open_beneath

NOBODY = 65534


@pytest.fixture
def unprivileged(tree: Tree) -> Iterator[Tree]:
    """The tree with one directory that cannot be searched and one that cannot be read, for someone who is not root."""
    for name, mode in (("locked", 0o600), ("unreadable", 0o300)):
        place = tree.base / name
        place.mkdir()
        (place / "inner").write_text("")
        os.symlink(f"{name}/..", tree.base / f"{name}_up")
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        place.chmod(mode)
    if os.geteuid() != 0:
        yield tree
    else:
        os.seteuid(NOBODY)
        try:
            yield tree
        finally:
            os.seteuid(0)
    for name in ("locked", "unreadable"):
        (tree.base / name).chmod(0o700)


@pytest.mark.usefixtures("strategy")
@pytest.mark.parametrize(
    ("path", "flags", "expected"),
    [
        ("locked", os.O_RDONLY, ""),
        ("locked/", os.O_RDONLY, ""),
        ("locked/.", os.O_RDONLY, "EACCES"),
        ("locked/inner", os.O_RDONLY, "EACCES"),
        ("locked/missing", os.O_RDONLY, "EACCES"),
        ("locked/..", os.O_PATH, "EACCES"),
        ("locked/../file", os.O_PATH, "EACCES"),
        ("locked/./../file", os.O_PATH, "EACCES"),
        ("locked_up/file", os.O_PATH, "EACCES"),
        ("locked/../..", os.O_PATH, "EACCES"),
        ("unreadable", os.O_PATH, ""),
        ("unreadable/", os.O_RDONLY, "EACCES"),
        ("unreadable/.", os.O_PATH, ""),
        ("unreadable/inner", os.O_PATH, ""),
        ("unreadable/missing", os.O_RDONLY, "ENOENT"),
        ("unreadable/../file", os.O_PATH, ""),
        ("unreadable_up/file", os.O_PATH, ""),
        ("unreadable/../..", os.O_PATH, "EPERM"),
    ],
)
def test_search_and_read_permission(unprivileged: Tree, path: str, flags: int, expected: str) -> None:
    opened = outcome(open_beneath, unprivileged.fd, path, flags, 0, True)
    if isinstance(opened, int):
        os.close(opened)
        assert expected == ""
    else:
        assert opened == expected
