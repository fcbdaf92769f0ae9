"""A fork at any moment leaves a child that works: whatever other threads hold just then, only they could release."""

from __future__ import annotations

import builtins
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.storms.modules import status
from wasihost import Compilation, Imports, Lazy, MemoryFS, Module, ModuleConfig, TimeoutExpired, instantiate, run
from wasihost.common import forking

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'
OPEN = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "%s")
  (func (export "_start") (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
    (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)) (then unreachable))))"""


def child(work: Callable[[], object], limit: float = 30) -> None:
    """`work` in a forked child, which has to come to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    until = time.monotonic() + limit
    while time.monotonic() < until:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


class Held:
    """Another thread that is in the middle of something until it is let go."""

    def __init__(self, work: Callable[[Callable[[], None]], object]) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=work, args=(self.stay,), daemon=True)
        self.thread.start()
        assert self.inside.wait(30)

    def stay(self) -> None:
        self.inside.set()
        self.go.wait(60)


@pytest.fixture
def held() -> Iterator[Callable[[Callable[[Callable[[], None]], object]], Held]]:
    made: list[Held] = []

    def hold(work: Callable[[Callable[[], None]], object]) -> Held:
        made.append(Held(work))
        return made[-1]

    yield hold
    for one in made:
        one.go.set()
        one.thread.join(30)


Hold = Callable[[Callable[[Callable[[], None]], object]], Held]


def test_a_module_that_another_thread_is_compiling(held: Hold) -> None:
    module = Module(EMPTY, cache=False)
    held(lambda stay: module.compiled(fuel=True, on_compile=lambda _: stay()))
    child(lambda: run(module))
    child(lambda: run(module, fuel=10**6))


def test_code_that_another_thread_is_compiling(held: Hold) -> None:
    held(lambda stay: run(EMPTY, cache=False, on_compile=lambda _: stay()))
    child(lambda: run(EMPTY, cache=False))


def test_a_tree_in_which_another_thread_is_loading(held: Hold) -> None:
    stays: list[Callable[[], None]] = []

    def load() -> bytes:
        if threading.current_thread() is not threading.main_thread():
            stays[0]()
        return b"12345"

    fs = MemoryFS({"a": Lazy(5, load), "b": b"x"})
    mine, other = Module(OPEN % "b", cache=False), Module(OPEN % "a", cache=False)

    def first(stay: Callable[[], None]) -> None:
        stays.append(stay)
        run(other, fs=fs)

    held(first)
    child(lambda: run(mine, fs=fs))
    child(lambda: run(other, fs=fs))


def test_a_tree_that_another_thread_has_locked(held: Hold) -> None:
    fs = MemoryFS({"b": b"x"})

    def first(stay: Callable[[], None]) -> None:
        with fs.quota.lock:
            stay()

    held(first)
    mine = Module(OPEN % "b", cache=False)
    child(lambda: run(mine, fs=fs))


def test_an_instance_that_another_thread_is_in(held: Hold) -> None:
    def other(stay: Callable[[], None]) -> None:
        given = Imports("env")

        @given.function(name="stay")
        def wait() -> None:
            stay()

        with instantiate('(module (import "env" "stay" (func $s)) (func (export "f") (call $s)) (func (export "g")))',
                         imports=given) as made:  # fmt: skip
            found.append(made)
            made.exports.f()

    found: list[object] = []
    held(other)

    def refused() -> None:
        with suppress(RuntimeError):
            found[0].exports.g()  # type: ignore[attr-defined]  # an Instance
            raise AssertionError

    child(refused)
    child(lambda: run(EMPTY))


def test_many_forks_while_guests_end() -> None:
    spin = Module('(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))', cache=False)
    spin.compiled(interruptible=True)
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            with suppress(TimeoutExpired):
                run(spin, timeout=0.003)

    def kid() -> None:
        with pytest.raises(TimeoutExpired):
            run(spin, timeout=0.02)
        run(EMPTY, cache=False)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            child(kid)
    finally:
        over.set()
        for thread in threads:
            thread.join()


LARGE = status(1, 800)
"""Takes some tenths of a second to be compiled."""


