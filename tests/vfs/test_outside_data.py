"""Data from outside never ends a run: what cannot be said is clamped or is an errno, and the log has the cause."""

from __future__ import annotations

import datetime
import errno
import io
import logging
import os
import random
import struct
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw import Raw
from wasihost import Errno, MemoryFS, ModuleConfig
from wasihost.vfs import Directory, File, Link, Node, Stat
from wasihost.vfs.mounting import VirtualSource

LAST = 2**64 - 1
YEAR_9999 = 253402300799


class Own(File):
    """A file that reports whatever it is told to."""

    def __init__(self, stat: Any = None, inode: Any = None, data: Any = b"x") -> None:
        self.told = Stat(1) if stat is None else stat
        self.data = data
        if inode is not None:
            self.inode = inode

    def stat(self) -> Stat:
        told: Stat = self.told
        return told

    def read(self, offset: int, size: int) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        data: bytes = self.data
        return data[offset : offset + size]


class OwnLink(Link):
    def __init__(self, content: Any) -> None:
        self.content = content

    def target(self) -> str:
        content: str = self.content
        return content


class Tree(Directory):
    def __init__(self, **nodes: Node) -> None:
        self.nodes: dict[Any, Node] = nodes

    def lookup(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def entries(self) -> Iterator[tuple[str, Node]]:
        yield from self.nodes.items()


def mounted(source: VirtualSource) -> Raw:
    return Raw(ModuleConfig().with_mount("/", source))


def stat(raw: Raw, path: str) -> dict[str, int] | Errno:
    raw._free = 0x8000
    at = raw.new(64)
    if code := raw.call("path_filestat_get", 3, 0, *raw.text(path), at):
        return Errno(code)
    return raw.filestat("path_filestat_get", 3, 0, *raw.text(path))


def times(raw: Raw, path: str) -> set[int]:
    found = stat(raw, path)
    assert isinstance(found, dict), found
    return {found["atim"], found["mtim"], found["ctim"]}


def names(raw: Raw) -> list[bytes]:
    return [name for _, _, _, name in raw.readdir(3, 0x4000)[0]][2:]


def content(raw: Raw, path: str) -> bytes | Errno:
    """What opening and reading answers: the bytes, or the first errno."""
    raw._free = 0x8000
    opened, buffer, result = raw.new(4), raw.new(4096), raw.new(4)
    if code := raw.call("path_open", 3, 1, *raw.text(path), 0, 1 << 1 | 1 << 21, 0, 0, opened):
        return Errno(code)
    fd = raw.get(opened)
    code = raw.call("fd_read", fd, *raw.iovecs((buffer, 4096)), result)
    data = bytes(raw.memory[buffer : buffer + raw.get(result)]) if not code else b""
    assert raw.call("fd_close", fd) == 0
    return Errno(code) if code else data


def readlink(raw: Raw, path: str) -> bytes | Errno:
    buffer, result = raw.new(100), raw.new(4)
    if code := raw.call("path_readlink", 3, *raw.text(path), buffer, 100, result):
        return Errno(code)
    return bytes(raw.memory[buffer : buffer + raw.get(result)])


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
def test_what_is_no_number_is_a_mistake_that_is_named(told: Stat, named: str) -> None:
    with mounted(Tree(a=Own(told))) as raw, pytest.raises(TypeError) as raised:
        stat(raw, "a")
    assert named in str(raised.value)


def test_an_inode_that_is_no_number_is_a_mistake() -> None:
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


def test_a_name_that_is_no_text_is_a_mistake() -> None:
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


def test_a_link_that_is_no_text_is_a_mistake() -> None:
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


# -- archives ----------------------------------------------------------------------------------------------------------


def zipped(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = compression
            archive.writestr(info, data)
    return bytearray(out.getvalue())


def patched(at_local: int, at_central: int, layout: str, value: int) -> bytearray:
    """An archive whose only entry, `f`, has another value in both of its headers."""
    data = zipped(("f", b"hello" * 100))
    for signature, at in ((b"PK\3\4", at_local), (b"PK\1\2", at_central)):
        struct.pack_into(layout, data, data.find(signature) + at, value)
    return data


def of_zip(data: bytes | bytearray) -> Raw:
    return mounted(zipfile.Path(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ((1980, 0, 0), 0), ((2020, 13, 1), 0), ((2020, 15, 31), 0), ((2020, 5, 1), 1588291200 * 10**9),
    ],
)  # fmt: skip
def test_dates_of_entries(date: tuple[int, int, int], expected: int) -> None:
    year, month, day = date
    with of_zip(patched(12, 14, "<H", (year - 1980) << 9 | month << 5 | day)) as raw:
        assert times(raw, "f") == {expected}
        assert content(raw, "f") == b"hello" * 100
        assert names(raw) == [b"f"]


def damaged(change: Callable[[bytearray], None]) -> bytearray:
    data = zipped(("f", b"hello"), ("g", b"as it was"), compression=zipfile.ZIP_STORED)
    change(data)
    return data


def flip(data: bytearray) -> None:
    data[data.find(b"hello")] ^= 1


def rename_locally(data: bytearray) -> None:
    data[30:31] = b"x"


def lose_the_header(data: bytearray) -> None:
    data[:4] = b"gone"


@pytest.mark.parametrize("change", [flip, rename_locally, lose_the_header])
def test_a_damaged_entry_is_io_and_the_rest_is_read(
    change: Callable[[bytearray], None], caplog: pytest.LogCaptureFixture
) -> None:
    with of_zip(damaged(change)) as raw:
        assert content(raw, "f") == Errno.IO
        assert "cannot read 'f': BadZipFile" in caplog.text
        assert content(raw, "g") == b"as it was"
        assert names(raw) == [b"f", b"g"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (patched(6, 8, "<H", 1), Errno.ACCES),  # encrypted
        (patched(8, 10, "<H", 97), Errno.IO),  # packed in a way that zipfile does not know
        (patched(8, 10, "<H", zipfile.ZIP_LZMA), Errno.IO),  # packed in another way than it says
        (patched(8, 10, "<H", zipfile.ZIP_BZIP2), Errno.IO),
        (patched(22, 24, "<I", 7), Errno.IO),  # longer than it says
        (patched(18, 20, "<I", 3), Errno.IO),  # cut
    ],
    ids=["encrypted", "unknown", "lzma", "bzip2", "too-long", "cut"],
)
def test_an_entry_that_cannot_be_unpacked(data: bytearray, code: Errno, caplog: pytest.LogCaptureFixture) -> None:
    with of_zip(data) as raw:
        assert content(raw, "f") == code
        assert "cannot read 'f': " in caplog.text
        assert names(raw) == [b"f"]


def test_a_size_beyond_an_off_t_is_overflow() -> None:
    path: Any = zipfile.Path(io.BytesIO(zipped(("f", b"hello"))))
    path.root.getinfo("f").file_size = 2**64 - 1  # as the 64-bit extra field of an archive can say
    with mounted(path) as raw:
        assert stat(raw, "f") == Errno.OVERFLOW


def test_a_truncated_archive() -> None:
    data = zipped(("f", bytes(range(256)) * 40), ("g", b"g"), compression=zipfile.ZIP_STORED)
    path: Any = zipfile.Path(io.BytesIO(data))
    path.root.fp = io.BytesIO(data[:5000])  # after its directory was read
    with mounted(path) as raw:
        assert content(raw, "f") == Errno.IO


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_archives(caplog: pytest.LogCaptureFixture) -> None:
    entries = [
        "/absolute", "//twice//over", "../out", "a/../../out", "./dot", "d", "d/in", "same", "same", "e/", "e/f/", "..",
    ]  # fmt: skip
    with of_zip(zipped(*((name, b"" if name[-1] == "/" else b"%d" % at) for at, name in enumerate(entries)))) as raw:
        assert sorted(names(raw)) == [b"absolute", b"d", b"dot", b"e", b"same", b"twice"]
        assert content(raw, "absolute") == b"0"
        assert content(raw, "twice/over") == b"1"
        assert content(raw, "d/in") == b"6"
        assert content(raw, "same") == b"8"
        assert content(raw, "e/f") == Errno.ISDIR
        assert content(raw, "out") == Errno.NOENT
        assert content(raw, "../out") == Errno.PERM
        assert "left out 3 entries" in caplog.text


def test_a_part_of_an_archive_and_its_links() -> None:
    data = zipped(("top/a/f", b"f"), ("top/b", b"b"), ("other", b"o"))
    link = zipfile.ZipInfo("top/link")
    link.external_attr = 0o120777 << 16
    whole = io.BytesIO(data)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with mounted(zipfile.Path(whole, "top/")) as raw:
        assert names(raw) == [b"a", b"b", b"link"]
        assert content(raw, "a/f") == b"f"
        assert content(raw, "link") == readlink(raw, "link") == Errno.PERM
        assert content(raw, "other") == Errno.NOENT


def test_an_archive_of_many_entries_is_gone_through_once() -> None:
    path: Any = zipfile.Path(io.BytesIO(zipped(*((f"d{number % 300}/{number}", b"") for number in range(3000)))))
    calls: list[object] = []
    infolist = path.root.infolist

    def counted() -> object:
        calls.append(None)
        return infolist()

    path.root.infolist = counted
    with mounted(path) as raw:
        assert len(names(raw)) == 300
        assert all(content(raw, f"d{number % 300}/{number}") == b"" for number in range(0, 3000, 7))
    assert len(calls) == 1


def test_a_file_that_is_open_twice_is_unpacked_and_held_once() -> None:
    path: Any = zipfile.Path(io.BytesIO(zipped(("f", b"hello"))))
    opened: list[object] = []
    plain = path.root.open

    def counted(info: object) -> object:
        opened.append(info)
        return plain(info)

    path.root.open = counted
    with mounted(path) as raw:
        rights = 1 << 1
        fds = [raw.open("f", rights=rights) for _ in range(20)]
        assert [raw.read(fd, 9) for fd in fds] == [b"hello"] * 20
        assert len(opened) == 1
        for fd in fds:
            raw.call("fd_close", fd)
        assert content(raw, "f") == b"hello"
        assert len(opened) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["zipfile", "fsspec-zip", "fsspec-tar"])
