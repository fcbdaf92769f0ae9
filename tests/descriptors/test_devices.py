"""Character and block devices that a guest opens by their paths: only a terminal is one, the rest is as on Linux."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wasi_preview1.types import Fdflags, Filetype, Whence

from tests.support.raw import Raw, abi
from tests.support.terminals import terminal
from wasihost import Errno, ModuleConfig
from wasihost.descriptors.host_file import HostFile
from wasihost.descriptors.oserrno import errno_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="what devices answer is Linux' own"),
    pytest.mark.usefixtures("in_time"),
]

_RIGHTS = abi()["types"]["rights"]["flags"]
READ, SEEK, TELL = (1 << _RIGHTS.index(name) for name in ("fd_read", "fd_seek", "fd_tell"))
NOW = 1 << 1 | 1 << 3
"""ATIM_NOW and MTIM_NOW."""


@pytest.fixture
def devices() -> Iterator[Raw]:
    with Raw(ModuleConfig().with_host_directory_preopen("/", "/dev")) as made:
        yield made


def pread(raw: Raw, fd: int, size: int, offset: int) -> bytes | Errno:
    at, result = raw.new(size), raw.new(4)
    if code := raw.call("fd_pread", fd, *raw.iovecs((at, size)), offset, result):
        return Errno(code)
    return bytes(raw.memory[at : at + raw.get(result)])


def seek(raw: Raw, fd: int, offset: int, whence: int) -> int | Errno:
    at = raw.new(8)
    return Errno(code) if (code := raw.call("fd_seek", fd, offset, whence, at)) else raw.get(at, 8)


def natively(call: object, *args: object) -> object:
    """What the OS itself returns: a number, or an errno."""
    try:
        return call(*args) or 0  # type: ignore[operator]  # any function of `os`
    except OSError as error:
        return errno_of(error)


@pytest.mark.parametrize("name", ["null", "zero", "full", "urandom", "random"])
def test_a_device_that_is_not_a_terminal_has_the_rights_of_a_file(devices: Raw, name: str) -> None:
    stat = devices.fdstat(devices.open(name))
    assert stat["fs_filetype"] == Filetype.CHARACTER_DEVICE
    assert stat["fs_rights_base"] & (SEEK | TELL) == SEEK | TELL


@pytest.mark.parametrize("name", ["null", "zero", "full"])
@pytest.mark.parametrize(
    ("call", "args", "native"),
    [
        ("fd_advise", (0, 10, 0), lambda fd: os.posix_fadvise(fd, 0, 10, 0)),
        ("fd_allocate", (0, 10), lambda fd: os.posix_fallocate(fd, 0, 10)),
        ("fd_filestat_set_size", (10,), lambda fd: os.ftruncate(fd, 10)),
        ("fd_sync", (), os.fsync),
        ("fd_datasync", (), os.fdatasync),
    ],
)
def test_devices_refuse_by_the_system_s_errors(
    devices: Raw, name: str, call: str, args: tuple[int, ...], native: object
) -> None:
    fd = os.open(f"/dev/{name}", os.O_RDWR)
    try:
        assert devices.call(call, devices.open(name), *args) == natively(native, fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ["null", "zero", "full", "urandom"])
@pytest.mark.parametrize(
    ("offset", "whence"), [(0, 0), (10, 0), (10, 1), (0, 2), (-1, 0), (2**63 - 1, 0), (-(2**63), 2)]
)
def test_seeking_answers_what_the_system_answers(devices: Raw, name: str, offset: int, whence: int) -> None:
    fd = os.open(f"/dev/{name}", os.O_RDWR)
    numbers = {os.SEEK_SET: Whence.SET, os.SEEK_CUR: Whence.CUR, os.SEEK_END: Whence.END}
    try:
        assert seek(devices, devices.open(name), offset, numbers[whence]) == natively(os.lseek, fd, offset, whence)
    finally:
        os.close(fd)


def test_reading_and_writing_at_offsets(devices: Raw) -> None:
    null, zero, full = (devices.open(name) for name in ("null", "zero", "full"))
    result = devices.new(4)
    assert pread(devices, null, 4, 7) == b""
    assert pread(devices, zero, 4, 7) == bytes(4) == pread(devices, full, 4, 2**40)
    assert pread(devices, zero, 4, 2**63) == Errno.INVAL
    assert devices.call("fd_pwrite", null, *devices.data(b"gone"), 7, result) == 0
    assert devices.get(result) == 4
    assert devices.call("fd_pwrite", full, *devices.data(b"gone"), 7, result) == Errno.NOSPC
    assert devices.call("fd_write", full, *devices.data(b"gone"), result) == Errno.NOSPC
    assert devices.read(zero, 9) == bytes(9)
    assert devices.call("fd_tell", null, devices.new(8)) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_times_of_a_device_can_be_set(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o666 | 0o020000, os.makedev(1, 3))
    with Raw(ModuleConfig().with_host_directory_preopen("/", tmp_path)) as raw:
        try:
            fd = raw.open("null")
        except AssertionError:
            pytest.skip("devices are not used on this file system")
        assert raw.call("fd_filestat_set_times", fd, 10**18, 10**18, 1 << 0 | 1 << 2) == 0
        assert raw.filestat("fd_filestat_get", fd)["mtim"] == 10**18
        assert raw.call("fd_filestat_set_times", fd, 0, 0, NOW) == 0
    with Raw(ModuleConfig().with_read_only_fs("/", tmp_path)) as raw:
        fd = raw.open("null", rights=READ | SEEK)
        assert raw.call("fd_filestat_set_times", fd, 0, 0, NOW) == Errno.ROFS
        assert raw.read(fd, 4) == b""


def test_a_terminal_stays_a_terminal() -> None:
    parent, child = terminal()
    try:
        folder, name = os.path.split(os.ttyname(child))
        with Raw(ModuleConfig().with_host_directory_preopen("/", folder, kernel_files=True)) as raw:
            fd = raw.open(name)
            assert raw.fdstat(fd)["fs_rights_base"] & (SEEK | TELL) == 0
            assert seek(raw, fd, 0, Whence.CUR) == Errno.SPIPE
            assert pread(raw, fd, 1, 0) == Errno.SPIPE
    finally:
        os.close(parent)
        os.close(child)


def test_a_right_to_seek_that_was_given_up_stays_given_up(devices: Raw) -> None:
    fd = devices.open("null", rights=READ)
    assert devices.call("fd_fdstat_set_rights", fd, READ, 0) == 0
    assert seek(devices, fd, 0, Whence.SET) == Errno.NOTCAPABLE


def test_the_end_of_a_block_device_is_where_seeking_finds_it(tmp_path: Path) -> None:
    # fstat(2) of a block device says 0 bytes. No device of this machine is touched: a file stands in for one.
    place = tmp_path / "disk"
    place.write_bytes(bytes(4096))
    disk = HostFile(os.open(place, os.O_RDWR), 0, Fdflags(0), Filetype.BLOCK_DEVICE)
    try:
        assert disk.seek(-96, Whence.END) == 4000
        assert disk.available() == 96
        assert disk.read([memoryview(bytearray(200))]) == 96
    finally:
        disk.close()


def test_a_socket_in_a_folder_can_be_listed_and_not_opened(raw: Raw, folder: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "s"))
        assert [(kind, name) for _, _, kind, name in raw.readdir(3)[0]][-1] == (Filetype.SOCKET_STREAM, b"s")
        assert (
            raw.call("path_open", 3, 1, *raw.text("s"), 0, READ, 0, 0, raw.new(4))
            == Errno[errno.errorcode[errno.ENXIO][1:]]
        )


def test_a_file_that_says_it_is_empty_is_read_to_its_end() -> None:
    with Raw(ModuleConfig().with_read_only_fs("/", "/proc/self", kernel_files=True)) as raw:
        fd = raw.open("status", rights=READ | SEEK)
        assert raw.filestat("path_filestat_get", 3, 0, *raw.text("status"))["size"] == 0
        text = b""
        while piece := raw.read(fd, 100):
            text += piece
        assert b"\nThreads:\t" in text
