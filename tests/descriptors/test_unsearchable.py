"""A directory that may be read but not searched (mode 0444) is listed, as on Linux; nothing in it is reached."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from wasi_preview1.types import Filetype

from tests.support.raw import Raw, abi
from wasihost import Errno, ModuleConfig

NOBODY = 65534
DIRECTORY = 2
RELATIVE = [".", "./"]


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`outer/inner`, mode 0444, with a file, a directory, a link and a socket, for a user other than root."""
    top = tmp_path_factory.mktemp("unsearchable")
    inner = top / "outer" / "inner"
    (inner / "directory").mkdir(parents=True)
    (inner / "file").write_bytes(b"x")
    (inner / "link").symlink_to("file")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(inner / "socket"))
    for parent in (top, *top.parents):
        if parent.stat().st_mode & 0o777 == 0o700:  # pytest's own
            parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(inner, NOBODY, NOBODY)
    inner.chmod(0o444)
    abi()  # read before: whom this test becomes may not be let to this Python
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield top
    finally:
        if root:
            os.seteuid(0)
        inner.chmod(0o755)


def kinds(raw: Raw, fd: int) -> dict[bytes, int]:
    return {name: kind for _, _, kind, name in raw.readdir(fd)[0]}


EXPECTED = {
    b".": Filetype.DIRECTORY,
    b"..": Filetype.DIRECTORY,
    b"directory": Filetype.DIRECTORY,
    b"file": Filetype.REGULAR_FILE,
    b"link": Filetype.SYMBOLIC_LINK,
    b"socket": Filetype.UNKNOWN,  # a kind that only a stat would tell, which is what is not allowed
}


@pytest.mark.parametrize("read_only", [False, True])
def test_below_a_mount(place: Path, read_only: bool) -> None:
    config = ModuleConfig()
    outer = place / "outer"
    with Raw(
        config.with_read_only_fs("/", outer) if read_only else config.with_host_directory_preopen("/", outer)
    ) as raw:
        fd = raw.open("inner", oflags=DIRECTORY)
        assert kinds(raw, fd) == EXPECTED
        assert raw.call("path_filestat_get", fd, 0, *raw.text("file"), raw.new(64)) == Errno.ACCES
        assert raw.call("path_open", fd, 0, *raw.text("file"), 0, 2, 0, 0, raw.new(4)) == Errno.ACCES


@pytest.mark.parametrize("itself", RELATIVE)
def test_the_mount_itself(place: Path, itself: str) -> None:
    inner = place / "outer" / "inner"
    with Raw(ModuleConfig().with_host_directory_preopen("/", inner)) as raw:
        fd = raw.open(itself, oflags=DIRECTORY, flags=4)  # O_NONBLOCK: wasi-libc's opendir
        assert kinds(raw, 3) == kinds(raw, fd) == EXPECTED
        stat = raw.filestat("path_filestat_get", 3, 1, *raw.text(itself))
        assert (stat["filetype"], stat["ino"]) == (Filetype.DIRECTORY, os.stat(inner).st_ino)
        assert raw.call("path_filestat_set_times", 3, 1, *raw.text(itself), 10**18, 10**18, 1 << 0 | 1 << 2) == 0
        assert os.stat(inner).st_mtime_ns == 10**18
        assert raw.call("path_filestat_get", 3, 0, *raw.text("file"), raw.new(64)) == Errno.ACCES
        assert raw.call("path_open", 3, 0, *raw.text("./."), DIRECTORY, 2, 0, 0, raw.new(4)) == Errno.ACCES
        assert raw.call("path_open", 3, 0, *raw.text("new"), 1, 1 << 6, 0, 0, raw.new(4)) == Errno.ACCES


@pytest.mark.parametrize("itself", RELATIVE)
def test_a_read_only_mount_itself(place: Path, itself: str) -> None:
    with Raw(ModuleConfig().with_read_only_fs("/", place / "outer" / "inner")) as raw:
        assert kinds(raw, raw.open(itself, oflags=DIRECTORY, flags=4)) == EXPECTED
        assert raw.call("path_open", 3, 0, *raw.text("new"), 1, 1 << 6, 0, 0, raw.new(4)) == Errno.ACCES
        assert raw.call("path_create_directory", 3, *raw.text("new")) == Errno.ACCES


def test_unreadable_directories_are_not_listed(place: Path) -> None:
    inner = place / "outer" / "inner"
    with Raw(ModuleConfig().with_host_directory_preopen("/", place / "outer")) as raw:
        inner.chmod(0o111)
        assert raw.call("path_open", 3, 0, *raw.text("inner"), DIRECTORY, 1 << 14, 0, 0, raw.new(4)) == Errno.ACCES
