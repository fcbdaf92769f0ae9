"""`wasihost.testing`: what embedders test their guests with."""

from __future__ import annotations

import errno
import pickle
import time
from collections.abc import Iterator

import pytest

import wasihost
from tests.support.guests import build_c
from tests.support.raw import Raw, clock, readable
from wasihost import Errno, ModuleConfig
from wasihost.testing import NEW_YEAR_2026, FakeClock, FaultyFS, MemoryFS, Operation, random_bytes

SECOND = 10**9
CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
APPEND = 1


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_guest_s_hour_takes_no_time() -> None:
    fake, begun = FakeClock(), time.monotonic()
    config = fake.configure(ModuleConfig())
    done = wasihost.run(build_c("files"), config, args=["sleep", "3600", "7200"], capture_output=True)
    assert time.monotonic() - begun < 60
    start = NEW_YEAR_2026 // SECOND
    assert done.stdout == (
        b"slept 3600 s, the time is %d\nslept 7200 s, the time is %d\n" % (start + 3600, start + 3 * 3600)
    )
    assert fake.sleeps == [3600 * SECOND, 7200 * SECOND]
    assert fake.nanotime() == 3 * 3600 * SECOND


def test_the_clock_stands_still_ticks_and_is_moved() -> None:
    fake = FakeClock(start_ns=1000)
    assert [fake.walltime(), fake.walltime(), fake.nanotime()] == [1000, 1000, 0]
    fake.advance(5)
    assert (fake.walltime(), fake.nanotime(), fake.sleeps) == (1005, 5, [])
    ticking = FakeClock(start_ns=1000, tick_ns=2)
    assert [ticking.walltime(), ticking.walltime(), ticking.nanotime()] == [1000, 1002, 4]


def test_the_config_s_clocks_are_the_fake() -> None:
    fake = FakeClock(start_ns=7)
    config = fake.configure(ModuleConfig().with_args("kept"))
    assert config.args == (b"kept",)
    with Raw(config) as raw:
        fake.advance(1)
        times = []
        for which in (0, 1):
            assert raw.call("clock_time_get", which, 1, 0x80) == 0
            times.append(raw.get(0x80, 8))
        assert times == [8, 1]


@pytest.mark.parametrize("absolute", [False, True])
def test_waiting_for_several_things_jumps_too(absolute: bool) -> None:
    fake = FakeClock()
    fake.advance(SECOND)
    start = SECOND if absolute else 0
    with Raw(fake.configure(ModuleConfig())) as raw:
        timers = [clock(n, 1, start + n * 3600 * SECOND, absolute=absolute) for n in (5, 2, 3)]
        events = raw.poll(*timers)
        assert [event[0] for event in events] == [2]
        assert raw.poll(clock(9, 1, start + 3600 * SECOND, absolute=absolute), readable(1, 0))[0][0] == 1
    assert fake.sleeps == [2 * 3600 * SECOND]  # the second found its input ready


def test_files_have_its_time() -> None:
    fake = FakeClock()
    fs = MemoryFS(clock=fake.walltime)
    with Raw(fake.configure(ModuleConfig()).with_mount("/", fs)) as raw:
        raw.open("early", oflags=CREAT)
        raw.poll(clock(1, 0, 60 * SECOND))
        raw.open("late", oflags=CREAT)
    assert fs.stat("late").mtime_ns - fs.stat("early").mtime_ns == 60 * SECOND
    assert fs.stat("early").mtime_ns == NEW_YEAR_2026


# -- randomness --------------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_bytes_in_pieces_of_any_size() -> None:
    whole = random_bytes(1).read(20_000)
    pieces = random_bytes(1)
    assert b"".join(pieces.read(size) for size in (0, 1, 2, 3, 4090, 1, 4097, 8000, 3806)) == whole
    assert random_bytes(2).read(20_000) != whole
    assert len(set(whole)) == 256
    assert pieces.read(0) == b""


def test_a_guest_s_randomness_repeats() -> None:
    seen = []
    for _ in range(2):
        with Raw(ModuleConfig().with_rand_source(random_bytes(7))) as raw:
            assert raw.call("random_get", 0x100, 300) == 0
            seen.append(bytes(raw.memory[0x100 : 0x100 + 300]))
    assert seen[0] == seen[1] == random_bytes(7).read(300)


