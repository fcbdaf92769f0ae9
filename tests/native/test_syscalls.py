"""The system calls in C return, raise and leave behind what those of Python do."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from wasi_preview1.types import Filestat, Filetype

from tests.native.raising import raised
from wasihost.descriptors.hoststat import filestat_of
from wasihost.native import extension, why
from wasihost.sandbox import openat2, resolve
from wasihost.sandbox.bounds import ANYWHERE, INSIDE, Bounds

pytestmark = pytest.mark.skipif(extension is None, reason=f"this is the pure path: {why}")
calls: Any = extension
KERNEL = INSIDE if openat2.available() else 0
"""The flags for paths of several components, if this system can open them in one call."""


def blocks_kept(call: Callable[[], object]) -> int:
    """How many blocks of memory a thousand calls keep."""
    for _ in range(100):
        call()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        call()
    return sys.getallocatedblocks() - before


# -- fstat and fstatat ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["file", "dir", "link", "fifo", "socket", "ünïcode", "."])
def test_filestat_is_that_of_python(tree: int, known: set[int], name: str) -> None:
    expected = filestat_of(os.stat(name, dir_fd=tree, follow_symlinks=False))
    found = calls.filestat_plain(tree, name, False, known, 0)
    assert type(found) is Filestat
    assert found == expected
    assert type(found.filetype) is Filetype
    if name in ("file", "dir"):
        fd = os.open(name, os.O_RDONLY, dir_fd=tree)
        try:
            assert calls.filestat(fd) == expected
            assert hash(calls.filestat(fd)) == hash(expected)
        finally:
            os.close(fd)


def test_filestat_of_a_device() -> None:
    with open("/dev/null") as null:
        assert calls.filestat(null.fileno()) == filestat_of(os.fstat(null.fileno()))
        assert calls.filestat(null.fileno()).filetype is Filetype.CHARACTER_DEVICE


def test_filestat_without_a_class_for_its_records_is_an_error() -> None:
    code = "from wasihost.native import extension; extension.filestat(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("RuntimeError: set_filestat() has to be called first\n")
    assert done.returncode == 1


def test_filestat_with_a_time_before_1970_is_left_to_python(tree: int, known: set[int]) -> None:
    os.utime("file", ns=(-5_000_000_000, 7), dir_fd=tree)
    fd = os.open("file", os.O_RDONLY, dir_fd=tree)
    try:
        assert calls.filestat(fd) == filestat_of(os.fstat(fd))
        assert calls.filestat(fd).atim == 0
    finally:
        os.close(fd)
    assert calls.filestat_plain(tree, "file", False, known, 0) is None


def test_filestat_raises_as_python_does(tree: int, known: set[int]) -> None:
    assert raised(calls.filestat, -1) == raised(os.fstat, -1)
    assert raised(calls.filestat_plain, tree, "no", False, known, 0) == raised(os.stat, "no")
    for wrong in ("1", None, 1.5):
        with pytest.raises(TypeError):
            calls.filestat(wrong)
    with pytest.raises(OverflowError):
        calls.filestat(1 << 32)


@pytest.mark.skipif(not KERNEL, reason="there is no openat2")
def test_filestat_of_several_components_leaves_no_descriptor(tree: int, known: set[int]) -> None:
    path = "dir/below/leaf"
    before = os.listdir("/proc/self/fd")
    found = calls.filestat_plain(tree, path, True, known, KERNEL)
    assert found == filestat_of(os.stat(path, dir_fd=tree))
    assert calls.filestat_plain(tree, "dir/up", True, known, KERNEL).size == 7
    assert calls.filestat_plain(tree, "dir/up", False, known, KERNEL).filetype is Filetype.SYMBOLIC_LINK
    assert os.listdir("/proc/self/fd") == before


NOT_PLAIN = ["", "..", "/etc", "/", "file/", "dir/below/", "a\0b", "file\0", "\udc80", "d\ud800"]


@pytest.mark.parametrize("path", NOT_PLAIN)
def test_a_path_that_is_not_plain_is_left_to_python(tree: int, known: set[int], path: str) -> None:
    held: list[int] = []
    for follow in (False, True):
        assert calls.filestat_plain(tree, path, follow, known, KERNEL) is None
        assert calls.open_plain(tree, path, follow, known, KERNEL, os.O_RDONLY, 0, held) is None
    assert held == []


@pytest.mark.parametrize("path", ["link", "dangling", "out", "file/below", "out/passwd", "dir/../../x", "../x"])
def test_what_the_system_refuses_is_left_to_python(tree: int, known: set[int], path: str) -> None:
    held: list[int] = []
    assert calls.open_plain(tree, path, True, known, KERNEL, os.O_RDONLY, 0, held) is None
    assert calls.filestat_plain(tree, path, True, known, KERNEL) is None
    assert held == []


def test_without_openat2_only_single_names_are_plain(tree: int, known: set[int]) -> None:
    assert calls.filestat_plain(tree, "dir/below", True, known, 0) is None
    assert calls.filestat_plain(tree, "dir", True, known, 0) is not None
    assert calls.filestat_plain(tree, "dir", True, known, -1) is None
    held: list[int] = []
    assert calls.open_plain(tree, "dir/below", True, known, 0, os.O_RDONLY, 0, held) is None
    assert calls.open_plain(tree, "dir", True, known, -1, os.O_RDONLY, 0, held) is None
    assert held == []


def test_another_device_is_left_to_python(tree: int) -> None:
    assert calls.filestat_plain(tree, "file", False, set(), 0) is None
    held: list[int] = []
    mode = calls.open_plain(tree, "file", False, set(), 0, os.O_RDONLY, 0, held)
    assert mode == -os.stat("file", dir_fd=tree).st_mode
    list(map(os.close, held))


def test_paths_follow_the_chosen_strategy_and_the_bounds(tree: int) -> None:
    here = os.fstat(tree)
    bounds = Bounds((here.st_dev, here.st_ino))
    assert resolve.filestat_plain(tree, "file", True, bounds) is not None
    with resolve.using(resolve.by_walk):
        assert resolve.filestat_plain(tree, "dir/below", True, bounds) is None
        assert resolve.filestat_plain(tree, "file", True, bounds) is not None
    if KERNEL:
        with resolve.using(resolve.by_openat2):
            assert resolve.filestat_plain(tree, "dir/below", True, bounds) is not None
            assert resolve.filestat_plain(tree, "dir/below", True, ANYWHERE) is not None
            bounds.note_crossing()
            assert resolve.filestat_plain(tree, "dir/below", True, bounds) is None
    one = Bounds((here.st_dev, here.st_ino), one_file_system=True)
    assert resolve.filestat_plain(tree, "file", True, one) is None
    one.note_crossing()
    assert resolve.open_plain(tree, "file", os.O_RDONLY, 0, True, one, []) is None


# -- openat and openat2 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["file", "dir/below/leaf"] if KERNEL else ["file"])
def test_open_is_that_of_python(tree: int, known: set[int], path: str) -> None:
    held: list[int] = []
    mode = calls.open_plain(tree, path, True, known, KERNEL, os.O_RDWR, 0, held)
    (fd,) = held
    try:
        assert mode == os.fstat(fd).st_mode
        assert not os.get_inheritable(fd)
        assert os.path.samestat(os.fstat(fd), os.stat(path, dir_fd=tree))
        assert os.write(fd, b"new") == 3
    finally:
        os.close(fd)


@pytest.mark.parametrize("path", ["new", "dir/new"] if KERNEL else ["new"])
def test_open_creates_with_the_mode(tree: int, known: set[int], path: str) -> None:
    before, held = os.umask(0o022), [-5]
    try:
        mode = calls.open_plain(tree, path, True, known, KERNEL, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666, held)
        assert mode == 0o100644
    finally:
        os.umask(before)
    assert held.pop(0) == -5
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    again = raised(calls.open_plain, tree, path, True, known, KERNEL, flags, 0o666, held)
    assert again == (FileExistsError, errno.EEXIST, os.strerror(errno.EEXIST), path)
    assert raised(calls.open_plain, tree, f"{path}.no", True, known, KERNEL, 0, 0, held)[1:] == (
        errno.ENOENT, os.strerror(errno.ENOENT), f"{path}.no"
    )  # fmt: skip
    list(map(os.close, held))


def test_a_descriptor_without_an_owner_is_closed(tree: int, known: set[int]) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SystemError):
        calls.open_plain(tree, "file", True, known, 0, os.O_RDONLY, 0, ())  # not a list
    assert os.listdir("/proc/self/fd") == before


def test_arguments_are_checked(tree: int, known: set[int]) -> None:
    for arguments in [(), (tree,), (tree, "file", True, known, "0"), (tree, b"file", True, known, 0)]:
        with pytest.raises(TypeError):
            calls.filestat_plain(*arguments)
    with pytest.raises(TypeError):
        calls.filestat_plain(tree, "file", True, 7, 0)


def test_audit_hooks_see_what_python_would_report(tree: int) -> None:
    code = f"""
