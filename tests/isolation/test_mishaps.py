"""What goes wrong around guests in processes: processes that are killed, closed descriptors, forks, Ctrl-C, crowds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.isolation.test_lockdown import alive, children, gone, locked
from tests.support.guests import build_c
from wasihost import IsolationError, Module, run, start
from wasihost.isolation.pool import pool

PATH = str(build_c("tool"))
TOOL = Module(PATH)


def exit_with(code: int) -> int:
    return run(TOOL, args=["exit", str(code)], isolation="process").returncode


def said_by(code: str) -> list[str]:
    """The lines that a program prints which ends well and has nothing to complain of."""
    code = f"import os, signal, socket, sys, threading, time, wasihost\nPATH = {PATH!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert not done.returncode, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


@contextmanager
def zygote_with(monkeypatch: pytest.MonkeyPatch, code: str) -> Iterator[None]:
    """A new zygote, in which this is executed first."""
    from wasihost.isolation import pool as module

    pool.close()
    monkeypatch.setattr(module, "_SOURCE", module._SOURCE.replace("zygote.main", f"exec({code!r}); zygote.main"))
    try:
        yield
    finally:
        pool.close()


def test_workers_that_are_taken_and_not_used_do_not_count_as_failed() -> None:
    """As by runs that signal handlers interrupt before their guests begin: others are made ready in their place."""
    assert exit_with(2) == 2
    for _ in range(6):
        assert gone(lambda: bool(children(pool.process or 0)))
        worker = pool.spawn()
        worker.kill()
        assert worker.status() == -signal.SIGKILL
        worker.close()


def test_workers_that_are_killed_while_they_wait() -> None:
    """As the system does when memory is short."""
    assert exit_with(1) == 1
    assert pool.process is not None
    for _ in range(3):
        assert gone(lambda: bool(children(pool.process or 0)))
        for one in children(pool.process):
            os.kill(one, signal.SIGKILL)
        assert exit_with(2) == 2
    assert gone(lambda: bool(children(pool.process or 0)))  # ready again


def test_a_zygote_that_is_killed_ends_its_guests_and_another_takes_its_place() -> None:
    with start(TOOL, args=["spin"], isolation="process") as process:
        process.stdout.readline()
        assert pool.process is not None
        killed = pool.process
        os.kill(killed, signal.SIGKILL)
        assert gone(lambda: not alive(killed))
        assert exit_with(3) == 3
        with pytest.raises(IsolationError):
            process.wait(30)


def test_where_no_process_can_be_made_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has no limit of processes: the call is replaced, after the one fork at the beginning."""
    code = """
import errno, os
real, made = os.fork, []
def fork():
    if len(made) >= 3:
        raise OSError(errno.EAGAIN, "")
    made.append(1)
    return real()
os.fork = fork
"""
    with zygote_with(monkeypatch, code), start(TOOL, args=["spin"], isolation="process") as process:
        process.stdout.readline()
        assert exit_with(1) == 1
        for _ in range(3):
            with pytest.raises(IsolationError, match="no process can be made for the guest: Resource temporarily"):
                exit_with(1)
        assert process.poll() is None  # those that run go on
        process.kill()


def test_workers_that_die_at_once_are_not_made_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with zygote_with(monkeypatch, "zygote.worker.begin = lambda: zygote.os._exit(7)"):
        for _ in range(2):
            with pytest.raises(IsolationError, match="status 7"):
                exit_with(1)
        assert pool.process is not None
        assert gone(lambda: not children(pool.process or 0))
        time.sleep(0.3)
        assert not children(pool.process)


def test_a_zygote_that_cannot_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        zygote_with(monkeypatch, "raise RuntimeError('not today')"),
        pytest.raises(IsolationError, match="no process can be made for guests: RuntimeError: not today"),
    ):
        exit_with(1)


def test_an_embedder_that_closes_all_descriptors() -> None:
    """As daemons do. What has taken the numbers since then is not written to, and not closed."""
    assert said_by("""
def run():
    return wasihost.run(PATH, args=["exit", "5"], isolation="process").returncode
run()
os.closerange(3, 256)
print(run())
os.closerange(3, 256)
mine = [os.open(os.devnull, os.O_RDWR) for _ in range(60)]
pipes = [os.pipe() for _ in range(10)]
print(run())
print(all(os.fstat(one) for one in mine))
for _, write in pipes:
    os.close(write)
print({os.read(read, 10) for read, _ in pipes})
""") == ["5", "5", "True", "{b''}"]


