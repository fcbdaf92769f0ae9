"""Quotas of host directories: what is counted is what is there, and what was there before never counts."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from wasi_preview1.errors import WasiError
from wasi_preview1.types import Errno, Fdflags, Oflags, Rights

import wasihost
from tests.support.guests import build_c
from wasihost import ConfigError, FSConfig, ModuleConfig
from wasihost.descriptors.host_directory import open_host_directory
from wasihost.descriptors.limited import LimitedDirectory, LimitedFile, LimitedPreopen, Usage

RW = int(Rights.FD_READ | Rights.FD_WRITE)
NAMES = ["a", "b", "d", "d/a", "d/b", "e", "e/a", "dangling"]


def held(folder: Path) -> tuple[int, int]:
    """The bytes of all files and links in a folder, each file once, and the number of names."""
    found = {}
    names = 0
    for path in folder.rglob("*"):
        st = path.lstat()
        names += 1
        if not path.is_dir() or path.is_symlink():
            found[st.st_ino] = st.st_size
    return sum(found.values()), names


@pytest.mark.parametrize("seed", range(4))
def test_what_is_counted_is_what_is_there(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    (tmp_path / "d").mkdir()
    (tmp_path / "a").write_bytes(b"as it was")
    (tmp_path / "dangling").symlink_to("e")
    before = held(tmp_path)
    usage = Usage(500, 6, 300)
    top = LimitedPreopen(str(tmp_path), "/", usage)
    opened: list[LimitedFile] = []

    def name() -> str:
        return choose.choice(NAMES)

    def opens() -> None:
        flags = choose.choice([Fdflags(0), Fdflags.APPEND])
        made = top.open(name(), True, Oflags(choose.choice([0, 1, 1, 5, 8, 9])), RW, flags, [])
        if isinstance(made, LimitedFile):
            opened.append(made)
        else:
            assert isinstance(made, LimitedDirectory)
            made.close()

    def uses() -> None:
        if not opened:
            return
        file = choose.choice(opened)
        data = [memoryview(bytes(choose.randrange(60))), memoryview(bytes(choose.randrange(60)))]
        call = choose.randrange(4)
        if call == 0:
            file.write(data)
        elif call == 1:
            file.pwrite(data, choose.randrange(400))
        elif call == 2:
            file.set_size(choose.randrange(400))
        else:
            file.allocate(choose.randrange(100), choose.randrange(1, 300))

    def closes() -> None:
        if opened:
            opened.pop(choose.randrange(len(opened))).close()

    steps: list[Callable[[], object]] = [
        opens,
        opens,
        uses,
        uses,
        closes,
        lambda: top.unlink(name()),
        lambda: top.rename(name(), top, name()),
        lambda: top.link(name(), False, top, name()),
        lambda: top.symlink("x" * choose.randrange(1, 90), name()),
        lambda: top.create_directory(name()),
        lambda: top.remove_directory(name()),
    ]
    refused = set()
    for _ in range(600):
        try:
            choose.choice(steps)()
        except (OSError, WasiError) as error:
            refused.add(getattr(error, "limit", ""))
        size, names = held(tmp_path)
        unnamed = {file.key: os.fstat(file.fd) for file in opened if not os.fstat(file.fd).st_nlink}
        size += sum(st.st_size for st in unnamed.values())
        assert (usage.bytes, usage.entries) == (size - before[0], names - before[1])
        assert usage.bytes <= 500
        assert usage.entries <= 6
    assert refused == {"", "max_bytes", "max_entries", "max_file_size"}
    for file in opened:
        file.close()
    assert not usage.open
    top.close()


def test_what_was_there_never_counts_and_what_goes_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1000))
    config = ModuleConfig().with_host_directory_preopen("/", tmp_path, max_bytes=7, max_entries=1)
    tool = build_c("tool")
    assert wasihost.run(tool, config, args=["files", "/new"]).returncode == 0
    assert wasihost.run(tool, config, args=["files", "/large"]).returncode == 0, "it is cut first"
    tight = ModuleConfig().with_host_directory_preopen("/", tmp_path, max_bytes="3", max_file_size=None)
    done = wasihost.run(tool, tight, args=["files", "/third"], capture_output=True)
    assert (done.returncode, done.stats.limits) == (9, ("max_bytes",))
    assert (tmp_path / "third").read_bytes() == b"wri"
    none = ModuleConfig().with_host_directory_preopen("/", tmp_path, max_entries=0)
    done = wasihost.run(tool, none, args=["files", "/fourth"], capture_output=True)
    assert (done.returncode, done.stats.limits) == (9, ("max_entries",))
    isolated = wasihost.run(tool, none, args=["files", "/fourth"], capture_output=True, isolation="process")
    assert (isolated.returncode, isolated.stats.limits) == (9, ("max_entries",))
    assert not (tmp_path / "fourth").exists()


def test_nothing_moves_between_mounts_with_a_quota(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    limited = LimitedPreopen(str(tmp_path), "/", Usage(9, None, None))
    plain = open_host_directory(str(tmp_path), "/", False)
    other = LimitedPreopen(str(tmp_path), "/", Usage(9, None, None))
    for start, end in ((limited, plain), (plain, limited), (limited, other)):
        with pytest.raises(WasiError) as raised:
            start.rename("f", end, "g")
        assert raised.value.errno == Errno.XDEV
        with pytest.raises(WasiError) as raised:
            start.link("f", False, end, "g")
        assert raised.value.errno == Errno.XDEV
    other.close()
    limited.close()
    plain.close()


def test_limits_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_bytes cannot be 'much'"):
        FSConfig().with_dir_mount("/", tmp_path, max_bytes="much")
    mount = FSConfig().with_dir_mount("/", tmp_path, max_bytes="1KiB").mounts[0]
    assert repr(mount).endswith("read_only=False, max_bytes=1024)")
