"""`fail`, `shorten` and `delay`: faults of a guest's calls, on files of the host as on files in memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import wasihost
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import ConfigError, Errno, ModuleConfig, TimeoutExpired
from wasihost.testing import FakeClock, Fault, MemoryFS, delay, fail, shorten

CREAT, DIRECTORY = 1, 2


@pytest.fixture(params=["host", "memory"])
def config(request: pytest.FixtureRequest, folder: Path) -> ModuleConfig:
    """A folder of either kind."""
    if request.param == "host":
        return ModuleConfig().with_host_directory_preopen("/", folder)
    return ModuleConfig().with_mount("/", MemoryFS())


def test_a_disk_that_gets_full(config: ModuleConfig) -> None:
    full = fail("fd_write", Errno.NOSPC, after=10)
    with Raw(config.with_hooks(full)) as raw:
        fd = raw.open("f", oflags=CREAT)
        assert raw.write(fd, b"0123456") == 7
        assert raw.write(fd, b"789abc") == 3  # as much as fits
        for _ in range(2):
            assert raw.call("fd_write", fd, *raw.iovecs((0x1000, 4)), 0x80) == Errno.NOSPC
        assert (full.calls, full.failed, full.moved) == (4, 2, 10)
        assert raw.call("fd_seek", fd, 0, 0, 0x80) == 0
        assert raw.read(fd, 99) == b"0123456789"


def test_some_calls_fail(config: ModuleConfig) -> None:
    twice = fail("path_create_directory", OSError(5, "of the host"), after=1, times=2)
    with Raw(config.with_hooks(twice)) as raw:
        made = [raw.call("path_create_directory", 3, *raw.text(name)) for name in ("a", "b", "b", "b", "b")]
    assert made == [0, Errno.IO, Errno.IO, 0, Errno.EXIST]
    assert (twice.calls, twice.failed) == (5, 2)


def test_only_some_paths(config: ModuleConfig) -> None:
    opens, reads = fail("path_open", Errno.ACCES, path="/d/*"), fail("fd_read", Errno.IO, path="*.bad")
    renames = fail("path_rename", Errno.BUSY, path="/kept")
    with Raw(config.with_hooks(opens, reads, renames)) as raw:
        assert raw.call("path_create_directory", 3, *raw.text("d")) == 0
        good, bad = raw.open("a.good", oflags=CREAT), raw.open("a.bad", oflags=CREAT)
        assert raw.read(good, 1) == b""
        assert raw.call("fd_read", bad, *raw.iovecs((0x1000, 4)), 0x80) == Errno.IO
        directory = raw.open("d", oflags=DIRECTORY)
        for fd, path in ((3, "d/x"), (3, "./d/../d/x"), (directory, "x")):
            assert raw.call("path_open", fd, 0, *raw.text(path), 1, 2, 0, 0, 0x80) == Errno.ACCES
        assert raw.call("path_rename", 3, *raw.text("a.good"), 3, *raw.text("kept")) == Errno.BUSY
        assert raw.call("path_rename", 3, *raw.text("a.good"), 3, *raw.text("other")) == 0
        assert raw.call("fd_read", 99, *raw.iovecs((0x1000, 4)), 0x80) == Errno.BADF
    assert (opens.failed, reads.calls, renames.failed) == (3, 1, 1)


def test_short_reads_and_writes(config: ModuleConfig) -> None:
    with Raw(config.with_hooks(shorten(["fd_*", "!fd_readdir"], 3))) as raw:
        fd = raw.open("f", oflags=CREAT)
        assert raw.write(fd, b"0123456") == 3
        assert raw.call("fd_seek", fd, 0, 0, 0x80) == 0
        assert raw.call("fd_read", fd, *raw.iovecs((0x1000, 2), (0x1010, 2)), 0x80) == 0
        assert raw.get(0x80) == 3
        assert raw.memory[0x1000:0x1002] + raw.memory[0x1010:0x1011] == b"012"


def test_a_slow_disk_ends_in_time() -> None:
    slow, begun = delay("fd_write", 3600), time.monotonic()
    with pytest.raises(TimeoutExpired):
        wasihost.run(build_c("tool"), args=["both"], timeout=0.1, hooks=[slow])
    assert time.monotonic() - begun < 60
    clock = FakeClock()
    slow = delay("fd_write", 0.5, per_mib=1024, clock=clock)
    wasihost.run(build_c("tool"), args=["both"], hooks=[slow])
    assert clock.nanotime() == slow.calls * 500_000_000 + len("to output\nto error\n") * 1_000_000_000 // 1024


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: fail("fd_write", 28),  # type: ignore[arg-type]  # what users get wrong
            "calls cannot fail with 28: give an errno such as Errno.NOSPC, or an exception",
        ),
        (lambda: fail("fd_write", Errno.IO, after=-1), "after is -1: give a whole number of 0 or more"),
        (lambda: fail("fd_write", Errno.IO, times=0), "times is 0: give a whole number of 1 or more"),
        (lambda: shorten("fd_read", 0), "most is 0: give a whole number of 1 or more"),
        (lambda: shorten("fd_seek", 5), "'fd_seek' cannot be shortened: fd_pread, fd_pwrite, "),
        (lambda: delay("fd_read", -1), "seconds is -1: give 0 or more seconds"),
    ],
)
def test_mistakes(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value).startswith(said)


def test_a_function_that_does_not_exist() -> None:
    fault: Fault = fail("fd_writ", Errno.IO)
    with pytest.raises(ConfigError, match="did you mean fd_write"):
        wasihost.run(build_c("tool"), hooks=[fault])