def test_a_config_with_these_pickles() -> None:
    fake = FakeClock()
    fs = MemoryFS({"f": b""}, clock=fake.walltime)
    config = fake.configure(ModuleConfig()).with_rand_source(random_bytes(3)).with_mount("/", fs)
    loaded: ModuleConfig = pickle.loads(pickle.dumps(config))
    with Raw(loaded) as raw:
        raw.poll(clock(1, 0, 60 * SECOND))
        raw.write(raw.open("f"), b"x")
        assert raw.filestat("path_filestat_get", 3, 0, *raw.text("f"))["mtim"] == NEW_YEAR_2026 + 60 * SECOND
    assert fake.sleeps == []


# -- failing files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def inner() -> MemoryFS:
    fs = MemoryFS({"f": b"0123456789", "d/g": b"gee"})
    fs.symlink("f", "l")
    return fs


@pytest.fixture
def fs(inner: MemoryFS) -> FaultyFS:
    return FaultyFS(inner)


@pytest.fixture
def raw(fs: FaultyFS) -> Iterator[Raw]:
    with Raw(ModuleConfig().with_mount("/", fs)) as made:
        yield made


def test_faulty_fs_passes_other_operations_through(inner: MemoryFS, raw: Raw) -> None:
    fd = raw.open("d/new", oflags=CREAT)
    assert raw.write(fd, b"one ", b"two") == 7
    assert raw.call("fd_filestat_set_size", fd, 5) == 0
    assert raw.write(raw.open("d/new", flags=APPEND), b"!") == 1
    assert raw.call("path_rename", 3, *raw.text("d/new"), 3, *raw.text("f")) == 0
    assert raw.call("path_link", 3, 0, *raw.text("f"), 3, *raw.text("d/h")) == 0
    assert raw.call("path_create_directory", 3, *raw.text("e")) == 0
    assert raw.call("path_symlink", *raw.text("d/h"), 3, *raw.text("e/m")) == 0
    assert raw.read(raw.open("e/../l"), 99) == b"one t!"
    assert raw.call("path_readlink", 3, *raw.text("e/m"), 0x100, 9, 0x80) == 0
    assert raw.call("path_unlink_file", 3, *raw.text("d/g")) == 0
    assert raw.call("path_remove_directory", 3, *raw.text("e")) == Errno.NOTEMPTY
    assert raw.call("path_rename", 3, *raw.text("d"), 3, *raw.text("d/d")) == Errno.INVAL
    assert raw.call("path_filestat_set_times", 3, 1, *raw.text("f"), 5, 6, 5) == 0
    assert (inner.stat("d/h").links, inner.stat("d/h").mtime_ns) == (2, 6)
    assert dict(inner) == {"f": b"one t!", "d/h": b"one t!"}


def test_inodes_are_those_of_what_is_wrapped(inner: MemoryFS, raw: Raw) -> None:
    below = raw.open("d", oflags=DIRECTORY)
    entries = {name: inode for _, inode, _, name in raw.readdir(below)[0]}
    directory = inner.root.lookup("d")
    assert directory is not None
    assert entries[b"."] == directory.inode
    assert entries[b".."] == inner.root.inode == raw.filestat("fd_filestat_get", 3)["ino"]
    assert entries[b"g"] == raw.filestat("fd_filestat_get", raw.open("d/g"))["ino"]


def test_failing_after_some_calls_and_for_some_times(inner: MemoryFS, fs: FaultyFS, raw: Raw) -> None:
    fd, result = raw.open("f"), raw.new(4)
    assert raw.write(fd, b"x") == 1
    fs.fail("write", errno.ENOSPC, after=2, times=2)
    fs.fail("write", errno.EIO, after=5)
    codes = [raw.call("fd_write", fd, *raw.data(b"x"), result) for _ in range(8)]
    assert codes == [0, 0, Errno.NOSPC, Errno.NOSPC, 0, Errno.IO, Errno.IO, Errno.IO]
    assert inner["f"] == b"xxxx456789"
    assert fs.calls["write"] == 9
    fs.heal()
    assert raw.write(fd, b"x") == 1


