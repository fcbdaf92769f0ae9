"""`MemoryFS` as Python code uses it: a dict of its files, and methods as of a file system."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

import wasihost
from tests.support.raw import Raw
from wasihost import ModuleConfig
from wasihost.vfs import MemoryFS, Stat


class Ticks:
    """A clock that goes on by one with each look."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def fs() -> MemoryFS:
    return MemoryFS({"a.txt": b"first", "d/b.txt": b"second", "d/e/c.txt": b"third"})


def number_of(error: pytest.ExceptionInfo[OSError]) -> str:
    return errno.errorcode[error.value.errno or 0]


# -- a dict of files ---------------------------------------------------------------------------------------------------


def test_a_memory_fs_is_a_mapping(fs: MemoryFS) -> None:
    assert dict(fs) == {"a.txt": b"first", "d/b.txt": b"second", "d/e/c.txt": b"third"}
    assert len(fs) == 3
    assert fs["d/b.txt"] == fs["/d/b.txt"] == fs["d/./e/../b.txt"] == b"second"
    assert next(iter(fs.items())) == ("a.txt", b"first")
    assert fs.get("nothing", b"else") == b"else"
    assert dict(MemoryFS()) == {}


def test_files_come_in_the_order_they_were_made_one_level_after_the_other() -> None:
    fs = MemoryFS({"z": b"", "d/deep/x": b"", "d/y": b"", "a": b"", "b/w": b""})
    assert list(fs) == ["z", "a", "d/y", "b/w", "d/deep/x"]


@pytest.mark.parametrize("path", ["none", "d", "d/", "", "/", ".", "a.txt/x", "a.txt/", "none/x", "d/e/.."])
def test_paths_without_a_file_are_a_key_error(fs: MemoryFS, path: str) -> None:
    assert path not in fs
    with pytest.raises(KeyError):
        fs[path]
    with pytest.raises(KeyError):
        del fs[path]
    assert len(fs) == 3


@pytest.mark.parametrize("path", ["..", "../a.txt", "d/../../a.txt", "//a.txt"])
def test_a_way_out_is_a_permission_error(fs: MemoryFS, path: str) -> None:
    assert path not in fs
    for act in (fs.__getitem__, fs.__delitem__, fs.listdir, fs.stat, fs.remove, fs.mkdir):
        with pytest.raises(PermissionError):
            act(path)
    with pytest.raises(PermissionError):
        fs[path] = b""
    with pytest.raises(PermissionError):
        MemoryFS({path: b""})
    assert len(fs) == 3


def test_setting_makes_directories_and_replaces_content(fs: MemoryFS) -> None:
    fs["new/deep/file"] = b"1"
    fs["/a.txt"] = bytearray(b"2")
    fs["d/b.txt"] = memoryview(b"3")
    assert (fs["new/deep/file"], fs["a.txt"], fs["d/b.txt"]) == (b"1", b"2", b"3")
    assert fs.is_dir("new/deep")
    assert fs.quota.bytes == 3 + len("third")


def test_content_that_is_set_is_copied(fs: MemoryFS) -> None:
    content = bytearray(b"mine")
    fs["a.txt"] = content
    content[:] = b"else"
    assert fs["a.txt"] == b"mine"


def test_setting_where_no_file_can_be(fs: MemoryFS) -> None:
    with pytest.raises(IsADirectoryError):
        fs["d"] = b""
    with pytest.raises(IsADirectoryError):
        fs["/"] = b""
    with pytest.raises(NotADirectoryError):
        fs["a.txt/x"] = b""
    assert len(fs) == 3


@pytest.mark.parametrize("content", ["text", 5, None, ["x"]])
def test_content_is_bytes(content: object) -> None:
    fs = MemoryFS({"kept": b"1"})
    with pytest.raises(TypeError, match="bytes-like object is required, not '"):
        fs["a/kept"] = content  # type: ignore[assignment]  # what users get wrong
    with pytest.raises(TypeError, match="bytes-like object is required"):
        MemoryFS({"f": content})  # type: ignore[dict-item]  # the same
    assert (list(fs), fs.listdir()) == (["kept"], ["kept"])


def test_deleting(fs: MemoryFS) -> None:
    del fs["d/b.txt"]
    assert fs.pop("/a.txt") == b"first"
    assert list(fs) == ["d/e/c.txt"]
    fs.clear()
    assert (len(fs), fs.quota.bytes) == (0, 0)
    assert fs.listdir("d") == ["e"]


