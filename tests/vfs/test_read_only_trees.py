"""Read-only mounts of Python objects: zip archives, package resources, and what could lead out of them."""

from __future__ import annotations

import importlib.resources
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from importlib.resources.readers import MultiplexedPath
from pathlib import Path

import pytest

import wasihost
from tests.support.raw import Raw
from wasihost import ConfigError, Errno, FSConfig, ModuleConfig

READ = (1 << 30) - 1 & ~(1 << 6 | 1 << 8 | 1 << 22)
DIRECTORY = 2


def mounted(root: object) -> Raw:
    return Raw(ModuleConfig().with_fs(FSConfig().with_fs_mount("/", root)))  # type: ignore[arg-type]  # the fixtures' kinds


@pytest.fixture
def raw() -> Iterator[Raw]:
    """A zip archive of two files and a directory."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", b"0123456789")
        archive.writestr("d/b.txt", "ünï")
    with zipfile.ZipFile(made) as archive, mounted(zipfile.Path(archive)) as state:
        yield state


def try_open(raw: Raw, path: str, oflags: int = 0, fd: int = 3) -> int:
    return raw.call("path_open", fd, 1, *raw.text(path), oflags, READ, READ, 0, 0x80)


def test_reading_seeking_and_telling(raw: Raw) -> None:
    fd = raw.open("a.txt", rights=READ)
    assert raw.read(fd, 4) == b"0123"
    assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 2), (0x110, 9)), 7, 0x80) == 0
    assert (raw.get(0x80), bytes(raw.memory[0x100:0x102]), bytes(raw.memory[0x110:0x112])) == (3, b"78", b"9?")
    for offset, whence, place in ((2, 0, 2), (3, 1, 5), (-1, 2, 9), (5, 2, 15)):
        assert raw.call("fd_seek", fd, offset, whence, 0x80) == 0
        assert raw.get(0x80, 8) == place
    assert raw.read(fd, 5) == b""
    assert raw.call("fd_seek", fd, -16, 1, 0x80) == Errno.INVAL
    assert raw.call("fd_tell", fd, 0x80) == 0
    assert raw.get(0x80, 8) == 15
    assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 2)), 2**63 - 3, 0x80) == 0
    assert raw.get(0x80) == 0
    assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 2)), 2**63 - 1, 0x80) == Errno.INVAL
    assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 2)), 2**64 - 1, 0x80) == Errno.INVAL


def test_attributes(raw: Raw) -> None:
    fd = raw.open("a.txt", rights=READ)
    by_fd = raw.filestat("fd_filestat_get", fd)
    assert by_fd == raw.filestat("path_filestat_get", 3, 0, *raw.text("./d/../a.txt"))
    assert (by_fd["size"], by_fd["filetype"], by_fd["nlink"]) == (10, 4, 1)
    assert raw.filestat("path_filestat_get", 3, 0, *raw.text("d"))["filetype"] == 3
    assert raw.filestat("fd_filestat_get", 3)["filetype"] == 3
    assert raw.call("path_readlink", 3, *raw.text("a.txt"), 0x100, 9, 0x80) == Errno.INVAL
    assert raw.call("fd_fdstat_set_flags", fd, 1) == 0
    assert raw.fdstat(fd)["fs_flags"] == 1


def test_listing(raw: Raw) -> None:
    entries, more = raw.readdir(3)
    assert not more
    kinds = {name: kind for _, _, kind, name in entries}
    assert kinds == {b".": 3, b"..": 3, b"a.txt": 4, b"d": 3}
    inodes = {name: inode for _, inode, _, name in entries}
    assert inodes[b"."] == inodes[b".."] == raw.filestat("fd_filestat_get", 3)["ino"]
    assert inodes[b"a.txt"] == raw.filestat("path_filestat_get", 3, 0, *raw.text("a.txt"))["ino"]
    below = raw.open("d", oflags=DIRECTORY)
    assert {name: inode for _, inode, _, name in raw.readdir(below)[0]}[b".."] == inodes[b"."]


@pytest.mark.parametrize(
    ("path", "errno"),
    [("none", Errno.NOENT), ("", Errno.NOENT), ("a.txt/", Errno.NOTDIR), ("a.txt/x", Errno.NOTDIR),
     ("/a.txt", Errno.PERM), ("..", Errno.PERM), ("d/../../x", Errno.PERM), ("a\0b", Errno.INVAL),
     ("none/../a.txt", Errno.NOENT)],
)  # fmt: skip
def test_paths_keep_the_rules(raw: Raw, path: str, errno: Errno) -> None:
    assert try_open(raw, path) == errno
    assert raw.call("path_filestat_get", 3, 1, *raw.text(path), 0x80) == errno


def test_a_directory_below_is_a_root_of_its_own(raw: Raw) -> None:
    below = raw.open("d", oflags=DIRECTORY)
    assert raw.read(raw.open("b.txt", fd=below, rights=READ), 9).decode() == "ünï"
    assert try_open(raw, "../a.txt", fd=below) == Errno.PERM
    assert try_open(raw, "d/../a.txt") == 0
    assert try_open(raw, "a.txt", DIRECTORY) == Errno.NOTDIR


def test_resources_of_a_package() -> None:
    with mounted(importlib.resources.files(wasihost)) as raw:
        expected = Path(wasihost.__file__).with_name("errors.py").read_bytes()[:500]
        assert raw.read(raw.open("errors.py", rights=READ), 500) == expected
        assert b"handlers" in {name for _, _, _, name in raw.readdir(3)[0]}


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with links that stay in and lead out."""
    (tmp_path / "secret").write_bytes(b"secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "f").write_bytes(b"f")
    (inside / "out").symlink_to("../secret")
    (inside / "up").symlink_to("..")
    (inside / "rooted").symlink_to(tmp_path / "secret")
    return inside


def test_a_path_of_the_host_is_mounted_as_a_directory(linked: Path) -> None:
    config = FSConfig().with_fs_mount("/", linked)
    assert config == FSConfig().with_read_only_dir_mount("/", linked)
    with Raw(ModuleConfig().with_fs(config)) as raw:
        assert raw.read(raw.open("f", rights=READ), 9) == b"f"
        for path in ("out", "up/secret", "rooted"):
            assert try_open(raw, path) == Errno.PERM


def test_links_among_resources_are_not_followed(linked: Path) -> None:
    with mounted(MultiplexedPath(linked)) as raw:
        assert raw.read(raw.open("f", rights=READ), 9) == b"f"
        for path in ("out", "up/secret", "up", "rooted"):
            assert try_open(raw, path) == Errno.PERM
            assert raw.call("path_filestat_get", 3, 1, *raw.text(path), 0x80) == Errno.PERM
        assert {kind for _, _, kind, name in raw.readdir(3)[0] if name in (b"out", b"up", b"rooted")} == {7}


def test_an_error_of_the_tree_is_the_guest_s_errno(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    with mounted(MultiplexedPath(tmp_path / "d")) as raw:
        raw.readdir(3)
        os.unlink(tmp_path / "d" / "f")
        assert try_open(raw, "f") == Errno.NOENT


def test_a_root_that_is_not_a_directory_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("f", b"x")
    with zipfile.ZipFile(tmp_path / "z") as archive, pytest.raises(ConfigError, match="is not a directory"):
        mounted(zipfile.Path(archive, "f"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory"):
        mounted(tmp_path / "file")


def test_a_package_in_a_zip_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("zipped_package/__init__.py", "")
        archive.writestr("zipped_package/data/x.txt", b"from a zip")
    monkeypatch.syspath_prepend(str(tmp_path / "z.zip"))
    try:
        root = importlib.resources.files("zipped_package")
        with mounted(root) as raw:
            assert raw.read(raw.open("data/x.txt", rights=READ), 99) == b"from a zip"
        root.root.close()  # type: ignore[attr-defined]  # a zipfile.Path
    finally:
        sys.modules.pop("zipped_package", None)
