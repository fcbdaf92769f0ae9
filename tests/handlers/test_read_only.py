"""Below a read-only mount every call that would change something raises ROFS, and changes nothing."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.raw import Raw
from wasihost import Errno, FSConfig, ModuleConfig

CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
READ, WRITE = 1 << 1, 1 << 6
ALL = (1 << 30) - 1
RO, RW = 3, 4
FILE, FOLDER = 5, 6
"""Descriptors: the read-only mount, a writable one, and what was opened below the first."""


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("ro", "rw"):
        (tmp_path / name / "d" / "empty").mkdir(parents=True)
        (tmp_path / name / "f").write_bytes(b"content")
        (tmp_path / name / "d" / "g").write_bytes(b"deeper")
        os.symlink("f", tmp_path / name / "l")
    return tmp_path / "ro", tmp_path / "rw"


@pytest.fixture(params=["read_only_fs", "tree"])
def raw(request: pytest.FixtureRequest, trees: tuple[Path, Path], tmp_path: Path) -> Iterator[Raw]:
    """The same content as a host directory and as a zip archive."""
    if request.param == "tree":
        with zipfile.ZipFile(tmp_path / "ro.zip", "w") as archive:
            for name, content in (("f", b"content"), ("d/g", b"deeper"), ("l", b"content"), ("d/empty/", b"")):
                archive.writestr(name, content)
        root = zipfile.Path(str(tmp_path / "ro.zip"))
        fs = FSConfig().with_fs_mount("/ro", root)
    else:
        fs = FSConfig().with_read_only_dir_mount("/ro", trees[0])
    with Raw(ModuleConfig().with_fs(fs.with_dir_mount("/rw", trees[1]))) as made:
        assert made.open("f", rights=ALL & ~WRITE) == FILE
        assert made.open("d", oflags=DIRECTORY) == FOLDER
        yield made
    if request.param == "tree":
        root.root.close()


def snapshot(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything below: mode, times, links, content."""
    out = {}
    for path in (root, *sorted(root.rglob("*"))):
        st = path.lstat()
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        out[str(path.relative_to(root))] = (st.st_mode, st.st_mtime_ns, st.st_nlink, content)
    return out


def opening(path: str, oflags: int, rights: int, *, fd: int = RO, flags: int = 0) -> Callable[[Raw], int]:
    return lambda raw: raw.call("path_open", fd, 1, *raw.text(path), oflags, rights, ALL, flags, 0x80)


def on_path(name: str, path: str, *more: int, fd: int = RO) -> Callable[[Raw], int]:
    return lambda raw: raw.call(name, fd, *raw.text(path), *more)


def linking(old_fd: int, old: str, new_fd: int, new: str, follow: int = 0) -> Callable[[Raw], int]:
    return lambda raw: raw.call("path_link", old_fd, follow, *raw.text(old), new_fd, *raw.text(new))


def renaming(old_fd: int, old: str, new_fd: int, new: str) -> Callable[[Raw], int]:
    return lambda raw: raw.call("path_rename", old_fd, *raw.text(old), new_fd, *raw.text(new))


def on_fd(name: str, fd: int, *args: int) -> Callable[[Raw], int]:
    return lambda raw: raw.call(name, fd, *args)


def writing(name: str, fd: int, *args: int) -> Callable[[Raw], int]:
    return lambda raw: raw.call(name, fd, *raw.data(b"changed"), *args, 0x80)


CHANGES: dict[str, Callable[[Raw], int]] = {
    "open to create": opening("new", CREAT, WRITE),
    "open to create, exclusively": opening("new", CREAT | EXCL, WRITE),
    "open what is there to be written, with CREAT": opening("f", CREAT, WRITE),
    "open to write": opening("f", 0, WRITE),
    "open to read and write": opening("f", 0, READ | WRITE),
    "open to append": opening("f", 0, WRITE, flags=1),
    "open to write, deeper": opening("g", 0, WRITE, fd=FOLDER),
    "open to create, deeper": opening("d/new", CREAT, WRITE),
    "GHSA-2r75-cxrj-cmph: open to truncate without a right to write": opening("f", TRUNC, READ),
    "GHSA-2r75-cxrj-cmph: open to truncate without any right": opening("f", TRUNC, 0),
    "GHSA-2r75-cxrj-cmph: open to truncate, deeper": opening("g", TRUNC, READ, fd=FOLDER),
    "set the times of a file": on_fd("fd_filestat_set_times", FILE, 1, 1, 5),
    "set the times of a directory": on_fd("fd_filestat_set_times", FOLDER, 1, 1, 5),
    "set the times of the mount": on_fd("fd_filestat_set_times", RO, 1, 1, 5),
    "set times by path": lambda raw: raw.call("path_filestat_set_times", RO, 1, *raw.text("f"), 1, 1, 5),
    "mkdir": on_path("path_create_directory", "new"),
    "mkdir, deeper": on_path("path_create_directory", "new", fd=FOLDER),
    "rmdir": on_path("path_remove_directory", "d/empty"),
    "unlink": on_path("path_unlink_file", "f"),
    "unlink, deeper": on_path("path_unlink_file", "g", fd=FOLDER),
    "symlink": lambda raw: raw.call("path_symlink", *raw.text("f"), RO, *raw.text("new")),
    "rename": renaming(RO, "f", RO, "new"),
    "rename, deeper": renaming(FOLDER, "g", FOLDER, "new"),
    "link": linking(RO, "f", RO, "new"),
}


