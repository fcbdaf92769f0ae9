"""`openat2` itself: what is passed to the kernel, signals, and hosts that refuse the call."""

import os
import signal
import struct
import subprocess
import sys
import threading
from types import FrameType

import pytest

from tests.sandbox.trees import Tree, outcome
from wasihost.sandbox import openat2, resolve


@pytest.mark.parametrize(
    ("flags", "mode", "expected"),
    [
        (os.O_RDONLY, 0o666, (os.O_CLOEXEC, 0)),
        (os.O_RDWR | os.O_CREAT, 0o666, (os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)),
        (os.O_RDWR | os.O_CREAT, 0o100644, (os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)),
        (os.O_PATH | os.O_CREAT | os.O_TRUNC, 0o666, (os.O_PATH | os.O_CLOEXEC, 0)),
        (os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, 0,
         (os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, 0)),
    ],
)  # fmt: skip
def test_open_how(flags: int, mode: int, expected: tuple[int, int]) -> None:
    """`openat2` refuses flags and modes that `open` ignores, so they must not get there."""
    sent, sent_mode, resolve_flags = struct.unpack("=QQQ", openat2.open_how(flags, mode))
    if not flags & os.O_PATH:
        sent &= ~os.O_LARGEFILE
        expected = (expected[0] & ~os.O_LARGEFILE, expected[1])
    assert (sent, sent_mode) == expected
    assert resolve_flags == 0x0A


def test_interrupted_open_goes_on_until_a_handler_raises(tree: Tree) -> None:
    class Enough(Exception):
        pass

    alarms = 0

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        nonlocal alarms
        alarms += 1
        if alarms == 3:
            raise Enough

    os.mkfifo(tree.base / "dir" / "fifo")
    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(Enough):
            resolve.by_openat2(tree.fd, "dir/fifo", os.O_RDONLY, 0, True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert alarms == 3


def test_other_threads_run_during_the_call(tree: Tree) -> None:
    """Opening a FIFO waits for the other end, which a second thread of this process opens."""
    os.mkfifo(tree.base / "dir" / "fifo")
    opened: list[int] = []

    def other_end() -> None:
        opened.append(resolve.by_openat2(tree.fd, "dir/fifo", os.O_WRONLY, 0, True))

    thread = threading.Thread(target=other_end)
    thread.start()
    opened.append(resolve.by_openat2(tree.fd, "dir/fifo", os.O_RDONLY, 0, True))
    thread.join()
    for fd in opened:
        os.close(fd)


FILTERED = """
import ctypes, errno, os, struct, sys
from wasihost.sandbox import openat2, resolve
from wasihost.sandbox.resolve import open_beneath

base, late = sys.argv[1], sys.argv[3] == "late"
fd = os.open(base, resolve.DIRECTORY)
if late:
    os.close(open_beneath(fd, "dir/inner", os.O_RDONLY, 0, True))
    assert resolve.strategy is resolve.by_openat2
# A seccomp filter: load the number of the call; 437 gets the errno, all others are allowed.
program = b"".join(struct.pack("=HBBI", *step) for step in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 437),
    (0x06, 0, 0, 0x00050000 | getattr(errno, sys.argv[2])), (0x06, 0, 0, 0x7FFF0000)))
code = ctypes.create_string_buffer(program)
libc = ctypes.CDLL(None, use_errno=True)
header = struct.pack("@HP", 4, ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, header, 0, 0) == 0, ctypes.get_errno()
for _ in range(2):
    os.close(open_beneath(fd, "dir/inner", os.O_RDONLY, 0, True))
    assert resolve.strategy is resolve.by_walk
    try:
        open_beneath(fd, "evil/secret", os.O_RDONLY, 0, True)
    except PermissionError as error:
        assert error.errno == errno.EPERM
    else:
        raise SystemExit("escaped")
print("done")
"""


@pytest.mark.parametrize(("code", "when"), [("ENOSYS", "early"), ("EPERM", "early"), ("ENOSYS", "late")])
def test_a_host_that_refuses_the_call_gets_the_walk(tree: Tree, code: str, when: str) -> None:
    """For real, in a process of its own: seccomp filters answer ENOSYS (containers) or EPERM (older ones)."""
    command = [sys.executable, "-c", FILTERED, str(tree.base), code, when]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_a_full_descriptor_table_is_not_taken_for_a_missing_call() -> None:
    script = (
        "import os, resource\n"
        "from wasihost.sandbox import openat2\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "held = []\n"
        "try:\n"
        "    while True: held.append(os.dup(0))\n"
        "except OSError: pass\n"
        "assert openat2.available()\n"
        "for fd in held: os.close(fd)\n"
        "assert openat2.available()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_nul_does_not_end_the_path(tree: Tree) -> None:
    """C strings end at NUL: `file\\0/../x` must not open `file`."""
    assert outcome(openat2.open_path, tree.fd, "file\0/../x", os.O_RDONLY, 0) == "EINVAL"
