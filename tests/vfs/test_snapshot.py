"""Pickling and copying a `MemoryFS`: a snapshot of everything in it, as an independent file system."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from tests.support.raw import Raw
from wasihost import ModuleConfig
from wasihost.vfs import Lazy, MemoryFS, Node
from wasihost.vfs.nodes import Directory

Duplicate = Callable[[MemoryFS], MemoryFS]


def by_pickle(protocol: int) -> Duplicate:
    def duplicate(fs: MemoryFS) -> MemoryFS:
        loaded: MemoryFS = pickle.loads(pickle.dumps(fs, protocol))
        return loaded

    return duplicate


WAYS: list[Duplicate] = [by_pickle(2), by_pickle(pickle.HIGHEST_PROTOCOL), copy.deepcopy, copy.copy]
each_way = pytest.mark.parametrize("duplicate", WAYS, ids=["pickle-2", "pickle", "deepcopy", "copy"])


def noon() -> int:
    """A clock of a user's: it pickles by its name."""
    return 12 * 3600 * 10**9


def late() -> bytes:
    """A loader of a user's."""
    return b"loaded"


@pytest.fixture
def fs() -> MemoryFS:
    fs = MemoryFS({"a.txt": b"first", "d/b.txt": b"second", "d/late": Lazy(6, late)}, max_bytes=100, max_entries=10,
                  max_file_size=50, clock=noon)  # fmt: skip
    fs.mkdir("empty")
    fs.symlink("../a.txt", "d/link")
    fs.link("d/b.txt", "again")
    fs.link("d/link", "link")
    fs.set_times("a.txt", 1, 2)
    fs.set_times("d", 3, 4)
    return fs


def tree(directory: Directory, at: str = "") -> dict[str, object]:
    """Everything below, with its times; hard links as the first name found."""
    found: dict[str, object] = {}
    seen: dict[Node, str] = {}
    todo = [(at, directory)]
    for at, here in todo:
        for name, node in here.entries():
            path = at + name
            st = node.stat()
            found[path] = (type(node), st.size, st.mtime_ns, st.atime_ns, st.ctime_ns, st.links, seen.get(node))
            seen.setdefault(node, path)
            if isinstance(node, Directory):
                todo.append((path + "/", node))
    return found


@each_way
def test_a_snapshot_has_the_same_files(fs: MemoryFS, duplicate: Duplicate) -> None:
    twin = duplicate(fs)
    assert tree(twin.root) == tree(fs.root)
    assert list(tree(twin.root)) == list(tree(fs.root))  # in the same order
    assert dict(twin) == dict(fs)
    assert (twin.readlink("d/link"), twin.stat("again").links) == ("../a.txt", 2)
    assert (twin.quota.bytes, twin.quota.entries) == (fs.quota.bytes, fs.quota.entries)
    assert twin.stat(".")._replace(device=0) == fs.stat(".")._replace(device=0)


@each_way
def test_a_snapshot_is_independent(fs: MemoryFS, duplicate: Duplicate) -> None:
    twin = duplicate(fs)
    assert twin != fs
    assert twin.stat("a.txt").device != fs.stat("a.txt").device
    twin["again"] = b"changed"
    assert (twin["d/b.txt"], fs["d/b.txt"]) == (b"changed", b"second")  # a hard link there too
    twin.rename("d/b.txt", "empty/b.txt")
    assert fs.listdir("empty") == []
    assert twin.listdir("empty") == ["b.txt"]


@each_way
def test_limits_and_clock_go_along(fs: MemoryFS, duplicate: Duplicate) -> None:
    twin = duplicate(fs)
    twin["new"] = b""
    assert twin.stat("new").mtime_ns == noon()
    with pytest.raises(OSError, match="too large"):
        twin["new"] = bytes(51)
    twin["full"] = bytes(50)
    with pytest.raises(OSError, match="No space"):
        twin["new"] = bytes(50)
    with pytest.raises(OSError, match="No space"):
        twin.mkdir("an/entry/more", parents=True)


def test_a_limit_that_was_lowered_does_not_stop_a_copy(fs: MemoryFS) -> None:
    fs.quota.max_bytes = fs.quota.max_entries = fs.quota.max_file_size = 1
    assert dict(copy.deepcopy(fs)) == dict(fs)


@each_way
def test_lazy_content_stays_lazy(duplicate: Duplicate) -> None:
    fs = MemoryFS({"late": Lazy(6, late), "wrong": Lazy(7, late)})
    twin = duplicate(fs)
    assert twin.stat("wrong").size == 7
    assert twin["late"] == b"loaded"
    with pytest.raises(OSError, match="lazy file of 7 bytes"):
        twin["wrong"]


def test_open_files_without_a_name_are_not_in_a_snapshot() -> None:
    fs = MemoryFS({"gone": b"1234", "stays": b"12"})
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        raw.open("gone")
        fs.remove("gone")
        assert fs.quota.bytes == 6
        twin = copy.deepcopy(fs)
    assert (dict(twin), twin.quota.bytes) == ({"stays": b"12"}, 2)


@each_way
def test_a_tree_deeper_than_any_recursion(duplicate: Duplicate) -> None:
    fs = MemoryFS({"d/" * 2000 + "f": b"deep"})
    assert dict(duplicate(fs)) == {"d/" * 2000 + "f": b"deep"}


def test_a_config_with_one_pickles() -> None:
    fs = MemoryFS({"in": b"1"})
    config = ModuleConfig().with_mount("/a", fs).with_mount("/b", fs).with_mount("/c", {"x": b"y"})
    loaded: ModuleConfig = pickle.loads(pickle.dumps(config))
    with Raw(loaded) as raw:
        assert raw.read(raw.open("in", fd=3), 9) == b"1"
        raw.write(raw.open("made", fd=3, oflags=1), b"both are one")
        assert raw.read(raw.open("made", fd=4), 99) == b"both are one"
        assert raw.read(raw.open("x", fd=5, rights=1 << 1), 9) == b"y"
    assert list(fs) == ["in"]


def test_a_clock_that_does_not_pickle_says_so() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(MemoryFS(clock=lambda: 0))
