"""fsspec file systems as mounts: in memory, of the host, and one that lists anything."""

from __future__ import annotations

import errno
import io
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]  # it has no types
import pytest
from fsspec.implementations.dirfs import DirFileSystem  # type: ignore[import-untyped]  # the same

import wasihost
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig
from wasihost.vfs.fsspec_tree import FsspecDirectory

READ = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 14 | 1 << 21
CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))


def mounted(source: Any) -> Raw:
    return Raw(ModuleConfig().with_mount("/", source))


def try_open(raw: Raw, path: str, oflags: int = 0, rights: int = READ) -> int:
    return raw.call("path_open", 3, 1, *raw.text(path), oflags, rights, rights, 0, 0x80)


def listing(raw: Raw, fd: int = 3) -> dict[bytes, int]:
    return {name: kind for _, _, kind, name in raw.readdir(fd)[0]}


@pytest.fixture
def memory() -> Iterator[Any]:
    """A folder of fsspec's memory file system, which is one for all of the process."""
    store = fsspec.filesystem("memory")
    prefix = f"/{uuid.uuid4()}"
    store.pipe({f"{prefix}/a.txt": b"0123456789", f"{prefix}/d/b.txt": "ünï".encode()})
    store.mkdir(f"{prefix}/empty")
    yield DirFileSystem(prefix, store)
    store.rm(prefix, recursive=True)


@pytest.fixture
def local(tmp_path: Path) -> Any:
    """A folder of the host, with links in it."""
    base = tmp_path / "base"
    (base / "d").mkdir(parents=True)
    (base / "a.txt").write_bytes(b"0123456789")
    (base / "d" / "b.txt").write_text("ünï")
    (base / "empty").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    return DirFileSystem(str(base), fsspec.filesystem("file"))


@pytest.fixture(params=["memory", "local"])
def raw(request: pytest.FixtureRequest) -> Iterator[Raw]:
    """One and the same tree in both."""
    with mounted(request.getfixturevalue(request.param)) as made:
        yield made


def test_listing(raw: Raw) -> None:
    assert listing(raw) == {b".": 3, b"..": 3, b"a.txt": 4, b"d": 3, b"empty": 3}
    below = raw.open("d", oflags=DIRECTORY, rights=READ)
    assert listing(raw, below) == {b".": 3, b"..": 3, b"b.txt": 4}
    assert listing(raw, raw.open("empty", oflags=DIRECTORY, rights=READ)) == {b".": 3, b"..": 3}


def test_reading_and_seeking(raw: Raw) -> None:
    fd = raw.open("a.txt", rights=READ)
    assert raw.read(fd, 4) == b"0123"
    assert raw.call("fd_pread", fd, *raw.iovecs((0x100, 2), (0x110, 9)), 7, 0x80) == 0
    assert (raw.get(0x80), bytes(raw.memory[0x100:0x102]), bytes(raw.memory[0x110:0x112])) == (3, b"78", b"9?")
    for offset, whence, place, rest in ((2, 0, 2, b"23"), (-3, 2, 7, b"78"), (-1, 1, 8, b"89"), (50, 0, 50, b"")):
        assert raw.call("fd_seek", fd, offset, whence, 0x80) == 0
        assert raw.get(0x80, 8) == place
        assert raw.read(fd, 2) == rest
    other = raw.open("a.txt", rights=READ)
    assert raw.read(other, 99) == b"0123456789"
    assert raw.read(raw.open("d/b.txt", rights=READ), 99).decode() == "ünï"


def test_attributes(raw: Raw) -> None:
    fd = raw.open("d/../a.txt", rights=READ)
    stat = raw.filestat("fd_filestat_get", fd)
    assert stat == raw.filestat("path_filestat_get", 3, 1, *raw.text("a.txt"))
    assert (stat["size"], stat["filetype"], stat["nlink"]) == (10, 4, 1)
    assert abs(stat["mtim"] / 1e9 - time.time()) < 3600
    assert raw.filestat("path_filestat_get", 3, 1, *raw.text("d"))["filetype"] == 3


@pytest.mark.parametrize(
    ("path", "code"),
    [("none", Errno.NOENT), ("", Errno.NOENT), ("a.txt/", Errno.NOTDIR), ("a.txt/x", Errno.NOTDIR),
     ("../secret", Errno.PERM), ("d/../../secret", Errno.PERM), ("/etc/passwd", Errno.PERM), ("a\0b", Errno.INVAL),
     ("none/../a.txt", Errno.NOENT)],
)  # fmt: skip
def test_paths_keep_the_rules(raw: Raw, path: str, code: Errno) -> None:
    assert try_open(raw, path) == code
    assert raw.call("path_filestat_get", 3, 1, *raw.text(path), 0x80) == code