ACTIONS: dict[Operation, tuple[str, tuple[object, ...]]] = {
    "stat": ("path_filestat_get", (3, 0, "f", 0x100)),
    "set_times": ("path_filestat_set_times", (3, 0, "f", 1, 1, 5)),
    "open": ("path_open", (3, 0, "f", 0, 2, 0, 0, 0x80)),
    "close": ("fd_close", (4,)),
    "read": ("fd_read", (4, 0x200, 1, 0x80)),
    "write": ("fd_write", (4, 0x200, 1, 0x80)),
    "truncate": ("fd_filestat_set_size", (4, 3)),
    "sync": ("fd_sync", (4,)),
    "target": ("path_readlink", (3, "l", 0x100, 9, 0x80)),
    "lookup": ("path_open", (3, 0, "d/g", 0, 2, 0, 0, 0x80)),
    "entries": ("fd_readdir", (3, 0x100, 99, 0, 0x80)),
    "create_file": ("path_open", (3, 0, "new", CREAT, 2, 0, 0, 0x80)),
    "create_directory": ("path_create_directory", (3, "new")),
    "create_link": ("path_symlink", ("f", 3, "new")),
    "link": ("path_link", (3, 0, "f", 3, "new")),
    "remove": ("path_unlink_file", (3, "f")),
    "remove_directory": ("path_remove_directory", (3, "e")),
    "rename": ("path_rename", (3, "f", 3, "new")),
}


@pytest.mark.parametrize("operation", ACTIONS)
def test_every_operation_can_fail(inner: MemoryFS, fs: FaultyFS, raw: Raw, operation: Operation) -> None:
    inner.mkdir("e")
    assert raw.open("f") == 4
    raw.put(0x200, (0x300).to_bytes(4, "little") + (8).to_bytes(4, "little"))
    before = dict(inner), inner.listdir()
    name, args = ACTIONS[operation]

    def act() -> int:
        flat: list[int] = []
        for arg in args:
            flat += raw.text(arg) if isinstance(arg, str) else [arg] if isinstance(arg, int) else []
        return raw.call(name, *flat)

    fs.fail(operation, errno.ESTALE, times=1)
    assert act() == Errno.STALE
    assert (dict(inner), inner.listdir()) == before
    assert act() == (Errno.BADF if operation == "close" else 0)  # a descriptor is closed even if that fails
    assert fs.calls[operation] >= 1


def test_an_interrupted_guest_sees_eintr(fs: FaultyFS) -> None:
    fs.fail("read", errno.EINTR, times=1)
    done = wasihost.run(build_c("files"), ModuleConfig().with_mount("/", fs), args=["read", "f"], capture_output=True)
    assert done.stdout == b"f: Interrupted system call\n"


def test_a_full_disk_is_what_a_real_guest_complains_of(inner: MemoryFS, fs: FaultyFS) -> None:
    fs.fail("write", errno.ENOSPC)
    config = ModuleConfig().with_mount("/", fs)
    done = wasihost.run(build_c("echo"), config, args=["files", "/new"], capture_output=True)
    assert (done.returncode, done.stderr) == (9, b"/new: No space left on device\n")
    assert inner["new"] == b""


def test_short_writes_and_reads(inner: MemoryFS, fs: FaultyFS, raw: Raw) -> None:
    fs.shorten("write", 3)
    fs.shorten("read", 4)
    fd = raw.open("f")
    assert raw.write(fd, b"abcdefgh") == 3
    assert raw.read(fd, 99) == b"3456"
    assert raw.write(raw.open("f", flags=APPEND), b"12345") == 3
    assert inner["f"] == b"abc3456789123"
    fs.heal()
    assert raw.write(fd, b"abcdefgh") == 8


def test_a_program_that_writes_in_a_loop_copes_with_short_writes(inner: MemoryFS, fs: FaultyFS) -> None:
    fs.shorten("write", 2)
    fs.shorten("read", 3)
    done = wasihost.run(
        build_c("echo"), ModuleConfig().with_mount("/", fs), args=["files", "/new"], capture_output=True
    )
    assert (done.stdout, inner["new"]) == (b"written\n", b"written")
    assert fs.calls["write"] == 4


def test_two_trees_are_told_apart(fs: FaultyFS) -> None:
    other = FaultyFS(MemoryFS())
    with Raw(ModuleConfig().with_mount("/a", fs).with_mount("/b", other)) as raw:
        assert raw.call("path_rename", 3, *raw.text("f"), 4, *raw.text("f")) == Errno.XDEV
        assert raw.call("path_link", 3, 0, *raw.text("f"), 4, *raw.text("f")) == Errno.XDEV
        other.fail("lookup", errno.EIO)
        assert raw.read(raw.open("f"), 2) == b"01"


def test_faulty_fs_wraps_everything_that_can_be_mounted() -> None:
    faulty = FaultyFS({"f": b"from a dict"})
    with Raw(ModuleConfig().with_mount("/", faulty)) as raw:
        assert raw.read(raw.open("f"), 99) == b"from a dict"
    with pytest.raises(TypeError):
        FaultyFS(5)  # type: ignore[arg-type]  # what users get wrong
