"""Each library's way to open files and folders, on each kind of mount, and every operation on what it opened.

The expectation knows no library: what a program meant decides, never which rights its library happened to ask for.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import wasihost
from tests.handlers.toolchain_opens import ALL, APPEND, CREAT, EXCL, FILES, FOLDERS, TRUNC, Open
from tests.sandbox.trees import STRATEGIES
from tests.support.guests import build_c
from tests.support.raw import Raw
from wasihost import Errno, MemoryFS, ModuleConfig
from wasihost.sandbox import resolve
from wasihost.vfs import Directory, File, Node, Stat

HELLO = b"hello"
OK = Errno.SUCCESS


class Text(File):
    """A file of a tree of one's own, which says what it was opened for."""

    asked: list[bool]

    def __init__(self) -> None:
        self.asked = []

    def stat(self) -> Stat:
        return Stat(size=len(HELLO))

    def read(self, offset: int, size: int) -> bytes:
        return HELLO[offset : offset + size]

    def open(self, *, writing: bool) -> File:
        self.asked.append(writing)
        return self


class Tree(Directory):
    def __init__(self, names: dict[str, Node]) -> None:
        self.names = names

    def lookup(self, name: str) -> Node | None:
        return self.names.get(name)

    def entries(self) -> Iterable[tuple[str, Node]]:
        return self.names.items()


CONTENT = {"f": HELLO, "d/g": HELLO}


def archive() -> zipfile.Path:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for path, content in CONTENT.items():
            made.writestr(path, content)
    return zipfile.Path(held)


WRITABLE = ("openat2", "walk", "memory")
READ_ONLY = ("openat2, ro", "walk, ro", "memory, ro", "dict", "zip", "own")


@pytest.fixture
def raw(mount: str, tmp_path: Path) -> Iterator[Raw]:
    kind, _, access = mount.partition(", ")
    config = ModuleConfig()
    with ExitStack() as stack:
        if kind in STRATEGIES:
            stack.enter_context(resolve.using(STRATEGIES[kind]))
            for path, content in CONTENT.items():
                (tmp_path / path).parent.mkdir(exist_ok=True)
                (tmp_path / path).write_bytes(content)
            if access:
                config = config.with_read_only_fs("/", tmp_path)
            else:
                config = config.with_host_directory_preopen("/", tmp_path)
        elif kind == "memory":
            fs = MemoryFS(dict(CONTENT))
            config = config.with_read_only_fs("/", fs) if access else config.with_mount("/", fs)
        elif kind == "dict":
            config = config.with_mount("/", dict(CONTENT))
        else:
            tree = archive() if kind == "zip" else Tree({"f": Text(), "d": Tree({"g": Text()})})
            config = config.with_read_only_fs("/", tree)
        yield stack.enter_context(Raw(config))


def path_open(raw: Raw, call: Open, path: str, fd: int = 3) -> tuple[Errno, int]:
    result = raw.new(4)
    arguments = (call.oflags, call.base, call.inheriting, call.flags)
    return Errno(raw.call("path_open", fd, 1, *raw.text(path), *arguments, result)), raw.get(result)


def modes(call: Open) -> tuple[bool, bool]:
    """Whether the program wanted to read, and to write."""
    how = call.wanted.split(",")[0]
    return how == "r" or "+" in how, how != "r"


# -- the operations ----------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Raw, int], int]] = {
    "read": lambda raw, fd: raw.call("fd_read", fd, *raw.iovecs((raw.new(3), 3)), raw.new(4)),
    "pread": lambda raw, fd: raw.call("fd_pread", fd, *raw.iovecs((raw.new(3), 3)), 1, raw.new(4)),
    "write": lambda raw, fd: raw.call("fd_write", fd, *raw.data(b"W"), raw.new(4)),
    "pwrite": lambda raw, fd: raw.call("fd_pwrite", fd, *raw.data(b"P"), 2, raw.new(4)),
    "seek": lambda raw, fd: raw.call("fd_seek", fd, 1, 0, raw.new(8)),
    "tell": lambda raw, fd: raw.call("fd_tell", fd, raw.new(8)),
    "stat": lambda raw, fd: raw.call("fd_filestat_get", fd, raw.new(64)),
    "times": lambda raw, fd: raw.call("fd_filestat_set_times", fd, 1, 1, 1 | 4),
    "sync": lambda raw, fd: raw.call("fd_sync", fd),
    "datasync": lambda raw, fd: raw.call("fd_datasync", fd),
    "advise": lambda raw, fd: raw.call("fd_advise", fd, 0, 1, 0),
    "flags": lambda raw, fd: raw.call("fd_fdstat_set_flags", fd, APPEND),
    "allocate": lambda raw, fd: raw.call("fd_allocate", fd, 0, 20),
    "set_size": lambda raw, fd: raw.call("fd_filestat_set_size", fd, 0),
}