def test_an_fsspec_tree_is_read_only(raw: Raw) -> None:
    assert try_open(raw, "new", CREAT) == Errno.ROFS
    assert try_open(raw, "a.txt", TRUNC) == Errno.ROFS
    assert try_open(raw, "a.txt", rights=1 << 6) == Errno.ROFS
    assert raw.call("path_create_directory", 3, *raw.text("new")) == Errno.ROFS
    assert raw.call("path_unlink_file", 3, *raw.text("a.txt")) == Errno.ROFS
    assert raw.call("path_rename", 3, *raw.text("a.txt"), 3, *raw.text("b")) == Errno.ROFS
    assert raw.call("fd_write", raw.open("a.txt", rights=READ), *raw.data(b"x"), 0x80) == Errno.BADF


def test_a_real_guest_reads_it(memory: Any, local: Any) -> None:
    config = ModuleConfig().with_mount("/m", memory).with_mount("/l", local)
    args = ["read", "/m/d/b.txt", "/l/d/b.txt", "/l/../secret"]
    done = wasihost.run(build_c("files"), config, args=args, capture_output=True)
    assert done.stdout is not None
    assert done.stdout.decode().splitlines()[:2] == ["/m/d/b.txt: ünï", "/l/d/b.txt: ünï"]
    assert b"secret\n" not in done.stdout


def test_links_of_the_host_are_not_followed(local: Any, tmp_path: Path) -> None:
    base = tmp_path / "base"
    for name, target in (("out", "../secret"), ("up", ".."), ("rooted", str(tmp_path)), ("inside", "a.txt")):
        os.symlink(target, base / name)
    os.mkfifo(base / "fifo")
    with mounted(local) as raw:
        for path in ("out", "up", "up/secret", "rooted", "rooted/secret", "inside", "fifo"):
            assert try_open(raw, path) == Errno.PERM, path
            assert raw.call("path_filestat_get", 3, 1, *raw.text(path), 0x80) == Errno.PERM, path
        assert raw.call("path_readlink", 3, *raw.text("rooted"), 0x100, 99, 0x80) == Errno.PERM
        assert raw.filestat("path_filestat_get", 3, 0, *raw.text("out"))["filetype"] == 7
        assert {name for name, kind in listing(raw).items() if kind == 7} == {
            b"out", b"up", b"rooted", b"inside", b"fifo"
        }  # fmt: skip
        assert raw.read(raw.open("a.txt", rights=READ), 99) == b"0123456789"


def test_a_handle_is_closed_with_the_descriptor(memory: Any) -> None:
    class Counting(DirFileSystem):  # type: ignore[misc]  # fsspec has no types
        handles: list[Any] = []  # noqa: RUF012  (fsspec keeps instances, and makes them by itself)

        def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
            self.handles.append(handle := io.BytesIO(super().open(path, *args, **kwargs).read()))
            return handle

    fs = Counting(memory.path, memory.fs)
    with mounted(fs) as raw:
        raw.filestat("path_filestat_get", 3, 1, *raw.text("a.txt"))
        assert fs.handles == []  # a stat opens nothing
        fd = raw.open("a.txt", rights=READ)
        raw.open("a.txt", rights=READ)
        assert raw.call("fd_close", fd) == 0
        assert [handle.closed for handle in fs.handles] == [True, False]
    assert [handle.closed for handle in fs.handles] == [True, True]


class Liar:
    """A file system that lists names which are no names, and counts what it is asked."""

    protocol = "liar"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ls(self, path: str, detail: bool = True) -> list[dict[str, object]]:
        self.asked.append(path)
        if path == "bucket/gone/":
            raise PermissionError(errno.EACCES, "not for you", path)
        names = ["bucket", "bucket/", "bucket/..", "bucket/.", "bucket/a\0b", "bucket/good", "/", ""]
        listed: list[dict[str, object]] = [{"name": name, "type": "file", "size": None} for name in names]
        return [*listed, {"name": "bucket/gone/", "type": "directory", "size": 0}]

    def info(self, path: str) -> dict[str, object]:
        self.asked.append(path)
        return {"size": 4, "mtime": 1.5}

    def open(self, path: str, mode: str = "rb") -> io.BytesIO:
        return io.BytesIO(b"good")


def test_only_names_get_into_a_listing() -> None:
    liar = Liar()
    with mounted(FsspecDirectory(liar, "bucket")) as raw:
        assert list(listing(raw)) == [b".", b"..", b"good", b"gone"]
        for path in ("good", "good"):
            stat = raw.filestat("path_filestat_get", 3, 1, *raw.text(path))
            assert (stat["size"], stat["mtim"]) == (4, 1_500_000_000)
        assert liar.asked == ["bucket", "bucket/good"]  # each once
        assert raw.read(raw.open("good", rights=READ), 9) == b"good"
        assert try_open(raw, "gone/x") == Errno.ACCES
        fd = raw.open("gone", oflags=DIRECTORY, rights=READ)
        assert raw.call("fd_readdir", fd, 0x100, 99, 0, 0x80) == Errno.ACCES