def test_no_damage_to_an_archive_ends_a_run(kind: str) -> None:
    """Archives with a few bytes changed or cut: all that is in them is listed, looked at and read."""
    rng = random.Random(kind)
    answers: set[object] = set()
    for _ in range(120):
        data = tarred() if kind == "fsspec-tar" else zipped(
            ("f", b"hello" * 50), ("d/g", bytes(range(256))), ("d/e/", b""), ("\u00fc", b"x"),
            compression=rng.choice([0, 8, 12, 14]),
        )  # fmt: skip
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.choice([0, 255, rng.randrange(256)])
        del data[rng.choice([len(data), len(data), rng.randrange(len(data))]) :]
        try:
            source: Any = archive_of(kind, data)
        except Exception:  # as said to the embedder, who opens it
            continue
        with mounted(source) as raw:
            answers |= everything(raw, 3)
    assert Errno.IO in answers or kind == "fsspec-tar"  # which has no checksums
    assert b"hello" * 50 in answers


def archive_of(kind: str, data: bytearray) -> Any:
    if kind == "zipfile":
        return zipfile.Path(io.BytesIO(data))
    system = pytest.importorskip("fsspec.implementations." + kind.removeprefix("fsspec-"))
    return (system.ZipFileSystem if kind == "fsspec-zip" else system.TarFileSystem)(io.BytesIO(data))


