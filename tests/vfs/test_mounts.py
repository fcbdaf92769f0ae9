"""What can be mounted besides host folders, and several mounts of different kinds side by side in one guest."""

from __future__ import annotations

import calendar
import importlib.resources
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wasihost
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import ConfigError, Errno, FSConfig, ModuleConfig
from wasihost.vfs import Lazy, MemoryFS

READ = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 14 | 1 << 21
CREAT, DIRECTORY, EXCL, TRUNC = (1 << bit for bit in range(4))
CREATED = (2020, 2, 29, 12, 34, 56)


def try_open(raw: Raw, path: str, oflags: int = 0, rights: int = READ, fd: int = 3) -> int:
    return raw.call("path_open", fd, 1, *raw.text(path), oflags, rights, rights, 0, 0x80)


def listing(raw: Raw, fd: int = 3) -> set[bytes]:
    return {name for _, _, _, name in raw.readdir(fd)[0]} - {b".", b".."}


# -- dicts -------------------------------------------------------------------------------------------------------------


def test_a_dict_is_a_tree_to_be_read() -> None:
    files: dict[str, bytes | Lazy] = {"a.txt": b"0123456789", "d/e/b.txt": Lazy(4, lambda: b"late"), "/d/c": b""}
    with Raw(ModuleConfig().with_mount("/", files)) as raw:
        assert (listing(raw), listing(raw, raw.open("d", oflags=DIRECTORY))) == ({b"a.txt", b"d"}, {b"e", b"c"})
        assert raw.read(raw.open("a.txt", rights=READ), 99) == b"0123456789"
        assert raw.read(raw.open("d/e/b.txt", rights=READ), 99) == b"late"
        assert try_open(raw, "new", CREAT) == Errno.ROFS
        assert try_open(raw, "a.txt", TRUNC) == Errno.ROFS
        assert try_open(raw, "a.txt", rights=1 << 6) == Errno.ROFS
        assert raw.call("path_create_directory", 3, *raw.text("new")) == Errno.ROFS
        assert raw.call("path_rename", 3, *raw.text("a.txt"), 3, *raw.text("b")) == Errno.ROFS
        assert raw.call("path_unlink_file", 3, *raw.text("a.txt")) == Errno.ROFS
        assert raw.call("path_filestat_set_times", 3, 0, *raw.text("a.txt"), 1, 1, 5) == Errno.ROFS
        fd = raw.open("a.txt", rights=READ)
        assert raw.call("fd_write", fd, *raw.data(b"x"), 0x80) == Errno.BADF
        assert raw.call("fd_filestat_set_size", fd, 0) == Errno.INVAL
        assert raw.call("fd_filestat_set_times", fd, 1, 1, 5) == Errno.ROFS
    assert files["a.txt"] == b"0123456789"


def test_a_dict_is_read_when_the_guest_starts() -> None:
    files = {"a": b"1"}
    config = ModuleConfig().with_mount("/", files)
    files["b"] = b"2"
    with Raw(config) as raw:
        files["c"] = b"3"
        assert listing(raw) == {b"a", b"b"}


def test_an_empty_dict_is_an_empty_directory() -> None:
    with Raw(ModuleConfig().with_mount("/", {})) as raw:
        assert listing(raw) == set()