ACROSS: dict[str, Callable[[Raw], int]] = {
    "GHSA-4ch3-9j33-3pmj: link out of the mount": linking(RO, "f", RW, "new"),
    "GHSA-4ch3-9j33-3pmj: link out of the mount, through a link": linking(RO, "l", RW, "new", 1),
    "GHSA-4ch3-9j33-3pmj: link out of a directory below": linking(FOLDER, "g", RW, "new"),
    "GHSA-4ch3-9j33-3pmj: link into the mount": linking(RW, "f", RO, "new"),
    "GHSA-4ch3-9j33-3pmj: rename out of the mount": renaming(RO, "f", RW, "new"),
    "GHSA-4ch3-9j33-3pmj: rename out of a directory below": renaming(FOLDER, "g", RW, "new"),
    "GHSA-4ch3-9j33-3pmj: rename into the mount": renaming(RW, "f", RO, "new"),
}
"""Between the mounts, in both directions."""

NOT_OPENED_TO_BE_WRITTEN: dict[str, tuple[Callable[[Raw], int], Errno]] = {
    "write": (writing("fd_write", FILE), Errno.BADF),
    "pwrite": (writing("fd_pwrite", FILE, 0), Errno.BADF),
    "allocate": (on_fd("fd_allocate", FILE, 0, 100), Errno.BADF),
    "set the size": (on_fd("fd_filestat_set_size", FILE, 1), Errno.INVAL),
    "cut": (on_fd("fd_filestat_set_size", FILE, 0), Errno.INVAL),
}
"""A file of a read-only mount is opened to be read only, so these never come to the mount."""


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_rofs(raw: Raw, trees: tuple[Path, Path], change: str) -> None:
    before = [snapshot(tree) for tree in trees]
    assert CHANGES[change](raw) == Errno.ROFS
    assert [snapshot(tree) for tree in trees] == before


@pytest.mark.parametrize("change", ACROSS)
def test_rename_and_link_do_not_cross_mounts(
    raw: Raw, trees: tuple[Path, Path], change: str, request: pytest.FixtureRequest
) -> None:
    before = [snapshot(tree) for tree in trees]
    tree = "tree" in request.node.callspec.params.values()
    assert ACROSS[change](raw) == (Errno.XDEV if tree else Errno.ROFS)
    assert [snapshot(tree) for tree in trees] == before


@pytest.mark.parametrize("change", NOT_OPENED_TO_BE_WRITTEN)
def test_a_file_that_was_opened_to_be_read_is_only_read(raw: Raw, trees: tuple[Path, Path], change: str) -> None:
    before = [snapshot(tree) for tree in trees]
    call, errno = NOT_OPENED_TO_BE_WRITTEN[change]
    assert call(raw) == errno
    assert [snapshot(tree) for tree in trees] == before


@pytest.mark.parametrize("oflags", [CREAT, TRUNC, CREAT | TRUNC, CREAT | EXCL, CREAT | EXCL | TRUNC])
@pytest.mark.parametrize("path", ["f", "new", "l", "d/new"])
def test_files_swapped_after_the_lookup_are_not_changed(
    raw: Raw, trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, path: str, oflags: int
) -> None:
    """As if another process had replaced everything between the check and the open: the check refused nothing."""
    monkeypatch.setattr("wasihost.sandbox.read_only.opening", lambda *_: None)
    before = [snapshot(tree) for tree in trees]
    result = raw.new(4)
    if raw.call("path_open", RO, 1, *raw.text(path), oflags, READ | WRITE, ALL, 0, result) == 0:
        fd = raw.get(result)
        assert raw.call("fd_write", fd, *raw.data(b"changed"), 0x80) == Errno.BADF
        assert raw.call("fd_filestat_set_size", fd, 0) == Errno.INVAL
    assert [snapshot(tree) for tree in trees] == before


def test_rights_cannot_bring_a_change_back(raw: Raw) -> None:
    for fd in (RO, FILE, FOLDER):
        assert raw.call("fd_fdstat_set_rights", fd, ALL, ALL) == Errno.NOTCAPABLE
    assert raw.call("fd_renumber", RO, 0) == 0
    assert raw.call("path_unlink_file", 0, *raw.text("f")) == Errno.ROFS


def test_reading_is_as_ever(raw: Raw) -> None:
    assert raw.read(FILE, 99) == b"content"
    assert raw.read(raw.open("d/g", rights=READ), 99) == b"deeper"
    assert raw.read(raw.open("g", fd=FOLDER, rights=READ), 99) == b"deeper"
    assert raw.read(raw.open("l", rights=READ), 99) == b"content"
    assert raw.filestat("path_filestat_get", RO, 1, *raw.text("f"))["size"] == 7
    assert {name for _, _, _, name in raw.readdir(RO)[0]} == {b".", b"..", b"f", b"d", b"l"}
    assert {name for _, _, _, name in raw.readdir(FOLDER)[0]} == {b".", b"..", b"g", b"empty"}
    assert raw.call("fd_sync", FILE) == raw.call("fd_datasync", FILE) == raw.call("fd_advise", FILE, 0, 0, 0) == 0


def test_the_other_mount_may_be_changed(raw: Raw, trees: tuple[Path, Path]) -> None:
    assert renaming(RW, "f", RW, "new")(raw) == 0
    assert (trees[1] / "new").read_bytes() == b"content"