@pytest.mark.parametrize("longest", [60.0, 0.01])
def test_a_fork_waits_for_a_compilation_of_another_thread_but_not_for_ever(
    longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has a lock for all compiled code of the process, which would be locked forever in the child."""
    monkeypatch.setattr(forking, "_LONGEST_CALL", longest)
    begun, over = threading.Event(), threading.Event()

    def compilation(now: Compilation) -> None:
        (begun if now.seconds is None else over).set()

    thread = threading.Thread(target=lambda: run(LARGE, cache=False, on_compile=compilation))
    thread.start()
    try:
        assert begun.wait(30)
        time.sleep(0.02)
        pid = os.fork()
        if not pid:
            os._exit(0)
        waited = over.is_set()
        os.waitpid(pid, 0)
        assert waited == (longest > 1)
    finally:
        thread.join()


def test_no_call_of_the_engine_begins_while_a_thread_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(forking.forking_thread, "by", threading.get_ident())
    called = threading.Event()
    thread = threading.Thread(target=forking.kept_from_forks(called.set))
    thread.start()
    forking.kept_from_forks(lambda: None)()  # this thread's own goes on
    assert not called.wait(0.1)
    forking.forking_thread.clear()
    assert called.wait(30)
    thread.join()


HALF = """
import builtins
half = True
builtins.wait_in_import()
half = False
"""


def test_a_module_that_another_thread_has_imported_half(
    held: Hold, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "imported_half.py").write_text(HALF)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(forking, "_LONGEST", 0.05)
    monkeypatch.setattr(forking, "_may_be_needed", lambda name: name == "imported_half")

    def first(stay: Callable[[], None]) -> None:
        monkeypatch.setattr(builtins, "wait_in_import", stay, raising=False)
        importlib.import_module("imported_half")

    held(first)

    def whole() -> None:
        builtins.wait_in_import = lambda: None  # type: ignore[attr-defined]  # ours
        assert not importlib.import_module("imported_half").half

    child(whole)


FIRST = """
import os, sys, threading, time, wasihost
CODE = '(module (memory (export "memory") 1) (func (export "_start")))'
def use():
    wasihost.run(CODE, cache=False, fs=wasihost.MemoryFS({"a": b"x"}), imports=wasihost.Imports("env"), text=True)
thread = threading.Thread(target=use, daemon=True)
thread.start()
time.sleep(float(sys.argv[1]))
pid = os.fork()
if pid == 0:
    use()
    os._exit(0)
until = time.monotonic() + 30
while time.monotonic() < until:
    got, status = os.waitpid(pid, os.WNOHANG)
    if got:
        os._exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.01)
os.kill(pid, 9)
os._exit(9)
"""


@pytest.mark.parametrize("after", [0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05])
def test_a_fork_while_another_thread_uses_the_library_for_the_first_time(after: float) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FIRST, str(after)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_threads_load_one_file_once_and_keep_their_deadlines() -> None:
    loads: list[float] = []
    inside, go = threading.Event(), threading.Event()

    def load() -> bytes:
        loads.append(time.monotonic())
        inside.set()
        go.wait(60)
        return b"12345"

    fs = MemoryFS({"a": Lazy(5, load), "b": b"x"})
    slow, other = Module(OPEN % "a", cache=False), Module(OPEN % "b", cache=False)
    ends: list[object] = []

    def first() -> None:
        ends.append(run(slow, ModuleConfig().with_mount("/", fs)).returncode)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(30)
    try:
        assert run(other, fs=fs, timeout=30).returncode == 0  # the tree is not locked
        begun = time.monotonic()
        with pytest.raises(TimeoutExpired):
            run(slow, ModuleConfig().with_mount("/", fs), timeout=0.1)  # nor is a thread that waits for the file itself
        assert time.monotonic() - begun < 5
    finally:
        go.set()
        thread.join()
    assert ends == [0]
    assert fs["a"] == b"12345"
    assert len(loads) == 1


def test_a_file_whose_loader_reads_it_is_an_error() -> None:
    fs = MemoryFS({"a": Lazy(5, lambda: fs["a"])})
    with pytest.raises(RuntimeError, match="reads the file itself"):
        run(OPEN % "a", ModuleConfig().with_mount("/", fs))
