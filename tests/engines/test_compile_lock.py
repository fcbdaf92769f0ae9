"""Whoever wants a module that is being compiled waits for it, in this process and in others, but not for ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from wasihost import run
from wasihost.engines.wasmtime import compile_lock, module

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files are locked by flock")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("WASIHOST_CACHE_DIR", str(place))
    module.clear_memory()
    return place


def text(number: int) -> str:
    """A module of its own."""
    return f'(module (memory (export "memory") 1) (func (export "_start") (drop (i32.const {number}))))'


def slowly(begun: threading.Event, seconds: float = 0.5) -> Any:
    def on_compile(event: Any) -> None:
        if event.seconds is None:
            begun.set()
            time.sleep(seconds)

    return on_compile


def test_threads_compile_a_module_once(folder: Path) -> None:
    events: list[object] = []
    begun = threading.Event()
    first = threading.Thread(target=lambda: run(text(1), on_compile=slowly(begun)))
    first.start()
    begun.wait(30)
    others = [threading.Thread(target=lambda: run(text(1), on_compile=events.append)) for _ in range(5)]
    for thread in others:
        thread.start()
    for thread in [first, *others]:
        thread.join(30)
    assert events == []
    assert len(list(folder.glob("*.cwasm"))) == 1
    assert not list(folder.glob("*.lock"))


WANTS = """
import sys, time, wasihost
def said(event):
    if event.seconds is None:
        print("compiling", flush=True)
        time.sleep(float(sys.argv[2]))
wasihost.run(sys.argv[1], on_compile=said)
print("done", flush=True)
"""


def wants(source: str, seconds: float = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WANTS, source, str(seconds)], stdout=subprocess.PIPE, text=True
    )  # fmt: skip


def test_processes_compile_a_module_once(folder: Path) -> None:
    with wants(text(2), 1) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "compiling\n"
        others = [wants(text(2)) for _ in range(3)]
        assert [other.communicate(timeout=60)[0] for other in others] == ["done\n"] * 3
        assert first.stdout.read() == "done\n"
    assert not list(folder.glob("*.lock"))


def test_a_lock_of_a_killed_process_is_not_waited_for(folder: Path) -> None:
    with wants(text(3), 60) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "compiling\n"
        assert list(folder.glob("*.lock"))
        first.send_signal(signal.SIGKILL)
        first.wait()
    begun = time.monotonic()
    assert run(text(3)).returncode == 0
    assert time.monotonic() - begun < 20
    assert not list(folder.glob("*.lock"))


def test_a_lock_of_a_stopped_process_is_not_waited_for_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_lock, "_LONGEST", 0.3)
    with wants(text(4), 60) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "compiling\n"
        first.send_signal(signal.SIGSTOP)
        assert run(text(4)).returncode == 0
        assert list(folder.glob("*.lock"))  # which is not ours to remove
        first.kill()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_does_not_wait_for_its_parent(folder: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def stay(event: Any) -> None:
        if event.seconds is None:
            begun.set()
            go.wait(60)

    thread = threading.Thread(target=lambda: run(text(5), on_compile=stay))
    thread.start()
    begun.wait(30)
    command = f"import wasihost; wasihost.run({text(5)!r})"
    pid = os.fork()
    if pid == 0:
        try:
            run(text(5))
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    go.set()
    thread.join(30)
    subprocess.run([sys.executable, "-c", command], check=True, timeout=60)
    assert not list(folder.glob("*.lock"))


def test_an_exception_of_on_compile_leaves_nothing_locked(folder: Path) -> None:
    def refuse(_event: object) -> None:
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            run(text(6), on_compile=refuse)
        assert not list(folder.glob("*.lock"))
    seen: list[int] = []

    def look(event: Any) -> None:
        if event.seconds is None and not seen:
            seen.append(run(text(6)).returncode)

    began = time.monotonic()
    assert run(text(6), on_compile=look).returncode == 0
    assert seen == [0]
    assert time.monotonic() - began < 30  # its own lock is not waited for


def test_without_a_folder_or_locks_it_is_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(37, "No locks available")

    import fcntl

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", fails)
        assert run(text(7)).returncode == 0
    folder.chmod(0o777)
    assert run(text(8)).returncode == 0


class _Interrupted:
    """A lock that is taken when a signal handler raises, as `with lock` may leave it in Python 3.14."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def acquire(self, timeout: float = -1) -> bool:
        if not self._lock.acquire(timeout=timeout):
            return False
        raise KeyboardInterrupt

    def release(self) -> None:
        self._lock.release()


def test_a_lock_that_a_signal_handler_has_left_held_delays_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_lock, "_CHECK", 0.1)
    left = _Interrupted()
    compile_lock._locks["left"] = left  # type: ignore[assignment]  # it behaves like one
    waited: list[int] = []

    def wait() -> None:
        waited.append(compile_lock.once("left", lambda: None, lambda: 1))

    with pytest.raises(KeyboardInterrupt):
        compile_lock.once("left", lambda: None, lambda: 0)
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(30)
    assert waited == [1]


def test_one_that_waits_for_it_already_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_lock, "_CHECK", 0.05)
    held = threading.RLock()
    held.acquire()
    compile_lock._locks["waiting"] = held
    made: list[int] = []

    def wait() -> None:
        made.append(compile_lock.once("waiting", lambda: None, lambda: 1))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.1)
    del compile_lock._locks["waiting"]
    thread.join(30)
    assert made == [1]
