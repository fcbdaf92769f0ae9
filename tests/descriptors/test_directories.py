"""path_* on host directories, and listing them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.raw import Raw, abi
from wasihost import Errno, ModuleConfig

CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
ALL = (1 << 30) - 1


def rights(*names: str) -> int:
    flags = abi()["types"]["rights"]["flags"]
    return sum(1 << flags.index(name) for name in names)


def try_open(raw: Raw, path: str, oflags: int = 0, asked: int = ALL, *, fd: int = 3, follow: int = 1) -> int:
    return raw.call("path_open", fd, follow, *raw.text(path), oflags, asked, ALL, 0, 0x80)


def path(raw: Raw, name: str, text: str) -> int:
    """A function of one path."""
    return raw.call(name, 3, *raw.text(text))


def two_paths(raw: Raw, name: str, old: str, new: str, *, follow: bool = False) -> int:
    flags = (int(follow),) if name == "path_link" else ()
    return raw.call(name, 3, *flags, *raw.text(old), 3, *raw.text(new))


def symlink(raw: Raw, content: str, new: str) -> int:
    return raw.call("path_symlink", *raw.text(content), 3, *raw.text(new))


# -- path_open ---------------------------------------------------------------------------------------------------------


def test_create_exclusive_and_truncate(raw: Raw, folder: Path) -> None:
    before = os.umask(0o022)
    try:
        fd = raw.open("new", oflags=CREAT | EXCL)
    finally:
        os.umask(before)
    raw.write(fd, b"abc")
    assert (folder / "new").stat().st_mode & 0o7777 == 0o644
    assert try_open(raw, "new", CREAT | EXCL) == Errno.EXIST
    assert raw.read(raw.open("new", oflags=CREAT), 9) == b"abc"
    assert raw.read(raw.open("new", oflags=TRUNC), 9) == b""
    assert (folder / "new").read_bytes() == b""


def test_a_directory_is_opened_as_one(raw: Raw, folder: Path) -> None:
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "f").write_bytes(b"x")
    assert try_open(raw, "d/f", DIRECTORY) == Errno.NOTDIR
    assert try_open(raw, "d") == try_open(raw, "d", DIRECTORY) == Errno.ISDIR  # to write, as POSIX has it
    plain = raw.open("d", rights=rights("path_open", "fd_readdir"))
    assert raw.fdstat(plain)["fs_filetype"] == 3
    assert try_open(raw, "d", DIRECTORY | CREAT) == Errno.INVAL
    below = raw.open("d", oflags=DIRECTORY)
    assert raw.read(raw.open("f", fd=below), 9) == b"x"
    assert try_open(raw, "../d/f", fd=below) == Errno.PERM
    assert raw.call("fd_prestat_get", below, 0x80) == Errno.BADF
    with Raw(ModuleConfig().with_read_only_fs("/", str(folder))) as read_only:
        assert try_open(read_only, "d", DIRECTORY) == Errno.ISDIR


def test_links_are_followed_where_that_is_asked_for(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    (folder / "l").symlink_to("f")
    (folder / "out").symlink_to("../secret")
    (folder.parent / "secret").write_bytes(b"secret")
    assert raw.read(raw.open("l"), 9) == b"x"
    assert try_open(raw, "l", follow=0) == Errno.LOOP
    assert try_open(raw, "out") == Errno.PERM
    assert try_open(raw, "../secret") == try_open(raw, "/f") == Errno.PERM
    assert try_open(raw, "") == try_open(raw, "none") == try_open(raw, "none/f") == Errno.NOENT
    assert try_open(raw, "f/f") == Errno.NOTDIR
    assert try_open(raw, "x" * 256, CREAT) == Errno.NAMETOOLONG


def test_creating_and_truncating_need_their_rights(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    base = raw.fdstat(3)["fs_rights_base"]
    for flag, right in ((CREAT, "path_create_file"), (TRUNC, "path_filestat_set_size"), (0, "path_open")):
        base &= ~rights(right)
        assert raw.call("fd_fdstat_set_rights", 3, base, ALL) == 0
        assert try_open(raw, "f", flag) == Errno.NOTCAPABLE
    assert (folder / "f").read_bytes() == b"x"


def test_a_fifo_and_a_socket(raw: Raw, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    fd = raw.open("fifo", flags=1 << 2)
    assert raw.fdstat(fd)["fs_filetype"] == 0
    assert raw.call("fd_seek", fd, 0, 0, 0x80) == Errno.SPIPE
    raw.write(fd, b"through")
    assert raw.read(fd, 99) == b"through"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s"))
        assert raw.filestat("path_filestat_get", 3, 0, *raw.text("s"))["filetype"] == 6
        assert try_open(raw, "s") == Errno.NXIO


# -- one name ----------------------------------------------------------------------------------------------------------


def test_mkdir_and_rmdir(raw: Raw, folder: Path) -> None:
    assert path(raw, "path_create_directory", "d") == 0
    assert path(raw, "path_create_directory", "d/e/") == 0
    assert path(raw, "path_create_directory", "d") == Errno.EXIST
    assert path(raw, "path_create_directory", "none/e") == Errno.NOENT
    assert (folder / "d" / "e").is_dir()
    assert path(raw, "path_remove_directory", "d") == Errno.NOTEMPTY
    assert path(raw, "path_remove_directory", "d/e") == 0
    assert path(raw, "path_remove_directory", "d") == 0
    assert path(raw, "path_remove_directory", "d") == Errno.NOENT
    assert list(folder.iterdir()) == []


def test_unlink(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    (folder / "l").symlink_to("f")
    (folder / "d").mkdir()
    assert path(raw, "path_unlink_file", "d") == Errno.ISDIR
    assert path(raw, "path_remove_directory", "f") == Errno.NOTDIR
    assert path(raw, "path_unlink_file", "l") == 0
    assert (folder / "f").exists()
    assert path(raw, "path_unlink_file", "f") == 0
    assert path(raw, "path_unlink_file", "f") == Errno.NOENT
    assert path(raw, "path_unlink_file", "../data/f") == Errno.PERM


@pytest.mark.usefixtures("folder")
def test_an_open_file_outlives_its_name(raw: Raw) -> None:
    fd = raw.open("f", oflags=CREAT)
    assert path(raw, "path_unlink_file", "f") == 0
    raw.write(fd, b"still")
    assert raw.call("fd_seek", fd, 0, 0, 0x80) == 0
    assert raw.read(fd, 9) == b"still"
    assert raw.filestat("fd_filestat_get", fd)["nlink"] == 0


def test_rename(raw: Raw, folder: Path) -> None:
    (folder / "a").write_bytes(b"a")
    (folder / "b").write_bytes(b"b")
    (folder / "d").mkdir()
    assert two_paths(raw, "path_rename", "a", "d/a") == 0
    assert two_paths(raw, "path_rename", "d/a", "b") == 0
    assert (folder / "b").read_bytes() == b"a"
    assert two_paths(raw, "path_rename", "b", "d") == Errno.ISDIR
    assert two_paths(raw, "path_rename", "d", "b") == Errno.NOTDIR
    assert two_paths(raw, "path_rename", "d", "d/d") == Errno.INVAL
    assert two_paths(raw, "path_rename", "none", "x") == Errno.NOENT
    assert two_paths(raw, "path_rename", "b", "../b") == two_paths(raw, "path_rename", "../b", "b") == Errno.PERM


def test_links(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    assert two_paths(raw, "path_link", "f", "g") == 0
    assert (folder / "g").samefile(folder / "f")
    assert two_paths(raw, "path_link", "f", "g") == Errno.EXIST
    assert symlink(raw, "f", "l") == 0
    assert os.readlink(folder / "l") == "f"
    assert symlink(raw, "f", "l") == Errno.EXIST
    assert symlink(raw, "/etc/passwd", "rooted") == Errno.PERM
    assert symlink(raw, "nowhere", "dangling") == 0
    assert two_paths(raw, "path_link", "l", "m") == 0
    assert (folder / "m").is_symlink()
    assert two_paths(raw, "path_link", "l", "n", follow=True) == 0
    assert (folder / "n").samefile(folder / "f")
    assert not (folder / "n").is_symlink()


def test_readlink(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    os.symlink("some/né", folder / "l")
    os.symlink("/etc/passwd", folder / "rooted")
    assert raw.call("path_readlink", 3, *raw.text("l"), 0x100, 100, 0x80) == 0
    assert raw.memory[0x100 : 0x100 + raw.get(0x80)] == "some/né".encode()
    for name, errno in (("f", Errno.INVAL), ("none", Errno.NOENT), ("rooted", Errno.PERM)):
        assert raw.call("path_readlink", 3, *raw.text(name), 0x100, 100, 0x80) == errno


def test_stat_of_every_kind(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"x")
    (folder / "d").mkdir()
    (folder / "l").symlink_to("d")
    os.mkfifo(folder / "p")
    for name, follow, filetype in (("f", 0, 4), ("d", 0, 3), ("l", 0, 7), ("l", 1, 3), ("p", 0, 0), (".", 0, 3)):
        assert raw.filestat("path_filestat_get", 3, follow, *raw.text(name))["filetype"] == filetype
    assert raw.call("path_filestat_get", 3, 0, *raw.text("none"), 0x80) == Errno.NOENT


def test_between_two_mounts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x")
    config = ModuleConfig()
    for name in ("a", "b"):
        config = config.with_host_directory_preopen(f"/{name}", tmp_path / name)
    with Raw(config) as raw:
        assert raw.call("path_link", 3, 0, *raw.text("f"), 4, *raw.text("g")) == 0
        assert raw.call("path_rename", 3, *raw.text("f"), 4, *raw.text("f")) == 0
        assert sorted(os.listdir(tmp_path / "b")) == ["f", "g"]


# -- fd_* on directories -----------------------------------------------------------------------------------------------


def test_a_directory_is_not_a_file(raw: Raw) -> None:
    vectors = raw.iovecs((0x100, 4))
    assert raw.call("fd_read", 3, *vectors, 0x80) == Errno.ISDIR
    assert raw.call("fd_write", 3, *vectors, 0x80) == raw.call("fd_pwrite", 3, *vectors, 0, 0x80) == Errno.BADF
    assert raw.call("fd_pread", 3, *vectors, 0, 0x80) == Errno.ISDIR
    assert raw.call("fd_filestat_set_size", 3, 0) == Errno.INVAL
    assert raw.call("fd_allocate", 3, 0, 1) == Errno.BADF
    assert raw.call("fd_advise", 3, 0, 1, 0) == Errno.ISDIR
    assert raw.call("fd_seek", 3, 0, 0, 0x80) == raw.call("fd_seek", 3, 0, 1, 0x80) == Errno.BADF
    assert raw.call("fd_tell", 3, 0x80) == Errno.BADF


def test_calls_that_work_on_a_directory(raw: Raw, folder: Path) -> None:
    assert raw.call("fd_sync", 3) == raw.call("fd_datasync", 3) == raw.call("fd_fdstat_set_flags", 3, 4) == 0
    assert raw.call("fd_filestat_set_times", 3, 5, 6, 1 | 4) == 0
    assert (folder.stat().st_atime_ns, folder.stat().st_mtime_ns) == (5, 6)
    assert raw.filestat("fd_filestat_get", 3)["ino"] == folder.stat().st_ino


def names_of(raw: Raw, fd: int, size: int) -> list[bytes]:
    """The whole listing as a libc gets it: go on at the last whole entry; a buffer for less than one has to grow."""
    names, cookie = [], 0
    while True:
        entries, more = raw.readdir(fd, size, cookie)
        names += [name for _, _, _, name in entries]
        if not more:
            return names
        if entries:
            cookie = entries[-1][0]
        else:
            size *= 2


@pytest.mark.parametrize("size", [24, 25, 30, 64, 100, 1000])
def test_a_listing_is_complete_with_any_buffer(raw: Raw, folder: Path, size: int) -> None:
    expected = [f"file{number}".encode() * (1 + number % 4) for number in range(40)]
    for name in expected:
        (folder / name.decode()).touch()
    found = names_of(raw, 3, size)
    assert found[:2] == [b".", b".."]
    assert sorted(found[2:]) == sorted(expected)


def test_a_listing_is_that_of_the_time_it_began(raw: Raw, folder: Path) -> None:
    for name in "abc":
        (folder / name).touch()
    entries, _ = raw.readdir(3)
    (folder / "a").unlink()
    (folder / "z").touch()
    assert raw.readdir(3, cookie=2)[0] == entries[2:]
    assert {name for _, _, _, name in raw.readdir(3)[0]} == {b".", b"..", b"b", b"c", b"z"}


def test_a_listing_tells_kinds_and_inodes(raw: Raw, folder: Path) -> None:
    (folder / "f").touch()
    (folder / "d").mkdir()
    (folder / "l").symlink_to("d")
    os.mkfifo(folder / "p")
    found = {name: (inode, kind) for _, inode, kind, name in raw.readdir(3)[0]}
    kinds = {b"f": 4, b"d": 3, b"l": 7, b"p": 0}
    assert {name: found[name] for name in kinds} == {
        name: ((folder / name.decode()).lstat().st_ino, kind) for name, kind in kinds.items()
    }


def test_a_listing_says_nothing_of_what_lies_above_a_mount(raw: Raw, folder: Path) -> None:
    (folder / "d").mkdir()
    here = folder.stat().st_ino
    for fd in (3, raw.open(".", oflags=DIRECTORY), raw.open("d/..", oflags=DIRECTORY)):
        assert [inode for _, inode, _, name in raw.readdir(fd)[0] if name in (b".", b"..")] == [here, here]
    below = raw.open("d", oflags=DIRECTORY)
    assert [inode for _, inode, _, _ in raw.readdir(below)[0]] == [(folder / "d").stat().st_ino, here]


def test_a_name_that_is_not_utf_8_is_listed_as_it_is(raw: Raw, folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))).touch()
    assert [name for _, _, _, name in raw.readdir(3)[0]][2:] == [b"\xff"]


def test_listing_needs_its_right(raw: Raw) -> None:
    assert raw.call("fd_fdstat_set_rights", 3, 0, 0) == 0
    assert raw.call("fd_readdir", 3, 0x100, 64, 0, 0x80) == Errno.NOTCAPABLE
