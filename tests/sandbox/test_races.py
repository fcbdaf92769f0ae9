"""A thread swaps a directory for a link outwards as fast as it can, while another works through it."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.trees import Tree, outcome, picture
from wasihost.sandbox import openat2, operations, resolve

SECONDS = 1.0
LONGEST = 60.0
"""Beside load it takes longer until both sides have had their turns."""


@contextlib.contextmanager
def swapping(tree: Tree) -> Iterator[list[int]]:
    """`here` is by turns a directory with a file `secret`, and a link to `outside`, which has one as well."""
    os.mkdir(tree.base / "here")
    (tree.base / "here" / "secret").write_text("harmless")
    os.symlink("../outside", tree.base / "spare")
    stop, swaps = threading.Event(), [0]

    def swap() -> None:
        while not stop.is_set():
            for first, second, third in (("here", "aside", "spare"), ("here", "spare", "aside")):
                os.rename(first, second, src_dir_fd=tree.fd, dst_dir_fd=tree.fd)
                os.rename(third, "here", src_dir_fd=tree.fd, dst_dir_fd=tree.fd)
            swaps[0] += 1

    thread = threading.Thread(target=swap)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


@pytest.mark.usefixtures("strategy")
def test_no_escape_while_a_directory_becomes_a_link(tree: Tree) -> None:
    before = picture(tree.outside)
    forbidden = {os.stat(tree.outside).st_ino, os.stat(tree.outside / "secret").st_ino}
    seen: Counter[str] = Counter()
    begin = time.monotonic()
    with swapping(tree) as swaps:

        def enough() -> bool:
            return swaps[0] > 100 and seen["opened"] > 100 and seen["EPERM"] > 10

        while (passed := time.monotonic() - begin) < SECONDS or (passed < LONGEST and not enough()):
            for path in ("here/secret", "here", "here/", "here/.", "dir/../here/secret", "here/../file"):
                for flags in (os.O_RDONLY, os.O_PATH):
                    opened = outcome(resolve.open_beneath, tree.fd, path, flags, 0, True)
                    if isinstance(opened, int):
                        assert os.fstat(opened).st_ino not in forbidden, path
                        os.close(opened)
                    seen[opened if isinstance(opened, str) else "opened"] += 1
                status = outcome(resolve.stat_beneath, tree.fd, path, True)
                assert not isinstance(status, os.stat_result) or status.st_ino not in forbidden, path
            outcome(resolve.open_beneath, tree.fd, "here/new", os.O_CREAT | os.O_WRONLY, 0o600, True)
            outcome(operations.mkdir_beneath, tree.fd, "here/folder2", 0o700)
            outcome(operations.utime_beneath, tree.fd, "here/secret", True, (1, 1))
            outcome(operations.utime_beneath, tree.fd, "here/", True, (1, 1))
            outcome(operations.link_beneath, tree.fd, "here/secret", True, tree.fd, "stolen")
            outcome(operations.rename_beneath, tree.fd, "file", tree.fd, "here/file")
            outcome(operations.rename_beneath, tree.fd, "here/file", tree.fd, "file")
            outcome(operations.unlink_beneath, tree.fd, "here/new")
            outcome(operations.rmdir_beneath, tree.fd, "here/folder2")
    assert picture(tree.outside) == before
    assert not os.path.exists(tree.base / "stolen") or os.stat(tree.base / "stolen").st_ino not in forbidden
    assert enough(), (swaps, seen)  # the link was met, not only the directory
    assert set(seen) <= {"opened", "EPERM", "ENOENT"}, seen


RENAMING = """
import os, sys
print("ready", flush=True)
while True:
    os.rename(sys.argv[1] + "/x", sys.argv[1] + "/y")
    os.rename(sys.argv[1] + "/y", sys.argv[1] + "/x")
"""
EXCHANGING = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
here, spare = (os.fsencode(sys.argv[1] + name) for name in ("/here", "/spare"))
assert libc.renameat2(-100, here, -100, spare, 2) == 0  # RENAME_EXCHANGE
print("ready", flush=True)
while True:
    libc.renameat2(-100, here, -100, spare, 2)
"""


@contextlib.contextmanager
def beside(script: str, place: Path) -> Iterator[None]:
    """Runs `script` in a process of its own, so that it is not held up by this one."""
    with subprocess.Popen([sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


@pytest.mark.usefixtures("strategy")
def test_files_that_always_exist_are_always_found(tree: Tree) -> None:
    """`here` is a directory or a link outwards, never nothing: both answers have to come, and no third."""
    os.mkdir(tree.base / "here")
    (tree.base / "here" / "secret").write_text("harmless")
    os.symlink("../outside", tree.base / "spare")
    secret = os.stat(tree.outside / "secret").st_ino
    seen: Counter[str] = Counter()
    begin = time.monotonic()
    with beside(EXCHANGING, tree.base):
        while (passed := time.monotonic() - begin) < SECONDS or (passed < LONGEST and len(seen) < 2):
            for path, flags in (("here/secret", os.O_RDONLY), ("here", os.O_DIRECTORY), ("here/", os.O_PATH)):
                opened = outcome(resolve.open_beneath, tree.fd, path, flags, 0, True)
                if isinstance(opened, int):
                    assert os.fstat(opened).st_ino != secret
                    os.close(opened)
                seen[opened if isinstance(opened, str) else "opened"] += 1
    assert set(seen) == {"opened", "EPERM"}, seen


def test_eagain_ends_in_an_answer(tree: Tree) -> None:
    """`..` under `openat2` fails with EAGAIN while anything on the host is renamed: retried, then walked."""
    (tree.outside / "x").touch()
    path = "dir/../" * 500 + "file"
    kernel: Counter[object] = Counter()
    ours: Counter[object] = Counter()
    with beside(RENAMING, tree.outside):
        deadline = time.monotonic() + 30  # reached only if the two processes never run at the same time
        while kernel["EAGAIN"] < 50 and time.monotonic() < deadline:
            for strategy, seen in ((once, kernel), (resolve.by_openat2, ours)):
                opened = outcome(strategy, tree.fd, path, os.O_RDONLY, 0, True)
                if isinstance(opened, int):
                    os.close(opened)
                seen["opened" if isinstance(opened, int) else opened] += 1
    assert kernel["EAGAIN"] > 0, kernel  # or the test proves nothing
    assert set(ours) == {"opened"}, ours


def once(dirfd: int, path: str, flags: int, mode: int, _follow: bool) -> int:
    """`openat2` without trying again."""
    retries, openat2.RETRIES = openat2.RETRIES, 0
    try:
        return openat2.open_path(dirfd, path, flags, mode)
    finally:
        openat2.RETRIES = retries
