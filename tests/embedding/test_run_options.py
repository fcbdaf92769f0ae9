"""What `run` takes beyond streams: text, files in memory, folders, limits, timeouts; and what it tells afterwards."""

from __future__ import annotations

import io
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.guests import build_c, wat
from tests.support.timing import few_tries, in_time
from wasihost import (
    PIPE,
    CalledProcessError,
    ConfigError,
    Lazy,
    LimitExceeded,
    MemoryFS,
    Module,
    ModuleConfig,
    Overlay,
    TimeoutExpired,
    run,
)

ECHO = build_c("echo")
SPIN = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\05\\00\\00\\00début")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
    (loop (br 0))))"""


# -- text --------------------------------------------------------------------------------------------------------------


def test_text() -> None:
    done = run(ECHO, args=["cat"], input="é\r\nz\n", text=True, stdout=PIPE)
    assert done.stdout == "é\nz\n"
    assert run(ECHO, args=["cat"], input="é", encoding="latin-1", stdout=PIPE).stdout == "é"
    assert run(ECHO, args=["cat"], input=b"\xff", text=True, errors="replace", stdout=PIPE).stdout == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        run(ECHO, args=["cat"], input=b"\xff", text=True, stdout=PIPE)
    with pytest.raises(CalledProcessError) as caught:
        run(ECHO, args=["files", "/nowhere"], text=True, capture_output=True, check=True)
    assert isinstance(caught.value.stderr, str)


def test_text_streams_and_callables() -> None:
    out, err = io.StringIO(), io.StringIO()
    run(ECHO, args=["both"], stdout=out, stderr=err)
    assert (out.getvalue(), err.getvalue()) == ("to output\n", "to error\n")
    assert run(ECHO, args=["cat"], stdin=io.StringIO("äöü\n" * 3000), stdout=PIPE, text=True).stdout == "äöü\n" * 3000
    parts = [b"abc", b"def", b""]
    assert run(ECHO, args=["cat"], stdin=lambda _size: parts.pop(0), stdout=PIPE).stdout == b"abcdef"


def test_a_character_in_two_writes_is_one(tmp_path: Path) -> None:
    class Halves(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = "é".encode()

        def read(self, size: int = -1, /) -> bytes:
            data, self.rest = self.rest[:1], self.rest[1:]
            return data

    with open(tmp_path / "out", "w", encoding="utf-16") as out:
        run(ECHO, args=["cat"], stdin=Halves(), stdout=out)
    assert (tmp_path / "out").read_text("utf-16") == "é"


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_in_and_out() -> None:
    done = run(ECHO, args=["files", "/d/f"], files={"d/old": b"1", "lazy": Lazy(3, lambda: b"abc")})
    assert done.returncode == 0
    assert dict(done.files) == {"d/f": b"written"}
    assert (done.files.created, done.files.changed, done.files.removed) == (("d/f",), (), ())
    done = run(ECHO, args=["files", "d/f"], files={"d/f": b"before"})
    assert (dict(done.files), done.files.changed) == ({"d/f": b"written"}, ("d/f",))
    assert run(ECHO, args=["args"]).files is None


def test_a_file_system_that_is_kept() -> None:
    fs = MemoryFS({"a": b"1", "b": b"2"})
    assert not run(ECHO, args=["files", "/a"], fs=fs).returncode
    done = run(ECHO, args=["files", "/c"], fs=fs)
    assert (fs["a"], fs["c"], done.files.created, done.files.changed) == (b"written", b"written", ("c",), ())
    with pytest.raises(ConfigError, match="either files or fs"):
        run(ECHO, files={}, fs=fs)


def test_folders(tmp_path: Path) -> None:
    assert run(ECHO, args=["files", "/box/f"], dirs={"/box": tmp_path}).returncode == 0
    assert (tmp_path / "f").read_bytes() == b"written"
    assert run(ECHO, args=["files", "/box/f"], ro_dirs={"/box": tmp_path}).returncode == 9


def test_folders_that_are_objects(tmp_path: Path) -> None:
    fs = MemoryFS()
    with Overlay(tmp_path) as overlay:
        assert run(ECHO, args=["files", "/box/f"], dirs={"/box": overlay, "/fs": fs}).returncode == 0
        assert overlay.changes().created == ("f",)
        assert run(ECHO, args=["files", "/box/g"], ro_dirs={"/box": overlay}).returncode == 9
    assert run(ECHO, args=["files", "/fs/f"], dirs={"/fs": fs}).returncode == 0
    assert fs["f"] == b"written"
    assert run(ECHO, args=["files", "/d/f"], dirs={"/d": {"f": b"1"}}).returncode == 9
    with pytest.raises(ConfigError, match="host directory is a path, not 3"):
        run(ECHO, dirs={"/box": 3})  # type: ignore[dict-item]  # as a caller may who has no type checker


def test_an_option_that_does_not_exist() -> None:
    with pytest.raises(TypeError, match="unknown option: outputs"):
        run(ECHO, outputs=3)  # type: ignore[arg-type]  # that it is refused is the point


# -- limits ------------------------------------------------------------------------------------------------------------


def test_output_beyond_its_limit_is_dropped_and_said() -> None:
    done = run(ECHO, args=["cat"], input=b"x" * 100_000, stdout=PIPE, max_output=1000)
    assert (len(done.stdout), done.truncated, done.stats.limits) == (1000, ("stdout",), ("output",))
    done = run(ECHO, args=["cat"], input=b"x" * 1000, stdout=PIPE, max_output=1000)
    assert (len(done.stdout), done.truncated, done.stats.limits) == (1000, (), ())
    assert run(ECHO, args=["cat"], input="é".encode() * 9, max_output=3, text=True, stdout=PIPE).stdout == "é"


def test_memory_and_fuel() -> None:
    with pytest.raises(LimitExceeded) as caught:
        run(ECHO, max_memory=1 << 16)
    assert caught.value.limit == "memory"
    with pytest.raises(LimitExceeded) as caught:
        run(SPIN, fuel=100_000, stdout=PIPE)
    assert caught.value.limit == "fuel"
    done = run(ECHO, args=["args"], fuel=10_000_000, capture_output=True)
    assert done.stats.fuel is not None
    assert 100 < done.stats.fuel < 1_000_000


def test_limits_that_make_no_sense() -> None:
    for limits, words in (
        ({"memory": -1}, "cannot be -1"),
        ({"open_files": 2}, "at least 3"),
        ({"heap": 1}, "no limit 'heap'"),
        ({"fuel": "much"}, "cannot be 'much'"),
    ):
        with pytest.raises(ConfigError, match=words):
            ModuleConfig().with_limits(**limits)


# -- time --------------------------------------------------------------------------------------------------------------


@few_tries
def test_a_timeout_carries_the_output_so_far() -> None:
    begin = time.perf_counter()
    with pytest.raises(TimeoutExpired) as caught:
        run(SPIN, timeout=0.4, capture_output=True)
    in_time(time.perf_counter() - begin, 0.4, 1.5)  # it begins after the module is compiled
    assert (caught.value.stdout, caught.value.stderr, caught.value.timeout) == ("début".encode()[:5], b"", 0.4)
    with pytest.raises(TimeoutExpired) as caught:
        run(SPIN, timeout=0.4, capture_output=True, encoding="utf-8", errors="replace")
    assert caught.value.output == "débu"
    assert run(ECHO, args=["args"], timeout=10, stdout=PIPE).returncode == 0


def test_a_timeout_in_another_thread() -> None:
    ends: list[BaseException] = []

    def work() -> None:
        try:
            run(SPIN, timeout=0.05)
        except TimeoutExpired as end:
            ends.append(end)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert len(ends) == 1


@few_tries
def test_ctrl_c_ends_a_guest_that_computes() -> None:
    module = Module(SPIN)
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(module)
    timer.join()
    in_time(time.perf_counter() - sent[0], 0, 0.1)


# -- what is told afterwards -------------------------------------------------------------------------------------------


def test_stats() -> None:
    done = run(ECHO, args=["files", "/f"], files={}, stats=True, capture_output=True)
    assert done.stats.calls["fd_write"] == 2
    assert done.stats.bytes["fd_write"] == len(b"written") + len(done.stdout)
    assert done.stats.paths == {"f"}
    assert done.stats.wall > 0
    assert done.stats.peak_memory % 65536 == 0
    assert done.stats.peak_memory > 0
    assert "calls" in repr(done.stats)
    assert run(ECHO, args=["args"]).stats.calls == {}


# -- modules -----------------------------------------------------------------------------------------------------------


def test_a_module_pickles_as_its_source() -> None:
    for source in (ECHO, ECHO.read_bytes()):
        module = pickle.loads(pickle.dumps(Module(source)))
        assert run(module, args=["args"], capture_output=True).returncode == 0
        assert module.exports["_start"].kind == "func"
        assert any(item.name == "fd_write" for item in module.imports)


def test_one_module_in_many_threads() -> None:
    module = Module(wat("exit"))
    codes: list[int] = []
    threads = [threading.Thread(target=lambda n=n: codes.append(run(module, args=["x"] * n).returncode))
               for n in range(8)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(1, 9))
