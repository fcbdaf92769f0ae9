"""What a guest makes the host hold is counted, or bounded: names, links, listings, paths, copies, modules."""

from __future__ import annotations

import errno
import itertools
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.support.raw import Raw
from wasihost import MemoryFS, ModuleConfig, run
from wasihost.descriptors.base import Directory
from wasihost.descriptors.table import _LISTINGS, FdTable
from wasihost.engines.wasmtime import module as modules
from wasihost.host.counting import CountedHandlers
from wasihost.stats import Stats
from wasihost.vfs.changes import Baseline, Changes
from wasihost.vfs.quota import name_size

MIB = 1 << 20
READING = (1 << 30) - 1 & ~0x40
WIDE = "n" * 251 + "\U0001f600"


def until_full(make: Callable[[int], object]) -> int:
    """How many can be made."""
    for number in itertools.count():
        try:
            make(number)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return number
            raise
    raise AssertionError


def test_long_names_count_what_they_take() -> None:
    fs = MemoryFS(max_bytes=MIB)
    made = until_full(lambda number: fs.put(f"{number:08}{WIDE[8:]}", b""))
    assert sum(map(sys.getsizeof, fs)) < 1.3 * MIB
    assert made > 800
    for name in list(fs):
        del fs[name]
    assert (fs.quota.bytes, fs.quota.entries) == (0, 0)


def test_short_names_count_as_names_only() -> None:
    fs = MemoryFS(max_bytes=0)
    for number in range(1000):
        fs.put(f"a-file-of-a-usual-name-{number}.txt", b"")
    assert fs.quota.bytes == 0


def test_moving_a_name_counts_the_new_one() -> None:
    fs = MemoryFS({"a": b"12", WIDE: b"3", "d/x": b""}, max_bytes=4 * 1024)
    beginning = fs.quota.bytes
    assert beginning == 3 + name_size(WIDE)
    fs.rename(WIDE, "d/x")
    assert fs.quota.bytes == 3
    fs.rename("d/x", "d/" + WIDE)
    assert fs.quota.bytes == beginning
    fs.put("full", bytes(4 * 1024 - beginning))
    with pytest.raises(OSError, match="more than"):
        fs.rename("a", "b" + WIDE[1:])
    assert sorted(fs) == sorted(["a", "d/" + WIDE, "full"])
    del fs["full"], fs["a"], fs["d/" + WIDE]
    assert fs.quota.bytes == 0


def test_links_count_what_they_take() -> None:
    fs = MemoryFS(max_bytes=64 * 1024)
    target = "n" * 4089 + "\U0001f600"
    assert until_full(lambda number: fs.symlink(target, str(number))) == 64 * 1024 // name_size(target) == 4
    fs.remove("0")
    fs.symlink("a" * 100, "short")
    assert fs.quota.bytes == 3 * name_size(target) + 100


def test_content_is_kept_once_for_all_names() -> None:
    fs = MemoryFS({"kept": b"k" * MIB})
    fs.link("kept", "kept-too")
    before = Baseline(fs)
    assert before["kept"].data is before["kept-too"].data
    fs["new"] = b"n" * MIB
    for number in range(50):
        fs.link("new", f"new-{number}")
    changes = Changes(before, fs)
    assert len(changes.created) == 51
    assert len({id(content) for content in changes.values()}) == 1


def deep(fs: MemoryFS, levels: int) -> Raw:
    """A folder in the other, as only a guest makes them, that opens each; a file in every one."""
    raw = Raw(ModuleConfig().with_mount("/", fs))
    start, fd, name = raw._free, 3, "d" * 250
    for _ in range(levels):
        raw._free = start
        assert raw.call("path_create_directory", fd, *raw.text(name)) == 0
        assert raw.call("path_open", fd, 0, *raw.text(name), 2, READING, READING, 0, 0x80) == 0
        above, fd = fd, raw.get(0x80)
        assert raw.call("path_open", fd, 0, *raw.text("f"), 1, 0x40, 0, 0, 0x80) == 0
        assert raw.call("fd_close", raw.get(0x80)) == 0
        if above != 3:
            assert raw.call("fd_close", above) == 0
    return raw


def test_paths_that_are_too_deep_are_left_out() -> None:
    fs = MemoryFS()
    before = Baseline(fs)
    deep(fs, 200)
    changes = Changes(before, fs)
    assert 10 < len(changes) < 20
    assert max(map(len, changes)) < 4096
    assert all(path in fs for path in changes)


def test_the_paths_of_changes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wasihost.vfs.changes._PATHS", 100_000)
    fs = MemoryFS()
    before = Baseline(fs)
    for number in range(1000):
        fs.put(f"{'d' * 200}/{number:03}", b"")
    changes = Changes(before, fs)
    assert len(changes) + changes.omitted == 1000
    assert 0 < sum(map(sys.getsizeof, changes)) <= 100_000


def test_listings_that_are_kept_are_bounded() -> None:
    fs = MemoryFS({f"{number:04}{'n' * 200}": b"" for number in range(2000)})
    raw = Raw(ModuleConfig().with_mount("/", fs))
    start, fds = raw._free, []
    table: FdTable = raw.state.handlers.table
    for _ in range(60):
        raw._free = start
        assert raw.call("path_open", 3, 0, *raw.text("."), 2, READING, 0, 0, 0x80) == 0
        fds.append(raw.get(0x80))
        assert raw.call("fd_readdir", fds[-1], 0x1000, 0x400, 0, 0x80) == 0
    kept = [one.listing for one in table.open.values() if isinstance(one, Directory) and one.listing]
    assert 0 < sum(len(entries) for entries, _ in kept) <= _LISTINGS
    assert len(kept) < 60
    for fd in fds:  # each goes on where it was
        assert raw.call("fd_readdir", fd, 0x1000, 0x400, 1000, 0x80) == 0
        assert raw.get(0x1000) == 1001


def test_paths_in_the_statistics_are_bounded() -> None:
    stats = Stats()
    counted = CountedHandlers(SimpleNamespace(path_create_directory=lambda *_: None), stats)
    for number in range(3000):
        counted.path_create_directory(3, f"{'n' * 200}/" * 19 + str(number))
    assert sum(map(sys.getsizeof, stats.paths)) <= 4 << 20
    assert len(stats.paths) + stats.paths_omitted == 3000
    assert stats.paths_omitted > 1000


def test_modules_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_KEPT_BYTES", 64_000)
    monkeypatch.setattr(modules, "_memory", modules._ModuleMemory())
    for number in range(10):
        data = f'(data (i32.const {number}) "{"x" * 10_000}")'
        run(f'(module (memory (export "memory") 1) {data} (func (export "_start")))')
    sizes = [one.size for one in modules._memory.modules.values()]
    assert len(sizes) == 6
    assert sum(sizes) <= 64_000
    monkeypatch.setattr(modules, "_KEPT_BYTES", 10)
    run('(module (memory (export "memory") 1) (func (export "_start")))')
    assert len(modules._memory.modules) == 1
