"""When the host itself fails: the guest gets the errno and the number of bytes written; nothing is lost or leaks."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.raw import Raw
from wasihost import ConfigError, Errno, MemoryFS, ModuleConfig
from wasihost.config import Inherit
from wasihost.descriptors.reserve import reserve
from wasihost.testing import FaultyFS

CREAT = 1
ALL = (1 << 30) - 1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="faults are made by Linux' means")


@pytest.fixture(autouse=True)
def no_leak() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


def try_open(raw: Raw, path: str, oflags: int = 0) -> int:
    return raw.call("path_open", 3, 1, *raw.text(path), oflags, ALL, ALL, 0, 0x80)


# -- a full disk -------------------------------------------------------------------------------------------------------

TINY = """
import os, subprocess, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.support.raw import Raw
from wasihost import Errno, ModuleConfig
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=4", "none", {place!r}], check=True)
with Raw(ModuleConfig().with_host_directory_preopen("/", {place!r})) as raw:
    fd, total = raw.open("f", oflags=1), 0
    while not (code := raw.call("fd_write", fd, *raw.iovecs((0x1000, 5000)), 0x80)):
        total += raw.get(0x80)
        assert raw.get(0x80)
    size = os.path.getsize({place!r} + "/f")
    raw.open("g", oflags=1), raw.open("h", oflags=1)
    full = raw.call("path_open", 3, 1, *raw.text("i"), 1, 0, 0, 0, 0x80)
    folder = raw.call("path_create_directory", 3, *raw.text("d"))
    print(Errno(code).name, total == size == 65536, Errno(full).name, Errno(folder).name)
"""


def test_a_full_disk_is_nospc_and_what_was_written_is_reported(tmp_path: Path) -> None:
    """On a tmpfs of 64 KiB, mounted in a namespace of its own."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here; the errno is tested by injection below")
    code = TINY.format(root=str(Path(__file__).parents[2]), place=str(tmp_path))
    done = subprocess.run([*unshare, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "NOSPC True NOSPC NOSPC\n", done.stderr


def test_a_file_that_grew_too_large_is_fbig(raw: Raw, folder: Path) -> None:
    """RLIMIT_FSIZE; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    fd = raw.open("f", oflags=CREAT)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert raw.write(fd, b"x" * 1500) == 1000
        assert raw.call("fd_write", fd, *raw.data(b"x"), 0x80) == Errno.FBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (folder / "f").stat().st_size == 1000


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR, errno.EFBIG])
def test_every_errno_of_a_write_arrives(code: int) -> None:
    fs = FaultyFS(MemoryFS({"f": b""}))
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        fd = raw.open("f")
        fs.fail("write", code)
        assert raw.call("fd_write", fd, *raw.data(b"x"), 0x80) == Errno[errno.errorcode[code][1:]]


# -- pipes -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def output() -> Iterator[tuple[Raw, int, int]]:
    reads, writes = os.pipe()
    with Raw(ModuleConfig().with_stdout(Inherit(writes))) as raw:
        yield raw, reads, writes
    for fd in (reads, writes):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_a_broken_pipe_is_pipe() -> None:
    with output() as (raw, reads, _):
        os.close(reads)
        assert raw.call("fd_write", 1, *raw.data(b"x"), 0x80) == Errno.PIPE


def test_a_pipe_that_is_nearly_full_takes_a_part() -> None:
    with output() as (raw, reads, writes):
        assert raw.call("fd_fdstat_set_flags", 1, 4) == 0
        os.set_blocking(writes, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writes, b"x" * 4096)
        os.set_blocking(writes, True)
        assert raw.call("fd_write", 1, *raw.iovecs((0x1000, 9000)), 0x80) == Errno.AGAIN
        os.read(reads, 4096)
        assert raw.call("fd_write", 1, *raw.iovecs((0x1000, 9000)), 0x80) == 0
        assert 0 < raw.get(0x80) <= 4096


def test_a_signal_does_not_end_a_read() -> None:
    """EINTR is retried after the handler has run (PEP 475); what a handler raises ends the run."""
    reads, writes = os.pipe()
    seen: list[int] = []

    def handler(_number: int, _frame: object) -> None:
        seen.append(1)
        os.write(writes, b"late")

    gc.collect()  # a guest of another test that was dropped, not closed, still has handlers that raise end the run
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with Raw(ModuleConfig().with_stdin(Inherit(reads))) as raw:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            assert raw.read(0, 10) == b"late"
            assert seen == [1]
            signal.signal(signal.SIGALRM, lambda _number, _frame: (_ for _ in ()).throw(InterruptedError("enough")))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            assert raw.call("fd_read", 0, *raw.iovecs((0x1000, 4)), 0x80) == Errno.INTR
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.close(reads)
        os.close(writes)


# -- a folder that goes ------------------------------------------------------------------------------------------------


def test_a_preopened_folder_that_was_deleted(raw: Raw, folder: Path) -> None:
    (folder / "f").write_bytes(b"kept")
    fd = raw.open("f")
    shutil.rmtree(folder)
    assert raw.read(fd, 9) == b"kept"
    assert try_open(raw, "f") == Errno.NOENT
    assert try_open(raw, "new", CREAT) == Errno.NOENT
    assert try_open(raw, "a/b") == Errno.NOENT
    for call in ("path_create_directory", "path_remove_directory", "path_unlink_file"):
        assert raw.call(call, 3, *raw.text("x")) == Errno.NOENT
    assert raw.call("path_rename", 3, *raw.text("f"), 3, *raw.text("g")) == Errno.NOENT
    assert raw.call("path_symlink", *raw.text("f"), 3, *raw.text("g")) == Errno.NOENT
    assert [name for *_, name in raw.readdir(3)[0]] == [b".", b".."]
    assert raw.filestat("fd_filestat_get", 3)["nlink"] == 0


# -- too many descriptors ----------------------------------------------------------------------------------------------


def test_the_table_has_a_limit_that_can_be_chosen(folder: Path) -> None:
    (folder / "f").write_bytes(b"")
    config = ModuleConfig().with_host_directory_preopen("/", folder)
    with Raw(config.with_limits(open_files=6)) as raw:
        assert [raw.open("f") for _ in range(2)] == [4, 5]
        held = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            assert try_open(raw, "f") == Errno.MFILE
            assert try_open(raw, "made", CREAT) == Errno.MFILE
        assert not (folder / "made").exists()
        assert len(os.listdir("/proc/self/fd")) == held
        assert raw.call("fd_close", 4) == 0
        assert raw.open("f") == 4
    with Raw(config.with_limits(open_files=None)) as raw:
        assert raw.open("f") == 4


def test_more_directories_than_open_files_are_allowed(folder: Path) -> None:
    config = ModuleConfig().with_limits(open_files=3).with_host_directory_preopen("/", folder)
    with pytest.raises(ConfigError, match="open_files"):
        Raw(config)


def test_the_process_has_no_descriptor_left(raw: Raw, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The OS refuses to open a file. That `reserve` refuses before is tested in tests/descriptors."""
    monkeypatch.setattr(reserve, "high", 1 << 30)  # it looks at higher descriptors only
    monkeypatch.setattr(reserve, "tight", False)
    (folder / "d").mkdir()
    (folder / "d" / "f").write_bytes(b"")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, before[1]))
    opened = []
    try:
        while (code := try_open(raw, "d/f")) == 0:
            opened.append(raw.get(0x80))
        assert code == Errno.MFILE
        assert raw.call("fd_close", opened.pop()) == 0
        assert try_open(raw, "d/f") == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