def tarred() -> bytearray:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("f", b"hello" * 50), ("d/g", bytes(range(256)))):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return bytearray(out.getvalue())


def everything(raw: Raw, fd: int, depth: int = 0) -> set[object]:
    """The errnos and contents below a directory."""
    answers: set[object] = set()
    raw._free = 0x8000
    if code := raw.call("fd_readdir", fd, raw.new(1), 0, 0, raw.new(4)):
        return {Errno(code)}
    entries, _ = raw.readdir(fd)
    for _, _, kind, name in entries[2:]:
        raw._free = 0x8000
        answers.add(Errno(raw.call("path_filestat_get", fd, 1, *raw.text(name), raw.new(64))))
        opened, buffer, result = raw.new(4), raw.new(4096), raw.new(4)
        if code := raw.call("path_open", fd, 1, *raw.text(name), 0, RIGHTS, RIGHTS, 0, opened):
            answers.add(Errno(code))
            continue
        new = raw.get(opened)
        if kind == 3:
            if depth < 5:
                answers |= everything(raw, new, depth + 1)
        elif code := raw.call("fd_read", new, *raw.iovecs((buffer, 4096)), result):
            answers.add(Errno(code))
        else:
            answers.add(bytes(raw.memory[buffer : buffer + raw.get(result)]))
        assert raw.call("fd_close", new) == 0
    return answers


