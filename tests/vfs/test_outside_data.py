"""Data from outside never ends a run: impossible values are clamped or are an errno, and the log has the cause."""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw import Raw
from tests.vfs.outside import (
    LAST,
    YEAR_9999,
    Own,
    OwnLink,
    Remote,
    Tree,
    content,
    mounted,
    names,
    readlink,
    stat,
    times,
    zipped,
)
from wasihost import Errno, MemoryFS, ModuleConfig
from wasihost.vfs import Stat
from wasihost.vfs.mounting import VirtualSource

# -- what is reported --------------------------------------------------------------------------------------------------


@pytest.fixture
def any_time() -> Iterator[Path]:
    """A folder on a file system that holds any time, as tmpfs does."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        probe = Path(name, "probe")
        probe.touch()
        os.utime(probe, (0, YEAR_9999))
        if int(probe.stat().st_mtime) != YEAR_9999:
            pytest.skip("no file system here holds a time after 2554")
        probe.unlink()
        yield Path(name)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, 0), (-(2**40), 0), (0, 0), (18446744073, 18446744073 * 10**9), (18446744074, LAST), (YEAR_9999, LAST)],
)
def test_times_of_host_files(any_time: Path, seconds: int, expected: int) -> None:
    place = any_time / "f"
    place.write_bytes(b"x")
    os.utime(place, (seconds, seconds))
    assert int(place.stat().st_mtime) == seconds
    with Raw(ModuleConfig().with_host_directory_preopen("/", any_time)) as raw:
        found = stat(raw, "f")
        assert isinstance(found, dict)
        assert (found["atim"], found["mtim"], found["size"]) == (expected, expected, 1)
        fd = raw.open("f")
        assert raw.filestat("fd_filestat_get", fd) == found
        assert names(raw) == [b"f"]


@pytest.mark.parametrize(("time", "expected"), [(-5, 0), (-(2**70), 0), (LAST, LAST), (2**64, LAST), (2**200, LAST)])
def test_times_of_virtual_files(time: int, expected: int) -> None:
    with mounted(Tree(a=Own(Stat(1, time, time, time)))) as raw:
        assert times(raw, "a") == {expected}
    with mounted(MemoryFS({"a": b""}, clock=lambda: time)) as raw:
        assert times(raw, "a") == {expected}
    fs = MemoryFS({"a": b""})
    fs.set_times("a", time, time)
    with mounted(fs) as raw:
        assert expected in times(raw, "a")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"links": -1}, {"nlink": 0}),
        ({"links": 2**70}, {"nlink": LAST}),
        ({"device": -1}, {"dev": LAST}),
        ({"device": 2**64 + 7}, {"dev": 7}),
        ({"size": 2**63 - 1}, {"size": 2**63 - 1}),
    ],
)
def test_numbers_that_do_not_fit(fields: dict[str, int], expected: dict[str, int]) -> None:
    with mounted(Tree(a=Own(Stat(**fields)))) as raw:
        found = stat(raw, "a")
        assert isinstance(found, dict)
        assert found.items() >= expected.items()


@pytest.mark.parametrize("inode", [-5, 2**64 - 5, 3 * 2**64 - 5])
def test_inode_numbers_are_the_same_in_listings_and_stats(inode: int) -> None:
    with mounted(Tree(a=Own(inode=inode))) as raw:
        found = stat(raw, "a")
        assert isinstance(found, dict)
        assert found["ino"] == 2**64 - 5
        assert [ino for _, ino, _, name in raw.readdir(3)[0] if name == b"a"] == [2**64 - 5]


@pytest.mark.parametrize("size", [-1, 2**63, -(2**80)])
def test_a_size_that_cannot_be_is_overflow(size: int, caplog: pytest.LogCaptureFixture) -> None:
    with mounted(Tree(a=Own(Stat(size)))) as raw:
        assert stat(raw, "a") == Errno.OVERFLOW
        assert "Own.stat().size is" in caplog.text
        fd = raw.open("a", rights=1 << 1 | 1 << 2 | 1 << 21)
        assert raw.call("fd_filestat_get", fd, raw.new(64)) == Errno.OVERFLOW
        assert raw.call("fd_seek", fd, 0, 2, raw.new(8)) == Errno.OVERFLOW
        assert raw.read(fd, 9) == b"x"


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (Stat("1"), "Own.stat().size is '1'"),  # type: ignore[arg-type]  # the mistake that is tried
        (Stat(1, 1e18), "Own.stat().mtime_ns is 1e+18"),  # type: ignore[arg-type]  # likewise
        (Stat(1, 0, 0, None), "Own.stat().ctime_ns is None"),  # type: ignore[arg-type]  # likewise
    ],
)  # fmt: skip
def test_values_that_are_not_numbers_are_a_named_mistake(told: Stat, named: str) -> None:
    with mounted(Tree(a=Own(told))) as raw, pytest.raises(TypeError) as raised:
        stat(raw, "a")
    assert named in str(raised.value)


def test_an_inode_that_is_not_a_number_is_a_mistake() -> None:
    with mounted(Tree(a=Own(inode="7"))) as raw:
        for call in (lambda: stat(raw, "a"), lambda: names(raw)):
            with pytest.raises(TypeError, match=r"'7', and has to be an int"):
                call()


# -- names and links ---------------------------------------------------------------------------------------------------


def test_names_that_no_path_could_spell_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    odd = ["", ".", "..", "a/b", "/", "a\0b", "\ud800", "n" * 256, "\u20ac" * 86]
    tree = Tree()
    tree.nodes = {name: Own() for name in [*odd, "good", "\u20ac" * 85, "n" * 255, "host\udcff"]}
    with mounted(tree) as raw:
        assert names(raw) == [b"good", b"\xe2\x82\xac" * 85, b"n" * 255, b"host\xff"]
        assert content(raw, "good") == b"x"
        assert "left out 9 " in caplog.text
        assert caplog.records[0].name.startswith("wasihost.")


def test_a_name_that_is_not_text_is_a_mistake() -> None:
    tree = Tree()
    tree.nodes = {b"a": Own()}
    with mounted(tree) as raw, pytest.raises(TypeError, match="has the name b'a'"):
        names(raw)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Errno.NOENT), ("a\0b", Errno.INVAL), ("\ud800", Errno.ILSEQ), ("n/" * 2048, Errno.NAMETOOLONG),
        ("/etc", Errno.PERM),
    ],
)  # fmt: skip
def test_links_that_cannot_be(text: str, code: Errno) -> None:
    with mounted(Tree(a=OwnLink(text), b=Own())) as raw:
        assert readlink(raw, "a") == code
        assert content(raw, "a") == code
        assert content(raw, "a/b") == code
        assert names(raw) == [b"a", b"b"]


def test_a_link_with_a_name_that_is_too_long() -> None:
    with mounted(Tree(a=OwnLink("n" * 256))) as raw:
        assert content(raw, "a") == Errno.NAMETOOLONG


def test_a_link_that_is_not_text_is_a_mistake() -> None:
    with mounted(Tree(a=OwnLink(None))) as raw, pytest.raises(TypeError, match=r"OwnLink\.target\(\) gave None"):
        readlink(raw, "a")


def test_a_path_that_utf_8_does_not_have_is_ilseq_to_python() -> None:
    fs = MemoryFS()
    acts: list[Callable[[], None]] = [
        lambda: fs.put("\ud800", b""), lambda: fs.mkdir("\ud800"), lambda: fs.symlink("\ud800", "a"),
    ]  # fmt: skip
    for act in acts:
        with pytest.raises(OSError, match=r".") as raised:
            act()
        assert raised.value.errno == errno.EILSEQ


# -- mistakes come out as they are -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("mine"), ZeroDivisionError(), RuntimeError("password"), KeyError(1)])
def test_a_mistake_in_a_class_of_one_s_own_comes_out(error: Exception) -> None:
    trees: list[VirtualSource] = [Tree(a=Own(data=error)), Remote(error)]
    for tree in trees:
        with mounted(tree) as raw, pytest.raises(type(error)) as raised:
            content(raw, "a")
        assert raised.value is error


def test_a_mistake_in_a_library_s_place_comes_out() -> None:
    path: Any = zipfile.Path(io.BytesIO(zipped(("f", b"hello"))))
    path.root.open = None
    with mounted(path) as raw, pytest.raises(TypeError):
        content(raw, "f")


def test_errors_that_the_guest_does_not_see_are_not_logged() -> None:
    code = """
import sys
from wasihost import MemoryFS, ModuleConfig, State
State(bytearray, ModuleConfig().with_mount("/", MemoryFS({"a": b""}))).close()
sys.exit("logging" in sys.modules)
"""
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
