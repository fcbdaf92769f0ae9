"""Zip archives and tar files from anywhere: damaged entries, dates, names and links never end a run."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.raw import Raw
from tests.vfs.outside import content, damaged, everything, flip, mounted, names, patched, readlink, stat, times, zipped
from wasihost import Errno


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
