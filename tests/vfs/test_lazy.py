"""Content that is fetched when a file is first opened."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest

from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig
from wasihost.vfs import Lazy, MemoryFS

WRITE = 1 << 6


class Source:
    """Counts how often it is asked."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        return self.content


@pytest.fixture
def source() -> Source:
    return Source(b"0123456789")


@pytest.fixture
def fs(source: Source) -> MemoryFS:
    return MemoryFS({"d/late": Lazy(10, source)})


@pytest.fixture
def raw(fs: MemoryFS) -> Iterator[Raw]:
    with Raw(ModuleConfig().with_mount("/", fs)) as made:
        yield made


def try_open(raw: Raw, path: str, oflags: int = 0) -> int:
    return raw.call("path_open", 3, 1, *raw.text(path), oflags, (1 << 30) - 1, 0, 0, 0x80)


def test_only_opening_loads_a_lazy_file(fs: MemoryFS, raw: Raw, source: Source) -> None:
    assert raw.filestat("path_filestat_get", 3, 0, *raw.text("d/late"))["size"] == 10
    assert len(raw.readdir(raw.open("d", oflags=2))[0]) == 3
    assert raw.call("path_rename", 3, *raw.text("d/late"), 3, *raw.text("later")) == 0
    assert raw.call("path_link", 3, 0, *raw.text("later"), 3, *raw.text("again")) == 0
    assert (list(fs), len(fs), fs.quota.bytes, fs.stat("later").size) == (["later", "again"], 2, 10, 10)
    assert source.asked == 0
    fd = raw.open("again")
    assert source.asked == 1
    assert raw.read(fd, 4) + raw.read(raw.open("later"), 99) == b"01230123456789"
    assert fs["later"] == b"0123456789"
    assert source.asked == 1


def test_a_lazy_file_can_be_written(fs: MemoryFS, raw: Raw, source: Source) -> None:
    fd = raw.open("d/late", flags=1)
    assert raw.write(fd, b"more") == 4
    assert (fs["d/late"], fs.quota.bytes, source.content) == (b"0123456789more", 14, b"0123456789")


def test_replacing_it_asks_for_nothing(fs: MemoryFS, source: Source) -> None:
    fs["d/late"] = b"new"
    assert (fs["d/late"], fs.quota.bytes, source.asked) == (b"new", 3, 0)
    fs.put("d/late", Lazy(20, lambda: bytes(20)))
    assert (fs.quota.bytes, fs["d/late"]) == (20, bytes(20))
    fs.remove("d/late")
    assert fs.quota.bytes == 0


def test_a_lazy_file_counts_before_it_is_loaded(source: Source) -> None:
    with pytest.raises(OSError, match="No space"):
        MemoryFS({"big": Lazy(2**40, source)})
    with pytest.raises(OSError, match="too large"):
        MemoryFS({"big": Lazy(11, source)}, max_file_size=10)
    assert source.asked == 0


@pytest.mark.parametrize("content", [b"short", b"far too long"])
def test_another_size_than_was_said_is_an_io_error(content: bytes) -> None:
    fs = MemoryFS({"late": Lazy(10, lambda: content)})
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        assert try_open(raw, "late") == Errno.IO
        assert try_open(raw, "late") == Errno.IO  # and stays one
        assert raw.filestat("path_filestat_get", 3, 0, *raw.text("late"))["size"] == 10
        assert raw.call("path_unlink_file", 3, *raw.text("late")) == 0
    assert fs.quota.bytes == 0


def test_an_error_of_the_loader_is_the_guest_s_errno_and_it_is_asked_again(fs: MemoryFS) -> None:
    answers: list[BaseException] = [FileNotFoundError(2, "gone"), PermissionError(13, "no"), TimeoutError(110, "slow")]

    def load() -> bytes:
        if answers:
            raise answers.pop()
        return b"at last"

    fs.put("late", Lazy(7, load))
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        assert [try_open(raw, "late") for _ in range(4)] == [Errno.TIMEDOUT, Errno.ACCES, Errno.NOENT, 0]
        assert raw.read(raw.get(0x80), 99) == b"at last"
        raw.call("fd_close", raw.get(0x80))
        raw.call("path_unlink_file", 3, *raw.text("late"))
        assert fs.quota.bytes == 10  # of d/late: no failed open is counted


def test_any_other_exception_of_the_loader_arrives_as_itself(fs: MemoryFS) -> None:
    def load() -> bytes:
        raise KeyError("no such key")

    fs.put("late", Lazy(7, load))
    with Raw(ModuleConfig().with_mount("/", fs)) as raw, pytest.raises(KeyError, match="no such key") as error:
        try_open(raw, "late")
    assert "load" in {frame.name for frame in traceback.extract_tb(error.tb)}


def test_a_loader_may_use_the_file_system_that_it_is_of() -> None:
    fs = MemoryFS({"parts/1": b"one", "parts/2": b"two"})
    fs.put("all", Lazy(6, lambda: fs["parts/1"] + fs["parts/2"]))
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        assert raw.read(raw.open("all"), 99) == b"onetwo"