def test_links_are_followed_but_removed_themselves(fs: MemoryFS) -> None:
    fs.symlink("d/e", "short")
    fs.symlink("short/c.txt", "shorter")
    assert fs["short/c.txt"] == fs["shorter"] == b"third"
    assert "shorter" in fs
    assert "shorter" not in list(fs)
    fs["shorter"] = b"through the link"
    assert fs["d/e/c.txt"] == b"through the link"
    del fs["shorter"]
    assert fs["d/e/c.txt"] == b"through the link"
    fs.symlink("d/later", "early")
    assert "early" not in fs
    fs["early"] = b"made by the link"
    assert fs["d/later"] == b"made by the link"


def test_a_link_out_and_a_loop(fs: MemoryFS) -> None:
    fs.symlink("../a.txt", "out")
    fs.symlink("loop", "loop")
    with pytest.raises(PermissionError):
        fs["out"]
    with pytest.raises(PermissionError):
        fs["out"] = b""
    with pytest.raises(OSError, match="symbolic links") as error:
        fs["loop"]
    assert number_of(error) == "ELOOP"
    assert "out" not in fs
    assert "loop" not in fs
    with pytest.raises(PermissionError):
        fs.symlink("/a.txt", "rooted")


def test_equality_is_identity_and_a_config_holds_it(fs: MemoryFS) -> None:
    twin = MemoryFS(dict(fs))
    assert fs != twin
    assert fs == fs
    assert len({fs, twin}) == 2
    config = ModuleConfig().with_mount("/", fs)
    assert config == ModuleConfig().with_mount("/", fs)
    assert config != ModuleConfig().with_mount("/", twin)
    assert len({config, ModuleConfig().with_mount("/", fs)}) == 1


def test_repr_shows_the_size_and_not_the_content(fs: MemoryFS) -> None:
    assert repr(fs) == "<MemoryFS of 3 files, 16 bytes>"
    assert "first" not in repr(ModuleConfig().with_mount("/", fs))


def test_memory_fs_is_a_public_name() -> None:
    assert wasihost.MemoryFS is MemoryFS


# -- a file system -----------------------------------------------------------------------------------------------------


def test_directories(fs: MemoryFS) -> None:
    fs.mkdir("m")
    fs.mkdir("/m/n/")
    assert fs.listdir() == fs.listdir("/") == ["a.txt", "d", "m"]
    assert fs.listdir("m/") == ["n"]
    assert [fs.is_dir(path) for path in ("", "m", "m/n", "a.txt", "none", "..")] == [True, True, True] + [False] * 3
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("m")
    fs.rmdir("m/n")
    fs.rmdir("m")
    assert fs.listdir() == ["a.txt", "d"]
    with pytest.raises(NotADirectoryError):
        fs.listdir("a.txt")
    with pytest.raises(NotADirectoryError):
        fs.rmdir("a.txt")


