"""One `MemoryFS` under many writes, and under guests in several threads."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig
from wasihost.vfs import Directory, Lazy, MemoryFS, Node
from wasihost.vfs.memory_file import MemoryFile

CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
APPEND = 1
THREADS = 4


# -- appending ---------------------------------------------------------------------------------------------------------


def append_by_call(fs: MemoryFS) -> Callable[[bytes], object]:
    raw = Raw(ModuleConfig().with_mount("/", fs))
    fd, start = raw.open("log", flags=APPEND), raw._free

    def append(data: bytes) -> None:
        raw._free = start
        assert raw.write(fd, data) == len(data)

    return append


def append_by_node(fs: MemoryFS) -> Callable[[bytes], object]:
    node = fs.root.lookup("log")
    assert isinstance(node, MemoryFile)
    return lambda data: node.appendfrom(memoryview(data))


def write_at_the_end(fs: MemoryFS) -> Callable[[bytes], object]:
    node = fs.root.lookup("log")
    assert isinstance(node, MemoryFile)
    return lambda data: node.write(node.size(), data)


@pytest.mark.parametrize("way", [append_by_call, append_by_node, write_at_the_end])
def test_appending_moves_the_content_rarely(way: Callable[[MemoryFS], Callable[[bytes], object]]) -> None:
    fs = MemoryFS({"log": b""})
    append = way(fs)
    node = fs.root.lookup("log")
    assert isinstance(node, MemoryFile)
    sizes = Counter[int]()
    begun = time.perf_counter()
    for number in range(20_000):
        append(b"%099d\n" % number)
        sizes[sys.getsizeof(node.data)] += 1
    assert time.perf_counter() - begun < 10
    assert len(sizes) < 200, "each size is a time that the content was moved"
    assert fs["log"] == b"".join(b"%099d\n" % number for number in range(20_000))


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Threads take turns as often as Python can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(work: Callable[[int], None]) -> None:
    """Run `work` in `THREADS` threads, begun together; what one raises is raised."""
    begin = threading.Barrier(THREADS)
    raised: list[BaseException] = []

    def body(number: int) -> None:
        try:
            begin.wait()
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in raised:
        raise error


def held(fs: MemoryFS) -> tuple[int, int]:
    """Bytes and names, counted anew."""
    nodes: dict[Node, int] = {}
    names = 0
    todo: list[Directory] = [fs.root]
    for directory in todo:
        for _, node in directory.entries():
            names += 1
            nodes[node] = 0 if isinstance(node, Directory) else node.stat().size
            if isinstance(node, Directory):
                todo.append(node)
    return sum(nodes.values()), names


def test_appends_of_all_are_all_there() -> None:
    fs = MemoryFS({"log": b""})

    def work(number: int) -> None:
        with Raw(ModuleConfig().with_mount("/", fs)) as raw:
            fd, start = raw.open("log", flags=APPEND), raw._free
            for line in range(500):
                raw._free = start
                assert raw.write(fd, b"%d %d" % (number, line), b" in two pieces\n") > 14

    at_once(work)
    lines = fs["log"].splitlines()
    assert sorted(lines) == sorted(
        b"%d %d in two pieces" % (number, line) for number in range(THREADS) for line in range(500)
    )
    for number in range(THREADS):
        own = [line for line in lines if line.startswith(b"%d " % number)]
        assert own == [b"%d %d in two pieces" % (number, line) for line in range(500)]
    assert fs.quota.bytes == len(fs["log"])


def test_a_file_is_moved_by_one_only_and_never_lost() -> None:
    fs = MemoryFS({"0/token": b"the only one"})
    for number in range(1, THREADS):
        fs.mkdir(str(number))
    moved = Counter[int]()

    def work(number: int) -> None:
        with Raw(ModuleConfig().with_mount("/", fs)) as raw:
            for _ in range(400):
                for source in range(THREADS):
                    raw._free = 0x8000
                    code = raw.call("path_rename", 3, *raw.text(f"{source}/token"), 3, *raw.text(f"{number}/token"))
                    assert code in (0, Errno.NOENT)
                    moved[number] += code == 0

    at_once(work)
    assert [path.partition("/")[2] for path in fs] == ["token"]
    assert list(fs.values()) == [b"the only one"]
    assert sum(moved.values()) >= 400
    assert held(fs) == (fs.quota.bytes, fs.quota.entries)


def test_creating_the_same_files_at_once() -> None:
    """Without EXCL every open succeeds; with it exactly one does."""
    fs = MemoryFS()
    firsts = Counter[str]()

    def work(number: int) -> None:
        with Raw(ModuleConfig().with_mount("/", fs)) as raw:
            for turn in range(300):
                raw._free = 0x8000
                fd = raw.open(f"shared{turn}", oflags=CREAT, flags=APPEND)
                raw.write(fd, b"%d" % number)
                raw.call("fd_close", fd)
                path = f"single{turn}"
                code = raw.call("path_open", 3, 1, *raw.text(path), CREAT | EXCL, 2, 0, 0, 0x80)
                assert code in (0, Errno.EXIST)
                if code == 0:
                    firsts[path] += 1
                    raw.call("fd_close", raw.get(0x80))

    at_once(work)
    assert set(firsts.values()) == {1}
    assert len(firsts) == 300
    assert all(sorted(fs[f"shared{turn}"]) == sorted(b"0123") for turn in range(300))
    assert held(fs) == (fs.quota.bytes, fs.quota.entries) == (1200, 600)


def test_allocating_cuts_nothing_that_another_appends() -> None:
    fs = MemoryFS({"log": b""})

    def work(number: int) -> None:
        with Raw(ModuleConfig().with_mount("/", fs)) as raw:
            fd = raw.open("log", flags=APPEND)
            for turn in range(300):
                raw._free = 0x8000
                if number:
                    raw.write(fd, b"x")
                else:
                    assert raw.call("fd_allocate", fd, turn, 3) == 0

    at_once(work)
    assert fs["log"].count(b"x") == 300 * (THREADS - 1)


def test_whatever_they_do_the_counts_are_right() -> None:
    fs = MemoryFS({f"{name}/f": b"12345" for name in "abc"}, max_bytes=2000, max_entries=60)
    allowed = {0, Errno.NOENT, Errno.EXIST, Errno.NOTEMPTY, Errno.NOSPC, Errno.INVAL, Errno.ISDIR, Errno.NOTDIR,
               Errno.PERM, Errno.LOOP}  # fmt: skip

    def work(number: int) -> None:
        rng = random.Random(number)
        with Raw(ModuleConfig().with_mount("/", fs)) as raw:
            for _ in range(1500):
                raw._free = 0x8000
                path, other = ("/".join(rng.choices("abcf", k=rng.randrange(1, 4))) for _ in range(2))
                match rng.randrange(7):
                    case 0:
                        code = raw.call("path_create_directory", 3, *raw.text(path))
                    case 1:
                        code = raw.call("path_unlink_file", 3, *raw.text(path))
                    case 2:
                        code = raw.call("path_remove_directory", 3, *raw.text(path))
                    case 3:
                        code = raw.call("path_rename", 3, *raw.text(path), 3, *raw.text(other))
                    case 4:
                        code = raw.call("path_link", 3, 0, *raw.text(path), 3, *raw.text(other))
                    case 5:
                        code = raw.call("path_symlink", *raw.text(other), 3, *raw.text(path))
                    case _:
                        flags = rng.choice([CREAT, CREAT | TRUNC])
                        code = raw.call("path_open", 3, 1, *raw.text(path), flags, (1 << 30) - 1, 0, 0, 0x80)
                        if not code:
                            fd = raw.get(0x80)
                            size = rng.randrange(200)
                            code = raw.call("fd_pwrite", fd, *raw.data(bytes(size)), rng.randrange(50), raw.new(4))
                            raw.call("fd_filestat_set_size", fd, rng.randrange(300))
                            raw.call("fd_close", fd)
                assert code in allowed, Errno(code)

    at_once(work)
    assert held(fs) == (fs.quota.bytes, fs.quota.entries)
    assert fs.quota.bytes <= 2000
    assert fs.quota.entries <= 60


def test_lazy_content_is_loaded_once() -> None:
    asked: list[str] = []

    def load(path: str) -> bytes:
        asked.append(path)
        time.sleep(0)
        return b"1234"

    def lazy(path: str) -> Lazy:
        return Lazy(4, lambda: load(path))

    fs = MemoryFS()
    for number in range(100):
        fs.put(str(number), lazy(str(number)))

    def work(number: int) -> None:
        assert set(fs.values()) == {b"1234"}, number

    at_once(work)
    assert sorted(asked) == sorted(fs)


def test_a_file_that_is_replaced_is_always_there_and_whole() -> None:
    """Write another, rename it over: how programs replace a file that others read."""
    versions = [b"%d" % number * 50 for number in range(10)]
    fs = MemoryFS({"config": versions[0]})

    def work(number: int) -> None:
        with Raw(ModuleConfig().with_mount("/", fs)) as raw:
            for turn in range(2000):
                raw._free = 0x8000
                if number == 0:
                    fs["new"] = versions[turn % 10]
                    assert raw.call("path_rename", 3, *raw.text("new"), 3, *raw.text("config")) == 0
                else:
                    fd = raw.open("config")
                    assert raw.read(fd, 99) in versions
                    assert raw.call("fd_close", fd) == 0
                    assert fs["config"] in versions

    at_once(work)
    assert held(fs) == (fs.quota.bytes, fs.quota.entries) == (50, 1)