@pytest.mark.parametrize("path", ["../a", "", "/", "a/", "a/..", "a/../../b", "x\0y", "f/below", "n" * 256])
def test_paths_that_no_file_can_have_are_a_config_error(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot mount"):
        Raw(ModuleConfig().with_mount("/", {"f": b"", path: b""}))


@pytest.mark.parametrize("source", [5, None, object(), [b"x"]])
def test_mounting_something_else_is_a_config_error(source: object) -> None:
    with pytest.raises(ConfigError, match="not a MemoryFS, Overlay, dict"):
        Raw(ModuleConfig().with_mount("/", source))  # type: ignore[arg-type]  # what users get wrong


def test_a_memory_fs_can_be_given_to_be_read_only() -> None:
    """Other guests of the same tree may change it."""
    fs = MemoryFS({"a": b"1"})
    with Raw(ModuleConfig().with_read_only_fs("/", fs).with_mount("/rw", MemoryFS())) as raw:
        assert try_open(raw, "new", CREAT) == Errno.ROFS
        assert try_open(raw, "a", rights=1 << 6) == Errno.ROFS
        assert raw.call("path_rename", 4, *raw.text("a"), 3, *raw.text("b")) == Errno.ROFS
        assert raw.call("path_link", 3, 0, *raw.text("a"), 4, *raw.text("b")) == Errno.ROFS
        with Raw(ModuleConfig().with_mount("/", fs)) as other:
            other.write(other.open("new", oflags=CREAT), b"seen by both")
        assert raw.read(raw.open("new", rights=READ), 99) == b"seen by both"


# -- archives and packages ---------------------------------------------------------------------------------------------


class Watched(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.fixture
def file() -> Watched:
    """The file of an archive."""
    made = Watched()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in (("a.txt", b"0123456789" * 100), ("d/b.txt", b"bee"), ("d/e/c.txt", b"sea")):
            writer.writestr(zipfile.ZipInfo(name, CREATED), content)
        for name in ("../out", "/rooted", "x/../../out2", "x//y", "good/./dot"):
            writer.writestr(zipfile.ZipInfo(name, CREATED), b"a name that is none")
    return made


@pytest.fixture
def archive(file: Watched) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(file) as reader:
        yield reader


def test_an_archive_says_size_and_time_without_reading(archive: zipfile.ZipFile, file: Watched) -> None:
    with Raw(ModuleConfig().with_mount("/", zipfile.Path(archive))) as raw:
        before = file.reads
        stat = raw.filestat("path_filestat_get", 3, 1, *raw.text("a.txt"))
        assert (stat["size"], stat["filetype"]) == (1000, 4)
        assert stat["mtim"] == calendar.timegm(CREATED) * 10**9
        assert raw.filestat("path_filestat_get", 3, 1, *raw.text("d/e/c.txt"))["size"] == 3
        assert raw.filestat("path_filestat_get", 3, 1, *raw.text("d/e"))["filetype"] == 3
        listing(raw, raw.open("d", oflags=DIRECTORY))
        assert file.reads == before
        fd = raw.open("d/b.txt", rights=READ)
        assert raw.read(fd, 2) + raw.read(fd, 9) == b"bee"
        assert file.reads > before


def test_no_name_of_an_archive_leads_anywhere_else(archive: zipfile.ZipFile) -> None:
    with Raw(ModuleConfig().with_mount("/", zipfile.Path(archive))) as raw:
        for path in ("..", "../out", "d/../../out", "/rooted"):
            assert try_open(raw, path) == Errno.PERM
        names = listing(raw)
        assert {b"a.txt", b"d", b"x"} <= names
        names |= listing(raw, raw.open("x", oflags=DIRECTORY))
        assert not any(b"/" in name for name in names)
        entries = [name for _, _, _, name in raw.readdir(raw.open("x", oflags=DIRECTORY))[0]]
        assert (entries.count(b"."), entries.count(b".."), entries.count(b"")) == (1, 1, 0)


def test_a_folder_of_an_archive(archive: zipfile.ZipFile) -> None:
    with Raw(ModuleConfig().with_mount("/", zipfile.Path(archive, "d/"))) as raw:
        assert listing(raw) == {b"b.txt", b"e"}
        assert try_open(raw, "../a.txt") == Errno.PERM
        assert raw.read(raw.open("e/c.txt", rights=READ), 9) == b"sea"


def test_a_package_s_resources() -> None:
    root = importlib.resources.files(wasihost)
    here = Path(wasihost.__file__).parent
    with Raw(ModuleConfig().with_mount("/", root)) as raw:
        assert b"vfs" in listing(raw)
        for name in ("errors.py", "vfs/nodes.py"):
            stat = raw.filestat("path_filestat_get", 3, 1, *raw.text(name))
            assert (stat["size"], stat["mtim"]) == ((here / name).stat().st_size, (here / name).stat().st_mtime_ns)
            assert raw.read(raw.open(name, rights=READ), 300) == (here / name).read_bytes()[:300]


# -- side by side ------------------------------------------------------------------------------------------------------


@pytest.fixture
def four(tmp_path: Path, archive: zipfile.ZipFile) -> Iterator[Raw]:
    """3 and 4 are host folders, the second to be read only, 5 and 6 each a MemoryFS, 7 an archive, 8 a dict; in each
    `a.txt`, and `d`."""
    for name in ("rw", "ro"):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "a.txt").write_bytes(name.encode())
    config = FSConfig().with_dir_mount("/rw", tmp_path / "rw").with_read_only_dir_mount("/ro", tmp_path / "ro")
    for name in ("m1", "m2"):
        config = config.with_fs_mount(f"/{name}", MemoryFS({"a.txt": name.encode(), "d/f": b""}))
    config = config.with_fs_mount("/zip", zipfile.Path(archive)).with_fs_mount("/dict", {"a.txt": b"x", "d/f": b""})
    with Raw(ModuleConfig().with_fs(config)) as raw:
        yield raw


WRITABLE, READABLE = (3, 5, 6), (4, 7, 8)


def test_rename_and_link_between_mounts_fail(four: Raw) -> None:
    for source in (*WRITABLE, *READABLE):
        for target in (*WRITABLE, *READABLE):
            if source == target:
                continue
            expected = {Errno.XDEV} if source in WRITABLE and target in WRITABLE else {Errno.XDEV, Errno.ROFS}
            for old, new in (("a.txt", "new"), ("d", "new"), ("a.txt", "a.txt")):
                code = four.call("path_rename", source, *four.text(old), target, *four.text(new))
                assert code in expected, (source, target, old, Errno(code))
            code = four.call("path_link", source, 0, *four.text("a.txt"), target, *four.text("new"))
            assert code in expected, (source, target, Errno(code))
    assert all(b"a.txt" in listing(four, fd) and b"new" not in listing(four, fd) for fd in (*WRITABLE, *READABLE))


def test_each_mount_is_a_root_of_its_own(four: Raw) -> None:
    for fd in (*WRITABLE, *READABLE):
        assert try_open(four, "../rw/a.txt", fd=fd) == Errno.PERM
        assert try_open(four, "/rw/a.txt", fd=fd) == Errno.PERM


def test_inodes_tell_the_files_of_all_mounts_apart(four: Raw) -> None:
    stats = [four.filestat("path_filestat_get", fd, 1, *four.text("a.txt")) for fd in (*WRITABLE, *READABLE)]
    assert len({(stat["dev"], stat["ino"]) for stat in stats}) == 6


def test_a_guest_reads_mounts_of_all_kinds(tmp_path: Path, archive: zipfile.ZipFile) -> None:
    for name in ("rw", "ro"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"host")
    config = ModuleConfig().with_host_directory_preopen("/rw", tmp_path / "rw")
    config = config.with_read_only_fs("/ro", str(tmp_path / "ro"))
    config = config.with_mount("/m", MemoryFS({"f": b"memory"})).with_mount("/z", zipfile.Path(archive))
    config = config.with_mount("/d", {"f": b"dict"})
    paths = ["/rw/f", "/ro/f", "/m/f", "/z/d/b.txt", "/d/f"]
    done = wasihost.run(build_c("files"), config, args=["read", *paths], capture_output=True)
    assert done.stdout == b"/rw/f: host\n/ro/f: host\n/m/f: memory\n/z/d/b.txt: bee\n/d/f: dict\n"
