"""What went wrong in the handlers of other hosts, by number. Path rules are in tests/sandbox/test_advisories.py,
read-only mounts (GHSA-2r75-cxrj-cmph, GHSA-4ch3-9j33-3pmj) in test_read_only.py."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from wasi_preview1 import GuestFault

from tests.support.raw import Raw
from wasihost import Errno, MemoryFS, ModuleConfig


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_ghsa_3p27_qvp9_27qf_renumber_leaks_nothing(raw: Raw, folder: Path) -> None:
    """The descriptor that was replaced stayed open for ever."""
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode())
    held = descriptors()
    for _ in range(50):
        first, second = raw.open("a"), raw.open("b")
        assert raw.call("fd_renumber", first, second) == 0
        assert raw.read(second, 9) == b"a"
        assert raw.call("fd_close", second) == 0
        assert raw.call("fd_close", first) == Errno.BADF
    assert descriptors() == held


def test_cve_2025_53901_renumber_to_what_is_not_open(raw: Raw, folder: Path) -> None:
    """The host panicked."""
    (folder / "a").write_bytes(b"a")
    fd = raw.open("a")
    for target in (fd + 1, 1000, 2**31, 2**32 - 1):
        assert raw.call("fd_renumber", fd, target) == Errno.BADF
        assert raw.call("fd_renumber", target, fd) == Errno.BADF
    assert raw.read(fd, 9) == b"a"


def test_ghsa_852m_cvvp_9p4w_a_guest_s_number_allocates_nothing(raw: Raw, folder: Path) -> None:
    """The host allocated whatever size the guest named."""
    (folder / "a").write_bytes(b"a")
    fd = raw.open("a")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = 0xFFFF_FFF0
    for name, args in {
        "random_get": (0, huge),
        "fd_readdir": (3, 0, huge, 0, 0x80),
        "path_readlink": (3, *raw.text("a"), 0, huge, 0x80),
        "fd_read": (fd, *raw.iovecs((0, huge)), 0x80),
        "fd_write": (fd, *raw.iovecs((0, huge)), 0x80),
        "poll_oneoff": (0, 0, 4096, 0x80),
    }.items():
        with pytest.raises(GuestFault):
            raw.call(name, *args)
    assert raw.call("fd_read", fd, 0, 0x1000_0000, 0x80) == Errno.INVAL
    assert raw.call("poll_oneoff", 0, 0, 0x1000_0000, 0x80) == Errno.INVAL
    overlapping = raw.iovecs(*[(0, 0x8000)] * 1024)
    assert raw.call("fd_write", fd, *overlapping, 0x80) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_ghsa_96f6_r43r_8c24_readdir_shows_names_only(raw: Raw, folder: Path) -> None:
    """Bytes of the host's memory, or names from outside, came with the entries."""
    for number in range(40):
        (folder / f"name{number}").write_bytes(b"")
    for size in range(24, 200, 7):
        cookie, seen = 0, []
        while True:
            result, buffer = raw.new(4), raw.new(size)
            assert raw.call("fd_readdir", 3, buffer, size, cookie, result) == 0
            used = raw.get(result)
            assert set(raw.memory[buffer + used : buffer + size + 8]) <= {ord("?")}
            raw._free = 0x8000
            raw.put(buffer, b"?" * (size + 32))
            entries, _ = raw.readdir(3, size, cookie)
            seen += [name for *_, name in entries]
            if not entries:
                break
            cookie = entries[-1][0]
            raw._free = 0x8000
            raw.put(0x8000, b"?" * 0x1000)
        if size >= 24 + 6:
            assert sorted(seen) == sorted([b".", b"..", *(f"name{number}".encode() for number in range(40))])


@pytest.mark.parametrize("back_end", ["host", "memory"])
def test_ghsa_m9f7_9w4p_gv38_rename_stays_inside(folder: Path, back_end: str) -> None:
    """Both paths of a rename have to stay in their folders, also through a link in the middle."""
    if back_end == "host":
        (folder / "f").write_bytes(b"x")
        (folder.parent / "outside").mkdir()
        config = ModuleConfig().with_host_directory_preopen("/", folder)
    else:
        config = ModuleConfig().with_mount("/", MemoryFS({"f": b"x"}))
    with Raw(config) as raw:
        assert raw.call("path_symlink", *raw.text("../outside"), 3, *raw.text("out")) == 0
        for new in ("../f", "../outside/f", "out/f", "out/../f", "/f"):
            assert raw.call("path_rename", 3, *raw.text("f"), 3, *raw.text(new)) == Errno.PERM, new
            assert raw.call("path_rename", 3, *raw.text(new), 3, *raw.text("g")) == Errno.PERM, new
        assert raw.call("path_rename", 3, *raw.text("f"), 3, *raw.text("g")) == 0
    assert not (folder.parent / "outside" / "f").exists()
