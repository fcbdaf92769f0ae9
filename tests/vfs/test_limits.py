"""Limits of a `MemoryFS` (bytes, names, size of one file): refused before anything is changed, and released again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig
from wasihost.vfs import MemoryFS

CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
EVERY = (1 << 30) - 1
APPEND = 1


@pytest.fixture
def fs() -> MemoryFS:
    """Room for 100 bytes and 8 names, of which 10 and 3 are taken."""
    return MemoryFS({"f": b"0123456789", "d/e": b""}, max_bytes=100, max_entries=8)


@pytest.fixture
def raw(fs: MemoryFS) -> Iterator[Raw]:
    with Raw(ModuleConfig().with_mount("/", fs)) as made:
        yield made
        assert fs.quota.bytes <= 100
        assert fs.quota.entries <= 8


def write(raw: Raw, fd: int, *pieces: bytes) -> tuple[int, int]:
    """The errno and how much was written."""
    result = raw.new(4)
    code = raw.call("fd_write", fd, *raw.data(*pieces), result)
    return code, raw.get(result) if not code else 0


def pwrite(raw: Raw, fd: int, data: bytes, offset: int) -> int:
    return raw.call("fd_pwrite", fd, *raw.data(data), offset, raw.new(4))


# -- bytes -------------------------------------------------------------------------------------------------------------


def test_a_write_takes_the_part_that_fits(fs: MemoryFS, raw: Raw) -> None:
    """POSIX: only as many bytes as there is room for; the next write has the error."""
    fd = raw.open("f")
    raw.call("fd_seek", fd, 5, 0, raw.new(8))
    assert write(raw, fd, b"x" * 96) == (0, 95)  # 5 of them in place of others
    assert (len(fs["f"]), fs.quota.bytes) == (100, 100)
    assert raw.call("fd_tell", fd, 0x80) == 0
    assert raw.get(0x80, 8) == 100
    assert write(raw, fd, b"y") == (Errno.NOSPC, 0)
    assert raw.call("fd_tell", fd, 0x80) == 0
    assert raw.get(0x80, 8) == 100
    assert pwrite(raw, fd, b"yz", 99) == 0
    assert raw.get(0x80, 4) == 100
    assert pwrite(raw, fd, b"y" * 100, 0) == 0  # in place
    assert fs["f"] == b"y" * 100


def test_buffers_that_fit_are_written_and_counted(fs: MemoryFS, raw: Raw) -> None:
    fd = raw.open("new", oflags=CREAT)
    assert write(raw, fd, b"", b"a" * 60, b"b" * 31, b"c") == (0, 90)
    assert write(raw, fd, b"c") == (Errno.NOSPC, 0)
    assert write(raw, fd, b"") == (0, 0)
    assert fs["new"] == b"a" * 60 + b"b" * 30


def test_an_append_takes_the_part_that_fits(fs: MemoryFS, raw: Raw) -> None:
    fd = raw.open("f", flags=APPEND)
    assert write(raw, fd, b"a" * 60, b"b" * 31) == (0, 90)
    assert fs["f"] == b"0123456789" + b"a" * 60 + b"b" * 30
    assert write(raw, fd, b"c") == (Errno.NOSPC, 0)


def test_a_write_behind_a_gap_takes_the_part_that_fits(fs: MemoryFS, raw: Raw) -> None:
    fd, result = raw.open("f"), raw.new(4)
    assert raw.call("fd_pwrite", fd, *raw.data(b"x" * 20), 90, result) == 0
    assert raw.get(result) == 10
    assert fs["f"] == b"0123456789" + bytes(80) + b"x" * 10


@pytest.mark.parametrize(
    "grow",
    [
        lambda raw, fd: raw.call("fd_filestat_set_size", fd, 101),
        lambda raw, fd: raw.call("fd_filestat_set_size", fd, 2**62),
        lambda raw, fd: raw.call("fd_allocate", fd, 0, 101),
        lambda raw, fd: raw.call("fd_allocate", fd, 2**40, 2**40),
        lambda raw, fd: pwrite(raw, fd, b"x", 100),
        lambda raw, fd: pwrite(raw, fd, b"x", 2**62),
    ],
    ids=["set_size", "set_size-huge", "allocate", "allocate-huge", "gap", "gap-huge"],
)
def test_zeros_are_charged_too(fs: MemoryFS, raw: Raw, grow: Callable[[Raw, int], int]) -> None:
    fd = raw.open("f")
    assert grow(raw, fd) == Errno.NOSPC
    assert (fs["f"], fs.quota.bytes) == (b"0123456789", 10)


def test_sparse_growth_up_to_the_limit(fs: MemoryFS, raw: Raw) -> None:
    fd = raw.open("f")
    assert raw.call("fd_filestat_set_size", fd, 50) == 0
    assert raw.call("fd_allocate", fd, 50, 10) == 0
    assert pwrite(raw, fd, b"x", 99) == 0
    assert fs["f"] == b"0123456789" + bytes(89) + b"x"
    assert raw.call("fd_filestat_set_size", fd, 101) == Errno.NOSPC


def test_links_are_charged_for_their_content(fs: MemoryFS, raw: Raw) -> None:
    assert raw.call("path_symlink", *raw.text("t" * 91), 3, *raw.text("l")) == Errno.NOSPC
    assert (fs.listdir(), fs.quota.bytes, fs.quota.entries) == (["f", "d"], 10, 3)
    assert raw.call("path_symlink", *raw.text("t" * 90), 3, *raw.text("l")) == 0
    assert raw.call("path_link", 3, 0, *raw.text("l"), 3, *raw.text("m")) == 0
    fs.remove("l")
    assert fs.quota.bytes == 100
    fs.remove("m")
    assert fs.quota.bytes == 10


@pytest.mark.parametrize(
    "act",
    [
        lambda fs: fs.put("new", bytes(91)),
        lambda fs: fs.put("x/y/new", bytes(91)),
        lambda fs: fs.put("f", bytes(101)),
        lambda fs: fs.update({"f": bytes(101)}),
        lambda fs: fs.symlink("t" * 91, "l"),
    ],
)
def test_python_s_own_changes_are_refused_whole(fs: MemoryFS, act: Callable[[MemoryFS], None]) -> None:
    with pytest.raises(OSError, match="No space"):
        act(fs)
    assert (dict(fs), fs.quota.bytes) == ({"f": b"0123456789", "d/e": b""}, 10)


def test_buffers_that_overlap_are_appended_in_parts() -> None:
    """Joined, 1,024 of them over all the memory would be 128 times as much as the guest has."""
    fs = MemoryFS({"f": b""}, max_bytes=None)
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        fd, result = raw.open("f", flags=APPEND), raw.new(4)
        at, count = raw.iovecs(*[(0, 0)], *[(0, len(raw.memory))] * 1023)
        memory = bytes(raw.memory)
        assert raw.call("fd_write", fd, at, count, result) == 0
        written = raw.get(result)
        assert 0 < written <= 1 << 20
        assert fs["f"] == (memory * 8)[:written]
        assert raw.call("fd_write", fd, *raw.iovecs((0, 0), (0, 0)), result) == 0
        assert raw.get(result) == 0


# -- bytes given back --------------------------------------------------------------------------------------------------


def unlink(raw: Raw) -> None:
    assert raw.call("path_unlink_file", 3, *raw.text("f")) == 0


def truncate(raw: Raw) -> None:
    assert raw.call("fd_filestat_set_size", raw.open("f"), 0) == 0


def open_truncating(raw: Raw) -> None:
    raw.open("f", oflags=TRUNC)


def rename_over(raw: Raw) -> None:
    assert raw.call("path_rename", 3, *raw.text("d/e"), 3, *raw.text("f")) == 0


@pytest.mark.parametrize("act", [unlink, truncate, open_truncating, rename_over])
def test_room_is_given_back(fs: MemoryFS, raw: Raw, act: Callable[[Raw], None]) -> None:
    fs["f"] = bytes(100)
    fd = raw.open("new", oflags=CREAT)
    assert write(raw, fd, b"x") == (Errno.NOSPC, 0)
    act(raw)
    assert fs.quota.bytes == 0
    assert write(raw, fd, b"x" * 100) == (0, 100)


def test_a_smaller_size_gives_back_the_difference(fs: MemoryFS, raw: Raw) -> None:
    fs["f"] = bytes(100)
    assert raw.call("fd_filestat_set_size", raw.open("f"), 30) == 0
    assert (fs.quota.bytes, fs["f"]) == (30, bytes(30))


@pytest.mark.parametrize("remove", [unlink, rename_over])
def test_an_open_file_without_a_name_is_charged_until_the_last_close(
    fs: MemoryFS, raw: Raw, remove: Callable[[Raw], None]
) -> None:
    first, second = raw.open("f"), raw.open("f")
    remove(raw)
    assert fs.quota.bytes == 10
    assert write(raw, first, b"0123456789more") == (0, 14)
    assert raw.read(second, 99) == b"0123456789more"
    assert raw.filestat("fd_filestat_get", second)["nlink"] == 0
    assert raw.call("fd_close", first) == 0
    assert fs.quota.bytes == 14
    assert raw.call("fd_close", second) == 0
    assert fs.quota.bytes == 0


def test_hard_links_are_charged_once(fs: MemoryFS, raw: Raw) -> None:
    assert raw.call("path_link", 3, 0, *raw.text("f"), 3, *raw.text("g")) == 0
    assert fs.quota.bytes == 10
    unlink(raw)
    assert fs.quota.bytes == 10
    assert raw.call("path_unlink_file", 3, *raw.text("g")) == 0
    assert fs.quota.bytes == 0


def test_the_end_of_a_guest_closes_what_it_left_open(fs: MemoryFS) -> None:
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        raw.open("f")
        unlink(raw)
        assert fs.quota.bytes == 10
    assert fs.quota.bytes == 0


def test_two_guests_share_one_limit(fs: MemoryFS, raw: Raw) -> None:
    with Raw(ModuleConfig().with_mount("/else", fs)) as other:
        assert write(other, other.open("o", oflags=CREAT), bytes(80)) == (0, 80)
        assert write(raw, raw.open("f", flags=APPEND), bytes(20)) == (0, 10)
        assert other.call("path_unlink_file", 3, *other.text("o")) == 0
        assert write(raw, raw.open("f", flags=APPEND), bytes(80)) == (Errno.NOSPC, 0)  # the other still has it open
    assert write(raw, raw.open("f", flags=APPEND), bytes(90)) == (0, 80)


# -- the size of one file ----------------------------------------------------------------------------------------------


def test_no_file_is_larger_than_allowed() -> None:
    fs = MemoryFS({"old": bytes(8)}, max_file_size=10)
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        fd = raw.open("old")
        assert raw.call("fd_filestat_set_size", fd, 11) == Errno.FBIG
        assert raw.call("fd_allocate", fd, 5, 6) == Errno.FBIG
        assert pwrite(raw, fd, b"x", 10) == Errno.FBIG
        assert fs["old"] == bytes(8)
        assert write(raw, fd, b"x" * 11) == (0, 10)
        assert write(raw, fd, b"x") == (Errno.FBIG, 0)
        assert fs["old"] == b"x" * 10
    with pytest.raises(OSError, match="too large"):
        fs["new"] = bytes(11)
    assert list(fs) == ["old"]


def test_a_file_above_a_lowered_limit_can_shrink() -> None:
    fs = MemoryFS({"f": bytes(20)})
    fs.quota.max_file_size = fs.quota.max_bytes = 10
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        fd = raw.open("f")
        assert pwrite(raw, fd, b"in place", 12) == 0
        assert raw.call("fd_filestat_set_size", fd, 15) == 0
        assert raw.call("fd_filestat_set_size", fd, 16) in (Errno.FBIG, Errno.NOSPC)


def test_the_limit_that_is_met_first_is_reported() -> None:
    fs = MemoryFS({"f": bytes(4), "g": bytes(4)}, max_bytes=10, max_file_size=8)
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        fd = raw.open("f", flags=APPEND)
        assert write(raw, fd, bytes(9)) == (0, 2)
        assert write(raw, fd, bytes(9)) == (Errno.NOSPC, 0)
        fs.remove("g")
        assert write(raw, fd, bytes(9)) == (0, 2)
        assert write(raw, fd, bytes(9)) == (Errno.FBIG, 0)


# -- names -------------------------------------------------------------------------------------------------------------

MAKE: dict[str, Callable[[Raw, str], int]] = {
    "file": lambda raw, name: raw.call(
        "path_open", 3, 1, *raw.text(name), CREAT | EXCL, EVERY, EVERY, 0, raw.new(4)
    ),
    "directory": lambda raw, name: raw.call("path_create_directory", 3, *raw.text(name)),
    "link": lambda raw, name: raw.call("path_symlink", *raw.text("t"), 3, *raw.text(name)),
    "hard link": lambda raw, name: raw.call("path_link", 3, 0, *raw.text("f"), 3, *raw.text(name)),
}  # fmt: skip


@pytest.mark.parametrize("kind", MAKE)
def test_names_are_counted_and_given_back(fs: MemoryFS, raw: Raw, kind: str) -> None:
    make = MAKE[kind]
    assert [make(raw, f"n{number}") for number in range(5)] == [0] * 5
    before = fs.listdir(), fs.quota.bytes, fs.stat("f").links, fs.stat(".").links
    assert {other(raw, "more") for other in MAKE.values()} == {Errno.NOSPC}
    assert (fs.listdir(), fs.quota.bytes, fs.stat("f").links, fs.stat(".").links) == before
    removal = "path_remove_directory" if kind == "directory" else "path_unlink_file"
    assert raw.call(removal, 3, *raw.text("n0")) == 0
    assert make(raw, "more") == 0
    assert fs.quota.entries == 8


def test_renaming_over_gives_a_name_back(fs: MemoryFS, raw: Raw) -> None:
    for number in range(5):
        fs.mkdir(f"n{number}")
    assert raw.call("path_rename", 3, *raw.text("n0"), 3, *raw.text("new")) == 0
    assert fs.quota.entries == 8
    assert raw.call("path_rename", 3, *raw.text("n1"), 3, *raw.text("n2")) == 0
    assert raw.call("path_rename", 3, *raw.text("d/e"), 3, *raw.text("f")) == 0
    assert fs.quota.entries == 6


def test_a_removed_directory_that_is_open_can_hold_nothing(fs: MemoryFS, raw: Raw) -> None:
    fs.mkdir("gone")
    fd = raw.open("gone", oflags=DIRECTORY)
    fs.rmdir("gone")
    assert raw.call("path_create_directory", fd, *raw.text("x")) == Errno.NOENT
    assert fs.quota.entries == 3


# -- the process itself ------------------------------------------------------------------------------------------------

NO_ROOM = """
import errno, resource
from wasihost import MemoryFS
from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig

fs = MemoryFS({"big": bytes(600 << 20), "small": b"small"}, max_bytes=None)
with Raw(ModuleConfig().with_mount("/", fs)) as raw:
    big, small, appending = raw.open("big"), raw.open("small"), raw.open("small", flags=1)
    held = fs.quota.bytes
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    assert raw.call("fd_filestat_set_size", small, 1 << 40) == Errno.NOSPC
    assert raw.call("fd_filestat_set_size", small, 1 << 62) == Errno.NOSPC
    assert raw.call("fd_pwrite", small, *raw.data(b"x"), 1 << 40, raw.new(4)) == Errno.NOSPC
    assert raw.call("fd_pwrite", big, *raw.data(b"x"), 300 << 20, raw.new(4)) == 0  # without a copy of the rest
    assert raw.call("fd_pread", big, *raw.iovecs((0x100, 3)), (300 << 20) - 1, raw.new(4)) == 0
    assert bytes(raw.memory[0x100:0x103]) == b"\\0x\\0"
    assert fs.quota.bytes == held
    assert fs["small"] == b"small"
    assert raw.write(appending, b"er") == 2
    assert fs["small"] == b"smaller"
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space as Linux keeps them")
def test_no_memory_left_is_nospc() -> None:
    done = subprocess.run([sys.executable, "-c", NO_ROOM], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")
