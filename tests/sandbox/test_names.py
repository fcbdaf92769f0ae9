"""Checks and splitting of paths in `names`, without any directory."""

import pytest

from tests.sandbox.trees import outcome
from wasihost.sandbox import names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "a"),
        ("...", "..."),
        ("..a", "..a"),
        (" ", " "),
        ("a\\b", "a\\b"),
        ("ä", "ä"),
        ("", "ENOENT"),
        (".", "EPERM"),
        ("..", "EPERM"),
        ("/", "EPERM"),
        ("a/", "EPERM"),
        ("/a", "EPERM"),
        ("a/b", "EPERM"),
        ("a\0b", "EINVAL"),
        ("\0", "EINVAL"),
        ("a/\0", "EPERM"),
    ],
)
def test_single_name(name: str, expected: str) -> None:
    assert outcome(names.single_name, name) == expected
    assert names.is_single(name) == (name == expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", ("", "a", False)),
        ("a/", ("", "a", True)),
        ("a///", ("", "a", True)),
        ("a/b", ("a", "b", False)),
        ("a/b/", ("a", "b", True)),
        ("a//b", ("a/", "b", False)),
        ("./a", (".", "a", False)),
        ("../a", ("..", "a", False)),
        (".", ("", ".", False)),
        ("a/.", ("a", ".", False)),
        ("a/..", ("a", "..", False)),
        ("a/../", ("a", "..", True)),
        ("", "ENOENT"),
        ("/", "EPERM"),
        ("//", "EPERM"),
        ("/a", "EPERM"),
    ],
)
def test_split_last(path: str, expected: object) -> None:
    assert outcome(names.split_last, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", ["a"]),
        ("a/b/c", ["a", "b", "c"]),
        ("a//b/", ["a", "b"]),
        ("./a/../b/.", [".", "a", "..", "b", "."]),
        ("", "ENOENT"),
        ("/a", "EPERM"),
        ("//", "EPERM"),
    ],
)
def test_components(path: str, expected: object) -> None:
    assert outcome(names.components, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", False),
        ("a/", True),
        ("a/.", True),
        ("..", True),
        (".", True),
        ("a/...", False),
        (".a", False),
        ("", False),
    ],
)
def test_names_directory(path: str, expected: bool) -> None:
    assert names.names_directory(path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("ä/b", "ä/b".encode()), ("\udcff", b"\xff"), ("a\0", "EINVAL"), ("\ud800", "EILSEQ"), ("", b"")],
)
def test_host_bytes(path: str, expected: object) -> None:
    assert outcome(names.host_bytes, path) == expected