import sys
from wasihost.native import extension
events = []
sys.addaudithook(lambda name, args: events.append((name, args)) if name in ("open", "os.scandir") else None)
import os
held = []
extension.open_plain({tree}, "file", False, {{os.fstat({tree}).st_dev}}, 0, os.O_RDONLY, 0, held)
os.open("file", os.O_RDONLY, dir_fd={tree})
extension.read_directory({tree}, 1, 2, bytes(16), int)
os.scandir({tree}).close()
assert len(events) == 4, events
assert events[0][0] == events[1][0] == "open" and events[0][1][:2] == events[1][1][:2], events
assert events[2] == events[3], events
def refuse(name, args):
    if name in ("open", "os.scandir"): raise RuntimeError(name)
sys.addaudithook(refuse)
for call in (lambda: extension.open_plain({tree}, "file", False, {{0}}, 0, 0, 0, held),
             lambda: extension.read_directory({tree}, 1, 2, bytes(16), int)):
    try: call()
    except RuntimeError: pass
    else: raise AssertionError
assert len(held) == 1
"""
    subprocess.run([sys.executable, "-c", code], pass_fds=[tree], check=True)


# -- memory --------------------------------------------------------------------------------------------------------


def test_no_call_keeps_memory(tree: int, known: set[int]) -> None:
    def refused(call: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(OSError):
            call(*args)

    buffers = [bytearray(8)] * 20
    fd = os.open("file", os.O_RDWR, dir_fd=tree)
    held: list[int] = []

    def opened_and_closed() -> None:
        calls.open_plain(tree, "file", True, known, KERNEL, os.O_RDONLY, 0, held)
        os.close(held.pop())

    for call in (
        lambda: calls.filestat(fd),
        lambda: calls.filestat_plain(tree, "dir/below", True, known, KERNEL),
        lambda: calls.filestat_plain(tree, "\udc80", True, known, KERNEL),
        lambda: refused(calls.filestat_plain, tree, "no", True, known, KERNEL),
        opened_and_closed,
        lambda: calls.preadv(fd, buffers, 0),
        lambda: calls.pwritev(fd, buffers, 0),
        lambda: calls.read_directory(tree, 1, 2, bytes(16), int),
        lambda: calls.pack_entries([(b"a", 1, 3)], int),
        lambda: calls.pack_entries([(b"a", 1.5, 3)], int),
    ):
        assert blocks_kept(call) < 100
    os.close(fd)