def expected(reading: bool, writing: bool, read_only: bool) -> dict[str, Errno]:
    """What Linux says to each operation on a file that was opened so."""
    wanted = dict.fromkeys(OPERATIONS, OK)
    if not reading:
        wanted |= {"read": Errno.BADF, "pread": Errno.BADF}
    if not writing:
        wanted |= {"write": Errno.BADF, "pwrite": Errno.BADF, "allocate": Errno.BADF, "set_size": Errno.INVAL}
    if read_only:
        wanted["times"] = Errno.ROFS
    return wanted


def used(raw: Raw, fd: int) -> dict[str, Errno]:
    out = {}
    for name, use in OPERATIONS.items():
        raw._free = 0x8000
        out[name] = Errno(use(raw, fd))
    return out


def size(raw: Raw, path: str) -> int:
    return raw.filestat("path_filestat_get", 3, 1, *raw.text(path))["size"]


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", FILES, ids=str)
@pytest.mark.parametrize("mount", WRITABLE)
def test_a_file_of_a_mount_that_can_be_written(raw: Raw, call: Open) -> None:
    errno, fd = path_open(raw, call, "f")
    if call.oflags & EXCL:
        assert errno == Errno.EXIST
        errno, fd = path_open(raw, call, "new")
    assert errno == OK
    assert size(raw, "new" if call.oflags & EXCL else "f") == (0 if call.oflags & (TRUNC | EXCL) else len(HELLO))
    reading, writing = modes(call)
    rights = raw.fdstat(fd)["fs_rights_base"]
    assert (bool(rights & 1 << 1), bool(rights & 1 << 6)) == (reading, writing)  # what a libc's fcntl(F_GETFL) reads
    assert used(raw, fd) == expected(reading, writing, False)
    assert size(raw, "new" if call.oflags & EXCL else "f") == (0 if writing else len(HELLO))


@pytest.mark.parametrize("mount", READ_ONLY)
def test_a_file_of_a_read_only_mount(raw: Raw) -> None:
    for call in FILES:
        raw._free = 0x8000
        reading, writing = modes(call)
        errno, fd = path_open(raw, call, "f")
        missing = path_open(raw, call, "new")[0]
        assert (call, missing) == (call, Errno.ROFS if call.oflags & CREAT else Errno.NOENT)
        if writing:
            assert (call, errno) == (call, Errno.EXIST if call.oflags & EXCL else Errno.ROFS)
        else:
            assert (call, errno) == (call, OK)
            assert (call, used(raw, fd)) == (call, expected(reading, writing, True))
            assert not raw.fdstat(fd)["fs_rights_base"] & 1 << 6
        assert size(raw, "f") == len(HELLO)


@pytest.mark.parametrize("call", [call for call in FILES if not modes(call)[1]], ids=str)
def test_open_for_reading_does_not_ask_to_write(call: Open, tmp_path: Path) -> None:
    text = Text()
    with Raw(ModuleConfig().with_mount("/", Tree({"f": text}))) as raw:
        assert path_open(raw, call, "f")[0] == OK
    assert text.asked == [False]
    if os.geteuid() != 0:  # root may write to what nobody may
        (tmp_path / "f").write_bytes(HELLO)
        (tmp_path / "f").chmod(0o444)
        with Raw(ModuleConfig().with_host_directory_preopen("/", tmp_path)) as raw:
            assert path_open(raw, call, "f")[0] == OK


@pytest.mark.skipif(sys.platform != "linux", reason="a program that runs can be written elsewhere")
def test_a_program_that_runs_can_be_read(tmp_path: Path) -> None:
    shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "f")
    with subprocess.Popen([tmp_path / "f", "60"]) as running:
        try:
            with Raw(ModuleConfig().with_host_directory_preopen("/", tmp_path)) as raw:
                for call in FILES:
                    if not call.oflags & EXCL:
                        errno = path_open(raw, call, "f")[0]
                        assert (call, errno) == (call, Errno.TXTBSY if modes(call)[1] else OK)
        finally:
            running.kill()


# -- folders -----------------------------------------------------------------------------------------------------------

