"""Descriptor numbers: preopens, closing, renumbering, the limit, and no leak."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.raw import Raw
from wasihost import ConfigError, Errno, ModuleConfig
from wasihost.descriptors.table import DEFAULT_LIMIT


def name_of(raw: Raw, fd: int) -> str:
    assert raw.call("fd_prestat_get", fd, 0x80) == 0
    size = raw.get(0x84)
    assert raw.call("fd_prestat_dir_name", fd, 0x100, size) == 0
    return raw.memory[0x100 : 0x100 + size].decode()


def test_mounts_are_found_from_3_on_in_their_order(tmp_path: Path) -> None:
    config = ModuleConfig()
    for name in ("/", "/b/ü", "."):
        config = config.with_host_directory_preopen(name, tmp_path)
    with Raw(config) as raw:
        assert [name_of(raw, fd) for fd in (3, 4, 5)] == ["/", "/b/ü", "."]
        assert raw.call("fd_prestat_get", 6, 0x80) == Errno.BADF


def test_a_guest_path_is_bytes_to_the_guest(tmp_path: Path) -> None:
    """As every name of the host is: one that is no UTF-8 comes from a command line as surrogates."""
    with Raw(ModuleConfig().with_host_directory_preopen("/\udcff", tmp_path).with_name("\udcff")) as raw:
        assert raw.call("fd_prestat_get", 3, 0x80) == 0
        assert raw.get(0x84) == 2
        assert raw.call("fd_prestat_dir_name", 3, 0x100, 2) == 0
        assert raw.memory[0x100:0x102] == b"/\xff"
        assert raw.state.handlers.args == (b"\xff",)


def test_a_closed_number_is_free_and_the_lowest_is_taken_first(raw: Raw, folder: Path) -> None:
    (folder / "f").touch()
    assert [raw.open("f") for _ in range(4)] == [4, 5, 6, 7]
    for fd in (6, 4, 0):
        assert raw.call("fd_close", fd) == 0
        assert raw.call("fd_close", fd) == Errno.BADF
    assert [raw.open("f") for _ in range(4)] == [0, 4, 6, 8]


def test_renumber_moves_over_an_open_number(raw: Raw, folder: Path) -> None:
    for name in "ab":
        (folder / name).write_text(name)
    a, b = raw.open("a"), raw.open("b")
    assert raw.call("fd_renumber", a, b) == 0
    assert raw.read(b, 9) == b"a"
    assert raw.call("fd_tell", a, 0x80) == Errno.BADF
    assert raw.open("b") == a


def test_renumber_to_itself_is_nothing(raw: Raw, folder: Path) -> None:
    (folder / "a").write_text("a")
    a = raw.open("a")
    assert raw.call("fd_renumber", a, a) == 0
    assert raw.read(a, 9) == b"a"


def test_cve_2025_53901_renumber_with_a_closed_number_is_badf(raw: Raw, folder: Path) -> None:
    (folder / "a").write_text("a")
    a = raw.open("a")
    for source, target in ((a, 99), (99, a), (99, 99), (a, 0xFFFF_FFFF)):
        assert raw.call("fd_renumber", source, target) == Errno.BADF
    assert raw.read(a, 9) == b"a"


def test_a_moved_preopen_stays_one(raw: Raw) -> None:
    assert raw.call("fd_renumber", 3, 0) == 0
    assert name_of(raw, 0) == "/"
    assert raw.call("fd_prestat_get", 3, 0x80) == Errno.BADF


def test_no_more_descriptors_than_the_limit(raw: Raw, folder: Path) -> None:
    (folder / "f").touch()
    raw.state.handlers.table.limit = 20
    at, size = raw.text("f")
    numbers = (3, 0, at, size, 0, 2, 0, 0, 0x80)
    for fd in range(4, 20):
        assert raw.call("path_open", *numbers) == 0
        assert raw.get(0x80) == fd
    before = len(os.listdir("/proc/self/fd"))
    assert raw.call("path_open", *numbers) == Errno.MFILE
    assert raw.call("path_open", 3, 0, *raw.text("new"), 1, 2, 0, 0, 0x80) == Errno.MFILE
    assert not (folder / "new").exists()
    assert len(os.listdir("/proc/self/fd")) == before
    assert raw.call("fd_close", 10) == 0
    assert raw.call("path_open", *numbers) == 0
    assert raw.get(0x80) == 10


def test_the_limit_is_there_by_default(raw: Raw) -> None:
    assert raw.state.handlers.table.limit == DEFAULT_LIMIT == 1024


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")


@LINUX
def test_no_call_leaks_a_descriptor(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "f").write_bytes(b"x")
    os.symlink("../out", folder / "out")
    os.symlink("loop", folder / "loop")
    os.mkfifo(folder / "p")
    before = sorted(os.listdir("/proc/self/fd"))
    with Raw(ModuleConfig().with_host_directory_preopen("/", folder)) as raw:
        for path in ("f", "d", "d/../f", "out", "loop", "none", "d/none", "../f", "/f", "f/f", "p", "a\0b"):
            text = raw.text(path)
            for oflags in (0, 1, 2, 8):
                for follow in (0, 1):
                    raw.call("path_open", 3, follow, *text, oflags, 2, 0, 4, 0x80)
            raw.call("path_filestat_get", 3, 1, *text, 0x80)
            raw.call("path_readlink", 3, *text, 0x100, 10, 0x80)
            raw.call("path_link", 3, 1, *text, 3, *raw.text("d/new"))
            raw.call("path_rename", 3, *text, 3, *raw.text("d/x/y"))
            raw.call("path_create_directory", 3, *text)
            raw.call("path_filestat_set_times", 3, 1, *text, 0, 0, 5)
            raw.call("path_symlink", *text, 3, *text)
        raw.readdir(3)
        raw.call("fd_renumber", 5, 4)
        assert len(raw.state.handlers.table.open) > 10
    assert sorted(os.listdir("/proc/self/fd")) == before


@LINUX
def test_a_mount_that_fails_closes_the_others(folder: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    config = ModuleConfig().with_host_directory_preopen("/a", folder).with_host_directory_preopen("/b", folder / "none")
    with pytest.raises(ConfigError, match=r"cannot mount '.*none' as '/b': No such file or directory"):
        Raw(config)
    assert sorted(os.listdir("/proc/self/fd")) == before