RIGHTS = 1 << 1 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 21
"""To read, open, list and stat."""

# -- fsspec ------------------------------------------------------------------------------------------------------------


class Remote:
    """As much of an fsspec file system as a mount uses, with one file that is as it is told."""

    protocol = "test"

    def __init__(self, data: Any = b"x", **entry: Any) -> None:
        self.entry = {"name": "a", "type": "file", "size": 1, **entry}
        self.data = data

    def ls(self, path: str, detail: bool = True) -> Any:
        return [self.entry, {"name": "good", "type": "file", "size": 1}]

    def info(self, path: str) -> Any:
        return self.entry

    def open(self, path: str, mode: str = "rb") -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return io.BytesIO(self.data)


@pytest.mark.parametrize(
    ("mtime", "expected"),
    [
        (1e9, 10**18), (0, 0), (-1.5, 0), (float("inf"), 0), (float("-inf"), 0), (float("nan"), 0), (YEAR_9999, LAST),
        (1e290, LAST), (None, 0), ("2020-01-01", 0), (datetime.datetime(9999, 12, 31), LAST),
        (datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=20))), 0),
        (datetime.datetime(2001, 9, 9, 1, 46, 40, tzinfo=datetime.UTC), 10**18),
    ],
)  # fmt: skip
def test_times_of_listings(mtime: object, expected: int) -> None:
    with mounted(Remote(mtime=mtime)) as raw:
        assert times(raw, "a") == {expected}


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (-1, Errno.OVERFLOW), (2**63, Errno.OVERFLOW), (float("nan"), Errno.IO), (float("inf"), Errno.IO),
        ("many", Errno.IO),
    ],
)  # fmt: skip
def test_sizes_of_listings(size: object, code: Errno, caplog: pytest.LogCaptureFixture) -> None:
    with mounted(Remote(size=size)) as raw:
        assert stat(raw, "a") == code
        assert caplog.text
        assert isinstance(stat(raw, "good"), dict)
        assert content(raw, "a") == b"x"


@pytest.mark.parametrize("entry", [{"type": None}, {"type": "socket"}, {"islink": True}])
def test_what_is_neither_file_nor_directory_is_a_link(entry: dict[str, object]) -> None:
    with mounted(Remote(**entry)) as raw:
        assert content(raw, "a") == Errno.PERM


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (zlib.error("damaged"), Errno.IO), (EOFError("cut"), Errno.IO), (zipfile.BadZipFile("bad"), Errno.IO),
        (MemoryError(), Errno.NOMEM), (OSError("no number"), Errno.IO), (PermissionError("no"), Errno.ACCES),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_errno(error: Exception, code: Errno) -> None:
    with mounted(Remote(error)) as raw:
        assert content(raw, "a") == code


def test_the_log_has_the_cause_of_an_error_without_a_number(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wasihost"), mounted(Remote(OSError("the server has moved"))) as raw:
        assert content(raw, "a") == Errno.IO
    assert "OSError: the server has moved" in caplog.text


def test_fsspec_s_own_archives() -> None:
    fsspec = pytest.importorskip("fsspec.implementations.zip")
    for data, code in ((damaged(flip), Errno.IO), (patched(6, 8, "<H", 1), Errno.ACCES)):
        with mounted(fsspec.ZipFileSystem(io.BytesIO(data))) as raw:
            assert content(raw, "f") == code


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


def test_what_a_guest_does_not_see_needs_no_logging() -> None:
    code = """
import sys
from wasihost import MemoryFS, ModuleConfig, State
State(bytearray, ModuleConfig().with_mount("/", MemoryFS({"a": b""}))).close()
sys.exit("logging" in sys.modules)
"""
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
