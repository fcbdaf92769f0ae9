"""Random operations on a host folder and on a MemoryFS: the same answers, the same errnos, the same trees.

The host's file system is the oracle: whatever Linux answers beneath a directory, a virtual tree answers too.
"""

from __future__ import annotations

import os
import random
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.raw import Raw
from wasihost import Errno, MemoryFS, ModuleConfig
from wasihost.vfs import memory_file, sparse
from wasihost.vfs.nodes import Directory, File, Link, Node

NAMES = ["a", "b", "ab", "A"]
STEPS = 3000
CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
READ, WRITE = 1 << 1, 1 << 6
APPEND = 1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the oracle is Linux' own file system")


class Pair:
    """Two guests side by side, one over a host folder, one over memory, and what each has open."""

    def __init__(self, folder: Path, furthest: int, limit: int | None) -> None:
        self.folder = folder
        self.furthest = furthest
        self.limit = limit
        self.fs = MemoryFS(max_file_size=limit)
        self.host = Raw(ModuleConfig().with_host_directory_preopen("/", folder))
        self.memory = Raw(ModuleConfig().with_mount("/", self.fs))
        self.directories = [3]
        self.files: list[int] = []

    def call(self, raw: Raw, name: str, *args: int) -> int:
        """One of the two; the host has a limit of its own for the size of a file, which has to mean the same."""
        if self.limit is None or raw is not self.host:
            return raw.call(name, *args)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, before[1]))
        try:
            return raw.call(name, *args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def both(self, name: str, *args: object, result: int = 0) -> tuple[int, bytes]:
        """The same call on both: errno and result memory, found equal. Texts and buffers are placed in each memory."""
        answers = []
        for raw in (self.host, self.memory):
            raw._free = 0x8000
            flat: list[int] = []
            for arg in args:
                flat += raw.text(arg) if isinstance(arg, (str, bytes)) else [arg]  # type: ignore[list-item]  # ints only
            at = raw.new(result)
            code = self.call(raw, name, *flat, *([at] if result else []))
            answers.append((Errno(code), bytes(raw.memory[at : at + result]) if not code else b""))
        assert answers[0] == answers[1], (name, args)
        return answers[0]


def random_path(rng: random.Random) -> str:
    tokens = rng.choices([*NAMES, ".", "..", ""], [8, 8, 4, 2, 1, 2, 1], k=rng.choice([1, 1, 1, 2, 2, 3, 4]))
    return "/".join(tokens) + rng.choice(["", "", "", "", "", "", "/", "//", "/."])


def open_something(rng: random.Random, pair: Pair, fd: int, path: str) -> None:
    oflags = rng.choice([0, 0, CREAT, CREAT, CREAT | EXCL, TRUNC, CREAT | TRUNC, DIRECTORY, DIRECTORY | CREAT])
    rights = rng.choice([READ, READ | WRITE, WRITE, (1 << 30) - 1])
    flags = rng.choice([0, 0, 0, APPEND])
    code, fd_bytes = pair.both(
        "path_open", fd, rng.randrange(2), path, oflags, rights, (1 << 30) - 1, flags, result=4
    )  # fmt: skip
    if code:
        return
    opened = int.from_bytes(fd_bytes, "little")
    kind = pair.host.fdstat(opened)["fs_filetype"]
    assert kind == pair.memory.fdstat(opened)["fs_filetype"]
    held = pair.directories if kind == 3 else pair.files
    held.append(opened)
    if len(held) > 6:
        pair.both("fd_close", held.pop(rng.randrange(1, len(held))))


def use_file(rng: random.Random, pair: Pair) -> None:
    if not pair.files:
        return
    fd = rng.choice(pair.files)
    data = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
    match rng.choice(["write", "pwrite", "read", "pread", "seek", "size", "stat", "allocate", "close"]):
        case "write" | "pwrite" | "read" | "pread" as how:
            answers = []
            offset = rng.choice([0, 3, 50, rng.randrange(pair.furthest)])
            for raw in (pair.host, pair.memory):
                raw._free = 0x8000
                result = raw.new(4)
                if how == "write":
                    code = pair.call(raw, "fd_write", fd, *raw.data(data, data[:3]), result)
                elif how == "pwrite":
                    code = pair.call(raw, "fd_pwrite", fd, *raw.data(data), offset, result)
                elif how == "pread":
                    buffer = raw.new(64)
                    code = raw.call("fd_pread", fd, *raw.iovecs((buffer, 40), (buffer + 40, 24)), offset, result)
                    data = bytes(raw.memory[buffer : buffer + raw.get(result)]) if not code else b""
                else:
                    buffer = raw.new(64)
                    code = raw.call("fd_read", fd, *raw.iovecs((buffer, 40), (buffer + 40, 24)), result)
                    data = bytes(raw.memory[buffer : buffer + raw.get(result)]) if not code else b""
                answers.append((code, raw.get(result), data if how in ("read", "pread") else b""))
            assert answers[0] == answers[1], how
        case "seek":
            pair.both(
                "fd_seek",
                fd,
                rng.choice([rng.randrange(-20, 60), rng.randrange(pair.furthest)]),
                rng.randrange(3),
                result=8,
            )
        case "size":
            pair.both("fd_filestat_set_size", fd, rng.randrange(pair.furthest))
        case "allocate":
            pair.both("fd_allocate", fd, rng.randrange(pair.furthest // 2), rng.randrange(pair.furthest // 4))
        case "stat":
            assert attributes(pair.host, "fd_filestat_get", fd) == attributes(pair.memory, "fd_filestat_get", fd)
        case "close":
            pair.both("fd_close", fd)
            pair.files.remove(fd)


def attributes(raw: Raw, name: str, *args: int) -> object:
    """What a stat must have in common."""
    at = raw.new(64)
    code = raw.call(name, *args, at)
    if code:
        return Errno(code)
    found = raw.filestat(name, *args)
    return found["filetype"], found["nlink"] if found["filetype"] != 3 else 0, found["size"] * (found["filetype"] != 3)


def step(rng: random.Random, pair: Pair) -> None:
    fd, other = rng.choice(pair.directories), rng.choice(pair.directories)
    path, second = random_path(rng), random_path(rng)
    actions: dict[str, Callable[[], object]] = {
        "open": lambda: open_something(rng, pair, fd, path),
        "file": lambda: use_file(rng, pair),
        "mkdir": lambda: pair.both("path_create_directory", fd, path),
        "symlink": lambda: pair.both("path_symlink", second, fd, path),
        "rename": lambda: pair.both("path_rename", fd, path, other, second),
        "link": lambda: pair.both("path_link", fd, rng.randrange(2), path, other, second),
        "rmdir": lambda: pair.both("path_remove_directory", fd, path),
        "unlink": lambda: pair.both("path_unlink_file", fd, path),
        "times": lambda: pair.both("path_filestat_set_times", fd, rng.randrange(2), path, 5, rng.randrange(10**18), 5),
        "readlink": lambda: pair.both("path_readlink", fd, path, b"?" * 20, result=4),
        "stat": lambda: same_stat(rng, pair, fd, path),
        "list": lambda: same_listing(pair, fd),
    }
    actions[rng.choices(list(actions), [6, 6, 5, 3, 3, 2, 1, 1, 1, 1, 2, 1])[0]]()


def restock(rng: random.Random, pair: Pair) -> None:
    """Something to work on, made by both guests, so that the trees do not wear out."""
    for _ in range(20):
        place = "/".join(rng.choices(NAMES, k=rng.randrange(1, 5)))
        pair.both("path_create_directory", 3, place)
        pair.both("path_symlink", random_path(rng), 3, f"{place}/{rng.choice(NAMES)}")


def same_stat(rng: random.Random, pair: Pair, fd: int, path: str) -> None:
    follow, found = rng.randrange(2), []
    for raw in (pair.host, pair.memory):
        raw._free = 0x8000
        found.append(attributes(raw, "path_filestat_get", fd, follow, *raw.text(path)))
    assert found[0] == found[1], path


def same_listing(pair: Pair, fd: int) -> None:
    names = []
    for raw in (pair.host, pair.memory):
        raw._free = 0x8000
        if (code := raw.call("fd_readdir", fd, 0x100, 0, 0, 0x80)) != 0:
            names.append([(bytes([code]), -1)])
            continue
        entries, cut = raw.readdir(fd)
        assert not cut
        names.append(sorted((name, kind) for _, _, kind, name in entries))
    assert names[0] == names[1]


def host_tree(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            key = os.path.relpath(path, root)
            if stat.S_ISLNK(st.st_mode):
                found[key] = os.readlink(path)
            elif stat.S_ISDIR(st.st_mode):
                found[key] = None
            else:
                found[key] = (Path(path).read_bytes(), st.st_nlink)
    return found


def memory_tree(top: Directory, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, node in top.entries():
        if isinstance(node, Directory):
            found[prefix + name] = None
            found |= memory_tree(node, f"{prefix}{name}/")
        elif isinstance(node, Link):
            found[prefix + name] = node.target()
        elif isinstance(node, File):
            found[prefix + name] = (node.read(0, 1 << 20), node.stat().links)
    return found


def all_nodes(top: Directory) -> Iterator[Node]:
    for _, node in top.entries():
        yield node
        if isinstance(node, Directory):
            yield from all_nodes(node)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("furthest", "limit", "page"),
    [(200, None, None), (200, None, 16), (300, 150, 16), (300_000, 250_000, None)],
    ids=["small", "paged", "limited", "holes"],
)
def test_the_same_answers_and_the_same_tree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, furthest: int, limit: int | None, page: int | None
) -> None:
    """Also with pages so small that every file has some, with holes, and with files that grow against their limit."""
    if page is not None:
        for module in (sparse, memory_file):
            monkeypatch.setattr(module, "PAGE", page)
            monkeypatch.setattr(module, "WHOLE", 4 * page)
    rng = random.Random(seed)
    folder = tmp_path / "base"
    folder.mkdir()
    pair = Pair(folder, furthest, limit)
    richest, sparse_files = 0, 0
    with pair.host, pair.memory:
        for number in range(STEPS):
            step(rng, pair)
            if number % 100 == 0:
                restock(rng, pair)
            if number % 20 == 0:
                tree = host_tree(folder)
                assert tree == memory_tree(pair.fs.root), number
                richest = max(richest, len(tree))
                sparse_files += sum(isinstance(node.data, sparse.Sparse) for _, node in pair.fs.nodes())
    assert richest > 20, "the trees are too bare for the comparison to mean anything"
    assert bool(sparse_files) is (furthest > 200 or page is not None), "what is compared is not what is meant"
    # Nothing is held that no name leads to, and what two names lead to is held once.
    held = {node.inode: node.stat().size for node in all_nodes(pair.fs.root) if not isinstance(node, Directory)}
    assert pair.fs.quota.bytes == sum(held.values())
    assert pair.fs.quota.entries == len(memory_tree(pair.fs.root))