BELOW = [call for call in FILES if not call.oflags & EXCL]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda call: call.library)
@pytest.mark.parametrize("mount", WRITABLE)
def test_rights_of_files_opened_through_a_folder(raw: Raw, folder: Open) -> None:
    errno, fd = path_open(raw, folder, "d")
    assert errno == OK
    assert {name for _, _, _, name in raw.readdir(fd)[0]} == {b".", b"..", b"g"}
    for number, call in enumerate(BELOW):
        raw._free = 0x8000
        errno, below = path_open(raw, call, f"new{number}" if call.oflags & CREAT else "g", fd)
        assert (str(call), errno) == (str(call), OK)
        reading, writing = modes(call)
        if not call.oflags & CREAT and not writing:
            assert used(raw, below) == expected(reading, writing, False)
        elif writing:
            assert raw.write(below, b"12345") == 5
    raw._free = 0x8000
    for name, use in {
        "path_create_directory": ("sub",), "path_rename": ("new2", fd, "other"), "path_link": (0, "g", fd, "linked"),
        "path_remove_directory": ("sub",), "path_unlink_file": ("g",),
    }.items():  # fmt: skip
        arguments = [part for one in use for part in (raw.text(one) if isinstance(one, str) else (one,))]
        assert (name, raw.call(name, fd, *arguments)) == (name, OK)
    assert raw.call("fd_filestat_set_times", fd, 1, 1, 1 | 4) == raw.call("fd_sync", fd) == OK


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda call: call.library)
@pytest.mark.parametrize("mount", READ_ONLY)
def test_rights_of_files_opened_through_a_read_only_folder(raw: Raw, folder: Open) -> None:
    errno, fd = path_open(raw, folder, "d")
    assert errno == OK
    assert {name for _, _, _, name in raw.readdir(fd)[0]} == {b".", b"..", b"g"}
    for call in BELOW:
        raw._free = 0x8000
        errno, below = path_open(raw, call, "g", fd)
        assert (str(call), errno) == (str(call), Errno.ROFS if modes(call)[1] else OK)
        assert errno or raw.read(below, 9) == HELLO
    assert raw.call("path_unlink_file", fd, *raw.text("g")) == Errno.ROFS
    assert raw.call("path_create_directory", fd, *raw.text("new")) == Errno.ROFS
    assert raw.call("fd_filestat_set_times", fd, 1, 1, 1 | 4) == Errno.ROFS


@pytest.mark.parametrize("mount", [*WRITABLE, *READ_ONLY])
def test_a_folder_is_not_written(raw: Raw) -> None:
    for call in FILES:
        raw._free = 0x8000
        if modes(call)[1]:
            errno = path_open(raw, call, "d")[0]
            assert (call, errno) == (call, Errno.EXIST if call.oflags & EXCL else Errno.ISDIR)


# -- what is given up --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", BELOW, ids=str)
@pytest.mark.parametrize("mount", WRITABLE)
def test_rights_that_a_guest_dropped_stay_dropped(raw: Raw, call: Open) -> None:
    """The folder no longer passes on writing, seeking and removing; whatever is asked for, nothing brings them back."""
    gone = 1 << 6 | 1 << 2 | 1 << 26
    folder = raw.open("d", oflags=2)
    assert raw.call("fd_fdstat_set_rights", folder, raw.fdstat(folder)["fs_rights_base"], ALL & ~gone) == OK
    errno, fd = path_open(raw, call._replace(oflags=call.oflags & ~TRUNC), "g", folder)
    assert errno == OK
    assert not raw.fdstat(fd)["fs_rights_base"] & gone
    assert raw.call("fd_write", fd, *raw.data(b"x"), raw.new(4)) == Errno.BADF
    assert raw.call("fd_seek", fd, 1, 0, raw.new(8)) == Errno.NOTCAPABLE
    again = path_open(raw, FOLDERS[0], ".", folder)[1]
    assert raw.call("path_unlink_file", again, *raw.text("g")) == Errno.NOTCAPABLE
    below = path_open(raw, call._replace(oflags=call.oflags & ~TRUNC), "g", again)[1]
    assert raw.call("fd_write", below, *raw.data(b"x"), raw.new(4)) == Errno.BADF
    assert size(raw, "d/g") == len(HELLO)


# -- a real libc -------------------------------------------------------------------------------------------------------

FOR_READING = "read ok, write EBADF, pwrite EBADF, lseek ok, fsync ok, futimens {}, fallocate EBADF, ftruncate EINVAL"
FOR_WRITING = "read EBADF, write ok, pwrite ok, lseek ok, fsync ok, futimens ok, fallocate ok, ftruncate ok"
FOR_BOTH = FOR_WRITING.replace("EBADF", "ok")


@pytest.mark.parametrize("source", ["host", "memory"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_c_program_gets_what_linux_gives(tmp_path: Path, source: str, read_only: bool) -> None:
    """What the same program says natively, in a folder and in one that is mounted read-only."""
    (tmp_path / "f").write_bytes(HELLO)
    fs = MemoryFS({"f": HELLO})
    tree: Path | MemoryFS = tmp_path if source == "host" else fs
    config = ModuleConfig()
    if read_only:
        config = config.with_read_only_fs("/data", tree)
    elif source == "host":
        config = config.with_host_directory_preopen("/data", tmp_path)
    else:
        config = config.with_mount("/data", fs)
    done = wasihost.run(build_c("access"), config, args=["/data/f"], capture_output=True)
    reading = FOR_READING.format("EROFS" if read_only else "ok")
    assert (done.stdout or b"").decode().splitlines() == [
        f"O_RDONLY: is O_RDONLY, {reading}",
        "O_WRONLY: EROFS" if read_only else f"O_WRONLY: is O_WRONLY, {FOR_WRITING}",
        "O_RDWR: EROFS" if read_only else f"O_RDWR: is O_RDWR, {FOR_BOTH}",
        f"O_RDONLY|O_CREAT: is O_RDONLY, {reading}",
    ]
    assert ((tmp_path / "f").read_bytes() if source == "host" else fs["f"]) == (HELLO if read_only else b"hhl")