def test_a_default_timeout_of_sockets_is_not_for_ours() -> None:
    assert said_by("""
socket.setdefaulttimeout(0.05)
for _ in range(3):
    print(wasihost.run(PATH, args=["sleep", "0.3"], isolation="process").returncode)
""") == ["0", "0", "0"]


def test_a_hundred_at_once() -> None:
    """More than are ready; those that are left afterwards are few."""
    codes: list[int] = []
    threads = [threading.Thread(target=lambda one=one: codes.append(exit_with(one))) for one in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(100))
    assert pool.process is not None
    assert gone(lambda: len(children(pool.process or 0)) <= 10)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_parent_s_guests_alone() -> None:
    """The child unwinds the same frames, and has the same sockets."""
    parent = os.getpid()
    seen: list[int] = []

    def fork(_data: bytes) -> None:
        child = os.fork()
        if not child:
            raise SystemExit
        seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    try:
        assert run(TOOL, args=["args"], stdout=fork, isolation="process").returncode == 0
    except SystemExit:
        os._exit(44)
    assert os.getpid() == parent
    assert set(seen) == {44}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_guest_ends_while_a_forked_child_lives() -> None:
    """Which has both sockets of it, and will not close them."""
    with start(TOOL, args=["spin"], isolation="process") as process:
        process.stdout.readline()
        (guest,) = locked()
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        try:
            process.kill()
            assert process.wait(timeout=30) == -9
            assert gone(lambda: not alive(guest))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_ctrl_c_ends_the_guest_and_nothing_else() -> None:
    assert (
        said_by("""
from wasihost.isolation.pool import pool
def interrupt(data):
    os.kill(os.getpid(), signal.SIGINT)
for _ in range(3):
    try:
        wasihost.run(PATH, args=["spin"], isolation="process", stdout=interrupt)
    except KeyboardInterrupt:
        print("interrupted")
    threading.Timer(0.1, interrupt, [b""]).start()
    try:
        wasihost.run(PATH, args=["sleep", "60"], isolation="process")
    except KeyboardInterrupt:
        print("interrupted")
    before = pool.process
    print(wasihost.run(PATH, args=["exit", "4"], isolation="process").returncode, pool.process == before)
""")
        == ["interrupted", "interrupted", "4 True"] * 3
    )


def test_signals_at_any_moment_leave_no_worker_and_no_descriptor() -> None:
    """A handler that raises comes between any two steps of taking a worker, and of letting go of it."""
    (found,) = said_by("""
from wasihost.isolation.pool import pool
class Alarm(Exception):
    pass
def raising(*_):
    raise Alarm
def run():
    assert wasihost.run(PATH, args=["exit", "4"], isolation="process").returncode == 4
signal.signal(signal.SIGALRM, raising)
run()
before = len(os.listdir("/dev/fd"))
met = 0
for number in range(60):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003 + number % 20 * 0.0004)
        try:
            run()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        met += 1
run()
until = time.monotonic() + 30
path = f"/proc/{pool.process}/task/{pool.process}/children"
while len(open(path).read().split()) > 10 and time.monotonic() < until:
    time.sleep(0.05)
print(met > 5, len(os.listdir("/dev/fd")) - before, len(open(path).read().split()) <= 10)
""")
    assert found == "True 0 True"


def test_a_worker_has_no_socket_of_another() -> None:
    """But its own channel, to the embedder."""
    with (
        start(TOOL, args=["spin"], isolation="process") as first,
        start(TOOL, args=["spin"], isolation="process") as second,
    ):
        for process in (first, second):
            process.stdout.readline()
        for one in locked():
            kinds = [os.readlink(f"/proc/{one}/fd/{fd}") for fd in os.listdir(f"/proc/{one}/fd")]
            assert sum(kind.startswith("socket:") for kind in kinds) == 1
        first.kill()
        second.kill()
