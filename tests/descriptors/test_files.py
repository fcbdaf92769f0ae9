"""fd_* on host files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.raw import Raw, abi
from wasihost import Errno

APPEND, DSYNC, NONBLOCK, RSYNC, SYNC = (1 << bit for bit in range(5))
CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
SET, CUR, END = range(3)


def rights(*names: str) -> int:
    flags = abi()["types"]["rights"]["flags"]
    return sum(1 << flags.index(name) for name in names)


@pytest.fixture
def file(folder: Path) -> Path:
    """`f` of the folder."""
    path = folder / "f"
    path.write_bytes(b"0123456789")
    return path


def position(raw: Raw, fd: int) -> int:
    assert raw.call("fd_tell", fd, 0x80) == 0
    return raw.get(0x80, 8)


def seek(raw: Raw, fd: int, offset: int, whence: int) -> int:
    errno = raw.call("fd_seek", fd, offset, whence, 0x80)
    return -errno if errno else raw.get(0x80, 8)


def test_reading_and_writing_move_one_position(raw: Raw, file: Path) -> None:
    fd = raw.open("f")
    assert raw.read(fd, 3) == b"012"
    assert raw.write(fd, b"ab", b"c") == 3
    assert position(raw, fd) == 6
    assert raw.read(fd, 100) == b"6789"
    assert raw.read(fd, 100) == b""
    assert file.read_bytes() == b"012abc6789"


@pytest.mark.usefixtures("file")
def test_two_descriptors_have_two_positions(raw: Raw) -> None:
    first, second = raw.open("f"), raw.open("f")
    assert raw.read(first, 4) == b"0123"
    assert raw.read(second, 2) == b"01"


@pytest.mark.usefixtures("file")
def test_pread_and_pwrite_leave_the_position(raw: Raw) -> None:
    fd = raw.open("f")
    raw.read(fd, 1)
    assert raw.call("fd_pwrite", fd, *raw.data(b"X"), 20, 0x80) == 0
    assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 50)), 8, 0x80) == 0
    assert raw.memory[0x100 : 0x100 + raw.get(0x80)] == b"89" + bytes(10) + b"X"
    assert position(raw, fd) == 1


@pytest.mark.usefixtures("file")
def test_seeking(raw: Raw) -> None:
    fd = raw.open("f")
    assert seek(raw, fd, 4, SET) == 4
    assert seek(raw, fd, -1, CUR) == 3
    assert seek(raw, fd, -2, END) == 8
    assert seek(raw, fd, 100, END) == 110
    assert raw.read(fd, 1) == b""
    assert seek(raw, fd, -1, SET) == seek(raw, fd, -111, CUR) == seek(raw, fd, -11, END) == -Errno.INVAL
    assert seek(raw, fd, 2**63 - 1, CUR) == -Errno.OVERFLOW
    assert seek(raw, fd, 2**63 - 1, SET) == 2**63 - 1
    assert seek(raw, fd, 5, SET) == 5


def test_writing_behind_the_end_leaves_zeros(raw: Raw, file: Path) -> None:
    fd = raw.open("f")
    seek(raw, fd, 2, END)
    raw.write(fd, b"!")
    assert file.read_bytes() == b"0123456789\0\0!"


def test_append_writes_at_the_end_wherever_the_position_is(raw: Raw, file: Path) -> None:
    fd = raw.open("f", flags=APPEND)
    assert raw.fdstat(fd)["fs_flags"] == APPEND
    assert raw.read(fd, 2) == b"01"
    raw.write(fd, b"ab")
    assert position(raw, fd) == 12
    file.write_bytes(b"short")
    raw.write(fd, b"!")
    assert file.read_bytes() == b"short!"


def test_pwrite_goes_where_it_says_even_with_append(raw: Raw, file: Path) -> None:
    fd = raw.open("f", flags=APPEND)
    assert raw.call("fd_pwrite", fd, *raw.data(b"X"), 1, 0x80) == 0
    raw.write(fd, b"!")
    assert file.read_bytes() == b"0X23456789!"


def test_append_may_be_switched(raw: Raw, file: Path) -> None:
    fd = raw.open("f")
    assert raw.call("fd_fdstat_set_flags", fd, APPEND | NONBLOCK) == 0
    assert raw.fdstat(fd)["fs_flags"] == APPEND | NONBLOCK
    raw.write(fd, b"!")
    assert raw.call("fd_fdstat_set_flags", fd, 0) == 0
    seek(raw, fd, 0, SET)
    raw.write(fd, b"X")
    assert file.read_bytes() == b"X123456789!"


@pytest.mark.parametrize("flag", [DSYNC, RSYNC, SYNC])
@pytest.mark.usefixtures("file")
def test_synchronous_flags_are_set_by_open_alone(raw: Raw, flag: int) -> None:
    fd = raw.open("f")
    assert raw.call("fd_fdstat_set_flags", fd, flag) == Errno.NOTSUP
    assert raw.fdstat(fd)["fs_flags"] == 0
    fd = raw.open("f", flags=flag)
    assert raw.fdstat(fd)["fs_flags"] == flag
    assert raw.call("fd_fdstat_set_flags", fd, flag | APPEND) == 0
    assert raw.call("fd_fdstat_set_flags", fd, 0) == Errno.NOTSUP


def test_sync_advise_and_allocate(raw: Raw, file: Path) -> None:
    fd = raw.open("f")
    assert raw.call("fd_sync", fd) == raw.call("fd_datasync", fd) == 0
    for advice in range(6):
        assert raw.call("fd_advise", fd, 0, 0, advice) == 0
    assert raw.call("fd_allocate", fd, 5, 20) == 0
    assert file.stat().st_size == 25
    assert raw.call("fd_allocate", fd, 0, 5) == 0
    assert file.stat().st_size == 25
    assert raw.call("fd_allocate", fd, 0, 0) == Errno.INVAL


def test_the_size_may_be_set(raw: Raw, file: Path) -> None:
    fd = raw.open("f")
    assert raw.call("fd_filestat_set_size", fd, 4) == 0
    assert file.read_bytes() == b"0123"
    assert raw.call("fd_filestat_set_size", fd, 6) == 0
    assert file.read_bytes() == b"0123\0\0"
    assert raw.filestat("fd_filestat_get", fd)["size"] == 6


ATIM, ATIM_NOW, MTIM, MTIM_NOW = (1 << bit for bit in range(4))
Setter = Callable[[Raw, int, int, int], int]


def by_fd(raw: Raw, atim: int, mtim: int, flags: int) -> int:
    return raw.call("fd_filestat_set_times", raw.open("f"), atim, mtim, flags)


def by_path(raw: Raw, atim: int, mtim: int, flags: int) -> int:
    return raw.call("path_filestat_set_times", 3, 0, *raw.text("f"), atim, mtim, flags)


@pytest.mark.parametrize("set_times", [by_fd, by_path])
def test_times_are_set_one_by_one(raw: Raw, file: Path, set_times: Setter) -> None:
    os.utime(file, ns=(1_000, 2_000))
    assert set_times(raw, 5_000_000_007, 6, ATIM) == 0
    assert (file.stat().st_atime_ns, file.stat().st_mtime_ns) == (5_000_000_007, 2_000)
    assert set_times(raw, 8, 9_000_000_009, MTIM) == 0
    assert (file.stat().st_atime_ns, file.stat().st_mtime_ns) == (5_000_000_007, 9_000_000_009)
    assert set_times(raw, 1, 2, 0) == 0
    assert (file.stat().st_atime_ns, file.stat().st_mtime_ns) == (5_000_000_007, 9_000_000_009)
    assert set_times(raw, 0, 0, ATIM | MTIM_NOW) == 0
    assert file.stat().st_atime_ns == 0
    assert abs(file.stat().st_mtime_ns - time.time_ns()) < 5 * 10**9
    for both in (ATIM | ATIM_NOW, MTIM | MTIM_NOW):
        assert set_times(raw, 1, 1, both) == Errno.INVAL


def test_stat_tells_what_the_host_does(raw: Raw, file: Path) -> None:
    os.utime(file, ns=(123_456_789_012_345_678, 987_654_321_098_765_432))
    os.link(file, file.with_name("g"))
    host = file.stat()
    expected = {"dev": host.st_dev, "ino": host.st_ino, "filetype": 4, "nlink": 2, "size": 10,
                "atim": 123_456_789_012_345_678, "mtim": 987_654_321_098_765_432, "ctim": host.st_ctime_ns}  # fmt: skip
    assert raw.filestat("fd_filestat_get", raw.open("f")) == expected
    assert raw.filestat("path_filestat_get", 3, 0, *raw.text("g")) == expected


def test_a_time_before_1970_is_given_as_0(raw: Raw, file: Path) -> None:
    os.utime(file, ns=(-5, -(10**9)))
    stat = raw.filestat("fd_filestat_get", raw.open("f"))
    assert (stat["atim"], stat["mtim"]) == (0, 0)


ALL = (1 << 30) - 1
FOR_FILES = rights(
    "fd_datasync", "fd_read", "fd_seek", "fd_fdstat_set_flags", "fd_sync", "fd_tell", "fd_write", "fd_advise",
    "fd_allocate", "fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times", "poll_fd_readwrite",
)  # fmt: skip
"""All rights, and those that a file can have."""


@pytest.mark.usefixtures("file")
def test_rights_are_what_a_file_can_have_with_the_access_mode_asked_for(raw: Raw) -> None:
    changing, writing = rights("fd_write", "fd_allocate", "fd_filestat_set_size"), rights("fd_write")
    for asked, lacking in (
        (rights("fd_read", "fd_write"), 0),
        (ALL, 0),
        (ALL & ~writing, changing),
        (rights("fd_read", "fd_seek", "fd_readdir", "path_open"), changing),
        (ALL & ~rights("fd_read"), rights("fd_read")),
        (0, changing),
    ):
        stat = raw.fdstat(raw.open("f", rights=asked))
        assert (stat["fs_rights_base"], stat["fs_rights_inheriting"]) == (FOR_FILES & ~lacking, 0)


def keeping(raw: Raw, kept: int) -> int:
    """The file, opened for all; the other rights are then given up."""
    fd = raw.open("f")
    assert raw.call("fd_fdstat_set_rights", fd, kept, 0) == 0
    return fd


NEEDS = {
    "fd_read": (("fd_read",), (0x100, 0, 0x80)),
    "fd_write": (("fd_write",), (0x100, 0, 0x80)),
    "fd_pread": (("fd_read", "fd_seek"), (0x100, 0, 0, 0x80)),
    "fd_pwrite": (("fd_write", "fd_seek"), (0x100, 0, 0, 0x80)),
    "fd_seek": (("fd_seek",), (1, 0, 0x80)),
    "fd_tell": (("fd_tell",), (0x80,)),
    "fd_advise": (("fd_advise",), (0, 0, 0)),
    "fd_allocate": (("fd_allocate",), (0, 1)),
    "fd_sync": (("fd_sync",), ()),
    "fd_datasync": (("fd_datasync",), ()),
    "fd_fdstat_set_flags": (("fd_fdstat_set_flags",), (0,)),
    "fd_filestat_get": (("fd_filestat_get",), (0x80,)),
    "fd_filestat_set_size": (("fd_filestat_set_size",), (3,)),
    "fd_filestat_set_times": (("fd_filestat_set_times",), (0, 0, 0)),
}


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.usefixtures("file")
def test_each_call_needs_its_rights_and_no_others(raw: Raw, name: str) -> None:
    needed, args = NEEDS[name]
    assert raw.call(name, keeping(raw, rights(*needed)), *args) == 0
    for missing in needed:
        others = FOR_FILES & ~rights(missing, *(["fd_seek"] if name == "fd_tell" else []))
        assert raw.call(name, keeping(raw, others), *args) == Errno.NOTCAPABLE


@pytest.mark.usefixtures("file")
def test_the_position_may_be_asked_with_either_right(raw: Raw) -> None:
    assert seek(raw, keeping(raw, rights("fd_tell")), 0, CUR) == 0
    assert position(raw, keeping(raw, rights("fd_seek"))) == 0


@pytest.mark.usefixtures("file")
def test_rights_only_shrink(raw: Raw) -> None:
    fd = keeping(raw, rights("fd_read", "fd_seek"))
    assert raw.call("fd_fdstat_set_rights", fd, rights("fd_read", "fd_write"), 0) == Errno.NOTCAPABLE
    assert raw.call("fd_fdstat_set_rights", fd, rights("fd_read"), rights("fd_read")) == Errno.NOTCAPABLE
    assert raw.call("fd_fdstat_set_rights", fd, rights("fd_read"), 0) == 0
    assert raw.call("fd_fdstat_set_rights", fd, rights("fd_read", "fd_seek"), 0) == Errno.NOTCAPABLE
    assert seek(raw, fd, 0, SET) == -Errno.NOTCAPABLE
    assert raw.read(fd, 1) == b"0"


def test_rights_that_a_directory_does_not_pass_on(raw: Raw, file: Path) -> None:
    base = raw.fdstat(3)["fs_rights_base"]
    assert raw.call("fd_fdstat_set_rights", 3, base, rights("fd_read", "path_open")) == 0
    fd = raw.open("f")
    assert raw.fdstat(fd)["fs_rights_base"] == rights("fd_read")
    assert raw.call("fd_sync", fd) == Errno.NOTCAPABLE
    file.with_name("d").mkdir()
    stat = raw.fdstat(raw.open("d", oflags=DIRECTORY))
    assert (stat["fs_rights_base"], stat["fs_rights_inheriting"]) == (
        rights("path_open"),
        rights("fd_read", "path_open"),
    )


@pytest.mark.usefixtures("file")
def test_a_file_is_not_a_directory(raw: Raw) -> None:
    fd = raw.open("f")
    assert raw.call("fd_readdir", fd, 0x100, 100, 0, 0x80) == Errno.NOTDIR
    assert raw.call("path_unlink_file", fd, *raw.text("f")) == Errno.NOTDIR
    assert raw.call("fd_prestat_get", fd, 0x80) == Errno.BADF