def test_mkdir_is_pathlib_s(fs: MemoryFS) -> None:
    with pytest.raises(FileExistsError):
        fs.mkdir("d")
    fs.mkdir("d", exist_ok=True)
    with pytest.raises(FileExistsError):
        fs.mkdir("a.txt", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        fs.mkdir("x/y/z")
    fs.mkdir("x/y/z", parents=True)
    assert fs.is_dir("x/y/z")
    with pytest.raises(FileExistsError):
        fs.mkdir("x/y", parents=True)
    fs.mkdir("x/y/", parents=True, exist_ok=True)
    fs.symlink("x", "to-x")
    fs.mkdir("to-x/new", parents=True)
    assert fs.is_dir("x/new")
    with pytest.raises(NotADirectoryError):
        fs.mkdir("a.txt/b/c", parents=True)


def test_as_deep_as_a_path_can_be() -> None:
    fs = MemoryFS()
    deep = "d/" * 2047
    fs[deep + "f"] = b"deep"
    assert dict(fs) == {deep + "f": b"deep"}
    with pytest.raises(OSError, match="too long"):
        fs["d/" + deep + "f"] = b""


def test_renaming(fs: MemoryFS) -> None:
    fs.rename("a.txt", "d/b.txt")
    assert dict(fs) == {"d/b.txt": b"first", "d/e/c.txt": b"third"}
    assert fs.quota.bytes == len("firstthird")
    fs.mkdir("over")
    fs.rename("d/e", "over/")
    assert list(fs) == ["d/b.txt", "over/c.txt"]
    with pytest.raises(OSError, match="not empty"):
        fs.rename("d", "over")
    with pytest.raises(OSError, match="Invalid"):
        fs.rename("over", "over/itself")
    with pytest.raises(FileNotFoundError):
        fs.rename("none", "x")
    with pytest.raises(IsADirectoryError):
        fs.rename("d/b.txt", "over")
    with pytest.raises(NotADirectoryError):
        fs.rename("over", "d/b.txt")


def test_hard_links(fs: MemoryFS) -> None:
    fs.link("a.txt", "d/again")
    fs["d/again"] = b"written by the second name"
    assert fs["a.txt"] == b"written by the second name"
    assert (fs.stat("a.txt").links, fs.quota.bytes) == (2, len("written by the second namesecondthird"))
    fs.remove("a.txt")
    assert (fs.stat("d/again").links, fs["d/again"]) == (1, b"written by the second name")
    with pytest.raises(FileExistsError):
        fs.link("d/b.txt", "d/again")
    with pytest.raises(PermissionError):
        fs.link("d", "d2")


def test_symbolic_links(fs: MemoryFS) -> None:
    fs.symlink("../a.txt", "d/link")
    assert fs.readlink("d/link") == "../a.txt"
    assert (fs.stat("d/link", follow=False).size, fs.stat("d/link").size) == (8, 5)
    assert fs.is_dir("d/link") is False
    fs.link("d/link", "link2")  # the link itself
    assert fs.readlink("link2") == "../a.txt"
    fs.remove("d/link")
    assert fs["a.txt"] == b"first"
    with pytest.raises(OSError, match="Invalid"):
        fs.readlink("a.txt")
    with pytest.raises(FileExistsError):
        fs.symlink("x", "link2")


def test_removing(fs: MemoryFS) -> None:
    fs.remove("a.txt")
    assert "a.txt" not in fs
    with pytest.raises(FileNotFoundError):
        fs.remove("a.txt")
    with pytest.raises(IsADirectoryError):
        fs.remove("d")


def test_a_second_file_system_is_another_device(fs: MemoryFS) -> None:
    other = MemoryFS({"f": b""})
    assert fs.stat("a.txt").device != other.stat("f").device
    assert fs.stat("a.txt").device == fs.stat("d").device


# -- times -------------------------------------------------------------------------------------------------------------


def times(stat: Stat) -> tuple[int, int, int]:
    return stat.atime_ns, stat.mtime_ns, stat.ctime_ns


def test_times_are_the_clock_s() -> None:
    fs = MemoryFS(clock=Ticks())
    fs["f"] = b"1"
    made = times(fs.stat("f"))
    before = times(fs.stat("."))
    assert fs["f"] == b"1"
    assert times(fs.stat("f")) == made  # reading is no use of it, as with noatime
    fs["f"] = b"2"
    assert times(fs.stat("f")) > made
    assert fs.stat("f").atime_ns == made[0]
    assert times(fs.stat(".")) == before  # no name of it has changed
    fs.rename("f", "g")
    assert times(fs.stat(".")) > before
    fs.set_times("g", 5, None)
    assert times(fs.stat("g"))[0] == 5
    assert times(fs.stat("g"))[1] == fs.stat("g").mtime_ns > made[1]
    fs.set_times("g", None, 2**63)
    assert times(fs.stat("g"))[:2] == (5, 2**63)


@pytest.fixture
def raw() -> Iterator[Raw]:
    fs = MemoryFS({"f": b"1"}, clock=Ticks())
    with Raw(ModuleConfig().with_mount("/", fs)) as made:
        yield made


def test_a_guest_s_now_is_the_clock_of_the_file_system(raw: Raw) -> None:
    fd = raw.open("f")
    before = raw.filestat("fd_filestat_get", fd)
    assert raw.call("fd_filestat_set_times", fd, 0, 0, 1 << 1 | 1 << 3) == 0  # both now
    after = raw.filestat("fd_filestat_get", fd)
    assert all(before[name] < after[name] < 100 for name in ("atim", "mtim", "ctim"))
    assert raw.write(fd, b"22") == 2
    written = raw.filestat("fd_filestat_get", fd)
    assert written["mtim"] == written["ctim"] > after["ctim"]
    assert written["atim"] == after["atim"]
