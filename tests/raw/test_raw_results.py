"""What each function writes into guest memory: exactly its results, and not one byte more."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.raw.scene import ALL_RIGHTS, CALLS, FAILING, FILE
from tests.raw.test_raw_pointers import arguments
from tests.support.raw import Raw, abi, clock, event, number, readable, record, writable
from wasihost import Errno, ExitError

R, B = 0x100, 0x200
"""Where results and buffers are."""


def rights(*names: str) -> int:
    """Bits of `rights`, from the dump."""
    flags = abi()["types"]["rights"]["flags"]
    return sum(1 << flags.index(name) for name in names)


def filestat(st: os.stat_result, filetype: int) -> bytes:
    return record("filestat", dev=st.st_dev, ino=st.st_ino, filetype=filetype, nlink=st.st_nlink, size=st.st_size,
                  atim=st.st_atime_ns, mtim=st.st_mtime_ns, ctim=st.st_ctime_ns)  # fmt: skip


def test_args(raw: Raw) -> None:
    raw.expect("args_sizes_get", R, R + 8, writes={R: number(2), R + 8: number(9)})
    raw.expect("args_get", R, B, writes={R: number(B) + number(B + 5), B: b"prog\0x y\0"})


def test_environ(raw: Raw) -> None:
    raw.expect("environ_sizes_get", R, R + 8, writes={R: number(2), R + 8: number(9)})
    raw.expect("environ_get", R, B, writes={R: number(B) + number(B + 4), B: b"A=1\0B=22\0"})


def test_clocks(raw: Raw) -> None:
    for clock_id, resolution in enumerate((1000, 7, 1, 1)):
        raw.expect("clock_res_get", clock_id, R, writes={R: number(resolution, 8)})
    raw.expect("clock_time_get", 0, 0, R, writes={R: number(1_700_000_000_123_456_789, 8)})
    raw.expect("clock_time_get", 1, 2**64 - 1, R, writes={R: number(42, 8)})
    for clock_id, now in ((2, time.process_time_ns), (3, time.thread_time_ns)):
        before = now()
        assert raw.call("clock_time_get", clock_id, 0, R) == 0
        assert before <= raw.get(R, 8) <= now()


def test_random(raw: Raw) -> None:
    raw.expect("random_get", B, 5, writes={B: bytes(range(5))})
    raw.expect("random_get", B, 0)
    raw.expect("random_get", B + 3, 4, writes={B + 3: bytes(range(5, 9))})


@pytest.mark.parametrize(
    "name",
    ["fd_advise", "fd_datasync", "fd_sync", "fd_fdstat_set_flags", "fd_filestat_set_times", "fd_renumber", "fd_close",
     "fd_fdstat_set_rights", "fd_allocate", "fd_filestat_set_size", "path_create_directory", "path_link", "path_rename",
     "path_filestat_set_times", "path_remove_directory", "path_symlink", "path_unlink_file", "sched_yield",
     "proc_raise", *FAILING],
)  # fmt: skip
def test_functions_without_results_write_nothing(raw: Raw, name: str) -> None:
    raw.expect(name, *arguments(raw, name), errno=FAILING.get(name, 0))


def test_fdstat(raw: Raw) -> None:
    file = rights("fd_datasync", "fd_read", "fd_seek", "fd_fdstat_set_flags", "fd_sync", "fd_tell", "fd_write",
                  "fd_advise", "fd_allocate", "fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times",
                  "poll_fd_readwrite")  # fmt: skip
    stat = record("fdstat", fs_filetype=4, fs_flags=0, fs_rights_base=file, fs_rights_inheriting=0)
    raw.expect("fd_fdstat_get", FILE, R, writes={R: stat})
    assert raw.call("fd_fdstat_set_flags", FILE, 5) == 0
    stat = record("fdstat", fs_filetype=4, fs_flags=5, fs_rights_base=file, fs_rights_inheriting=0)
    raw.expect("fd_fdstat_get", FILE, R, writes={R: stat})
    stdin = rights("fd_read", "fd_fdstat_set_flags", "fd_filestat_get", "poll_fd_readwrite")
    stat = record("fdstat", fs_filetype=0, fs_flags=0, fs_rights_base=stdin, fs_rights_inheriting=0)
    raw.expect("fd_fdstat_get", 0, R, writes={R: stat})
    stdout = stdin & ~rights("fd_read") | rights("fd_write")
    stat = record("fdstat", fs_filetype=0, fs_flags=0, fs_rights_base=stdout, fs_rights_inheriting=0)
    raw.expect("fd_fdstat_get", 2, R, writes={R: stat})
    file_only = file & ~rights("fd_filestat_get", "fd_filestat_set_times", "fd_fdstat_set_flags", "fd_sync",
                               "fd_datasync")  # fmt: skip
    sockets = rights("sock_accept", "sock_shutdown")
    stat = record("fdstat", fs_filetype=3, fs_flags=0, fs_rights_base=ALL_RIGHTS & ~file_only & ~sockets,
                  fs_rights_inheriting=ALL_RIGHTS)  # fmt: skip
    raw.expect("fd_fdstat_get", 3, R, writes={R: stat})


def test_filestat(raw: Raw, folder: Path) -> None:
    raw.expect("fd_filestat_get", FILE, R, writes={R: filestat((folder / "file").stat(), 4)})
    raw.expect("fd_filestat_get", 3, R, writes={R: filestat(folder.stat(), 3)})
    raw.expect("fd_filestat_get", 1, R, writes={R: number(0, 24) + number(1, 8) + number(0, 32)})
    link = raw.text("link")
    raw.expect("path_filestat_get", 3, 0, *link, R, writes={R: filestat((folder / "link").lstat(), 7)})
    raw.expect("path_filestat_get", 3, 1, *link, R, writes={R: filestat((folder / "file").stat(), 4)})


def test_read_and_pread(raw: Raw) -> None:
    vectors = raw.iovecs((B, 3), (B + 8, 0), (B + 16, 9))
    raw.expect("fd_pread", FILE, *vectors, 2, R, writes={R: number(5), B: b"nte", B + 16: b"nt"})
    raw.expect("fd_read", FILE, *vectors, R, writes={R: number(7), B: b"con", B + 16: b"tent"})
    raw.expect("fd_read", FILE, *vectors, R, writes={R: number(0)})
    raw.expect("fd_pread", FILE, *vectors, 7, R, writes={R: number(0)})
    raw.expect("fd_read", 0, *vectors, R, writes={R: number(5), B: b"inp", B + 16: b"ut"})


def test_write_and_pwrite(raw: Raw, folder: Path) -> None:
    raw.expect("fd_pwrite", FILE, *raw.data(b"XY", b"", b"Z"), 5, R, writes={R: number(3)})
    assert (folder / "file").read_bytes() == b"conteXYZ"
    raw.expect("fd_write", FILE, *raw.data(b"ab", b"c"), R, writes={R: number(3)})
    assert (folder / "file").read_bytes() == b"abcteXYZ"
    raw.expect("fd_write", 1, *raw.data(b"gone"), R, writes={R: number(4)})


def test_seek_and_tell(raw: Raw) -> None:
    raw.expect("fd_seek", FILE, 3, 0, R, writes={R: number(3, 8)})
    raw.expect("fd_seek", FILE, 2, 1, R, writes={R: number(5, 8)})
    raw.expect("fd_seek", FILE, 2**40, 2, R, writes={R: number(7 + 2**40, 8)})
    raw.expect("fd_tell", FILE, R, writes={R: number(7 + 2**40, 8)})


def test_prestat(raw: Raw) -> None:
    raw.expect("fd_prestat_get", 3, R, writes={R: number(0) + number(5)})
    raw.expect("fd_prestat_dir_name", 3, B, 5, writes={B: b"/data"})
    raw.expect("fd_prestat_dir_name", 3, B, 9, writes={B: b"/data"})
    raw.expect("fd_prestat_dir_name", 3, B, 4, errno=Errno.NAMETOOLONG)
    for fd in (0, FILE, 5):
        raw.expect("fd_prestat_get", fd, R, errno=Errno.BADF)
        raw.expect("fd_prestat_dir_name", fd, B, 9, errno=Errno.BADF)


def test_readdir(raw: Raw, folder: Path) -> None:
    names = [(b".", folder, 3), (b"..", folder, 3)]
    names += [(entry.name.encode(), Path(entry.path), {"folder": 3, "file": 4, "link": 7}[entry.name])
              for entry in os.scandir(folder)]  # fmt: skip
    entries = b"".join(
        record("dirent", d_next=number, d_ino=path.lstat().st_ino, d_namlen=len(name), d_type=filetype) + name
        for number, (name, path, filetype) in enumerate(names, 1)
    )
    raw.expect("fd_readdir", 3, B, 1000, 0, R, writes={R: number(len(entries)), B: entries})
    for cut in (0, 1, 24, 25, 40, len(entries) - 1):
        raw.expect("fd_readdir", 3, B, cut, 0, R, writes={R: number(cut), B: entries[:cut]})
    rest = entries[25 + 26 :]
    raw.expect("fd_readdir", 3, B, 1000, 2, R, writes={R: number(len(rest)), B: rest})
    for cookie in (5, 6, 2**64 - 1):
        raw.expect("fd_readdir", 3, B, 1000, cookie, R, writes={R: number(0)})


def test_path_open(raw: Raw) -> None:
    raw.expect("path_open", 3, 0, *raw.text("file"), 0, 2, 0, 0, R, writes={R: number(5)})
    raw.expect("path_open", 3, 1, *raw.text("link"), 0, 2, 0, 0, R, writes={R: number(6)})
    raw.expect("path_open", 3, 0, *raw.text("link"), 0, 2, 0, 0, R, errno=Errno.LOOP)
    raw.expect("path_open", 3, 0, *raw.text("folder"), 2, 0, 0, 0, R, writes={R: number(7)})
    raw.expect("path_open", 3, 0, *raw.text("none"), 0, 2, 0, 0, R, errno=Errno.NOENT)


def test_readlink(raw: Raw) -> None:
    path = raw.text("link")
    raw.expect("path_readlink", 3, *path, B, 9, R, writes={R: number(4), B: b"file"})
    raw.expect("path_readlink", 3, *path, B, 3, R, writes={R: number(3), B: b"fil"})
    raw.expect("path_readlink", 3, *path, B, 0, R, writes={R: number(0)})


def test_poll(raw: Raw) -> None:
    subscriptions = [clock(2**64 - 1, 1, 42, absolute=True), readable(7, FILE), writable(8, FILE), readable(9, 99)]
    raw.put(B, b"".join(subscriptions))
    events = [event(7, 1, nbytes=7), event(8, 2, nbytes=1), event(9, 1, error=8), event(2**64 - 1, 0)]
    raw.expect("poll_oneoff", B, 0x1000, 4, R, writes={R: number(4), 0x1000: b"".join(events)})


def test_poll_may_answer_where_it_was_asked(raw: Raw) -> None:
    raw.put(B, clock(5, 1, 0))
    raw.expect("poll_oneoff", B, B, 1, R, writes={R: number(1), B: event(5, 0)})


def test_proc_exit_writes_nothing(raw: Raw) -> None:
    before = bytes(raw.memory)
    with pytest.raises(ExitError):
        raw.call("proc_exit", 3)
    assert raw.memory == before


def test_every_function_is_compared_here() -> None:
    text = Path(__file__).read_text()
    assert [name for name in CALLS if f'"{name}"' not in text and name not in FAILING] == []
