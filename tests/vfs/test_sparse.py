"""Large files of a `MemoryFS`, and those with holes: only what is written takes memory."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

import wasihost
from tests.support.raw import Raw
from wasihost import Lazy, MemoryFS, ModuleConfig
from wasihost.vfs import memory_file, sparse
from wasihost.vfs.changes import Baseline, Changes
from wasihost.vfs.memory_file import MemoryFile
from wasihost.vfs.resolve import node_at
from wasihost.vfs.sparse import PAGE, WHOLE, Sparse

ROOT = Path(__file__).resolve().parents[2]
BIG = 900 << 20


def file_of(fs: MemoryFS, name: str = "f") -> MemoryFile:
    node = node_at(fs.root, name, follow=True)
    assert isinstance(node, MemoryFile)
    return node


def with_hole(**given: bytes) -> MemoryFS:
    fs = MemoryFS({"f": b"begin", **given})
    assert file_of(fs).write(BIG, b"end") == 3
    return fs


# -- by the model of one bytearray -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("base", [b"", b"0123456789" * 20, bytearray(b"0123456789" * 20)])
def test_any_operations_give_what_one_piece_of_memory_would(
    monkeypatch: pytest.MonkeyPatch, seed: int, base: bytes | bytearray
) -> None:
    monkeypatch.setattr(sparse, "PAGE", 16)
    monkeypatch.setattr(sparse, "WHOLE", 48)
    rng = random.Random(seed)
    ours, model = Sparse(copy.copy(base)), bytearray(base)
    taken: list[tuple[Sparse, bytes]] = []
    for _ in range(2000):
        offset, size = rng.randrange(400), rng.randrange(80)
        match rng.choice(["write", "write", "read", "read", "resize", "copy", "whole"]):
            case "write":
                data = rng.randbytes(size)
                assert ours.write(offset, memoryview(data)) == size
                if size:
                    model.extend(bytes(max(0, offset - len(model))))
                    model[offset : offset + size] = data
            case "read":
                buffer = bytearray(b"?" * size)
                count = ours.readinto(offset, memoryview(buffer))
                assert bytes(buffer[:count]) == model[offset : offset + size]
                assert buffer[count:] == b"?" * (size - count)
            case "resize":
                ours.resize(offset)
                del model[offset:]
                model.extend(bytes(offset - len(model)))
            case "copy":
                taken = [*taken[-3:], (ours.copy(), bytes(model))]
            case "whole":
                assert ours == bytes(model)
                assert bytes(model) == ours
                assert ours.tobytes() == model
        assert len(ours) == len(model)
    for earlier, content in taken:
        assert earlier == content
        assert earlier.tobytes() == content
        assert pickle.loads(pickle.dumps(earlier)) == earlier
        assert (earlier == ours) is (content == model)
    assert ours != bytes(len(model) + 1)
    assert ours != "text"


@pytest.mark.parametrize("seed", range(3))
def test_a_file_gives_the_same_whatever_it_is_kept_in(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for module in (sparse, memory_file):
        monkeypatch.setattr(module, "PAGE", 16)
        monkeypatch.setattr(module, "WHOLE", 64)
    rng = random.Random(seed)
    fs, model = MemoryFS({"f": b"x" * 100}, max_bytes=300, max_file_size=280), bytearray(b"x" * 100)
    node = file_of(fs)
    kinds = set()
    for _ in range(3000):
        offset, data = rng.randrange(290), rng.randbytes(rng.randrange(1, 60))
        match rng.choice(["write", "write", "append", "cut", "read"]):
            case "write" | "append" as how:
                start = len(model) if how == "append" else offset
                room = max(len(model), min(280, 300)) - start
                if room <= 0:
                    with pytest.raises(OSError, match=r"large|space"):
                        node.write(start, data)
                    continue
                part = data[:room]
                if how == "append":
                    assert node.appendfrom(memoryview(data)) == (start, len(part))
                else:
                    assert node.write(start, data) == len(part)
                model.extend(bytes(max(0, start - len(model))))
                model[start : start + len(part)] = part
            case "cut":
                size = rng.choice([offset, offset % 70, 0])
                if size > 280:
                    continue
                node.truncate(size)
                del model[size:]
                model.extend(bytes(size - len(model)))
            case "read":
                assert node.read(offset, len(data)) == model[offset : offset + len(data)]
        kinds.add(type(node.data))
        assert fs.quota.bytes == len(model) == node.size()
        assert fs["f"] == model
    assert kinds == {bytes, bytearray, Sparse}


# -- what it is for ----------------------------------------------------------------------------------------------------

MEASURED = """
import resource, threading, time
from wasihost import MemoryFS, ModuleConfig
from tests.support.raw import Raw

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

fs = MemoryFS({"f": b"", "given": bytes(200 << 20)})
with Raw(ModuleConfig().with_mount("/", fs)) as raw:
    fd, given = raw.open("f"), raw.open("given")
    before = megabytes()
    began = time.process_time()
    assert raw.call("fd_pwrite", fd, *raw.data(b"x"), 400 << 20, raw.new(4)) == 0
    assert raw.call("fd_filestat_set_size", fd, 800 << 20) == 0
    assert raw.call("fd_pwrite", given, *raw.data(b"x"), 100 << 20, raw.new(4)) == 0
    assert raw.call("fd_filestat_set_size", given, 150 << 20) == 0
    whole = fs["f"]
    assert len(whole) == 800 << 20 and whole[400 << 20] == ord("x")
    print(megabytes() - before, time.process_time() - began)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_a_hole_takes_neither_memory_nor_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stderr == ""
    megabytes, seconds = (float(number) for number in done.stdout.split())
    assert megabytes < 60  # the holes alone are 800
    assert seconds < 1


def test_changes_have_a_file_with_a_hole() -> None:
    fs = with_hole(other=b"as it was")
    before = Baseline(fs)
    file_of(fs).write(BIG // 2, b"middle")
    changes = Changes(before, fs)
    assert changes.changed == ("f",)
    assert len(changes["f"]) == BIG + 3
    assert changes["f"][BIG // 2 - 1 : BIG // 2 + 7] == b"\0middle\0"
    assert changes["f"][-4:] == b"\0end"


def test_writing_what_was_there_is_not_a_change() -> None:
    fs = with_hole()
    before = Baseline(fs)
    file_of(fs).write(BIG, b"end")
    file_of(fs).write(BIG // 2, b"\0\0")
    assert Changes(before, fs) == {}
    file_of(fs).write(BIG // 2, b"\1")
    assert list(Changes(before, fs)) == ["f"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda fs: pickle.loads(pickle.dumps(fs))])
def test_a_snapshot_keeps_holes(again: object) -> None:
    fs = with_hole()
    made = again(fs)  # type: ignore[operator]  # each takes one
    file_of(fs).write(5, b"later")
    assert isinstance(file_of(made).data, Sparse)
    assert file_of(made).read(0, 12) == b"begin" + bytes(7)
    assert file_of(made).read(BIG - 1, 9) == b"\0end"
    assert made.quota.bytes == BIG + 3
    assert len(pickle.dumps(fs)) < 1 << 20


def test_bytes_of_the_caller_are_not_changed_nor_copied() -> None:
    given = bytes(2 * WHOLE)
    fs = MemoryFS({"f": given})
    node = file_of(fs)
    node.write(PAGE + 1, b"x")
    assert isinstance(node.data, Sparse)
    assert node.data.base is given
    assert len(node.data.pages) == 1
    assert given == bytes(2 * WHOLE)
    assert node.read(PAGE, 3) == b"\0x\0"
    node.truncate(WHOLE + 1)
    assert isinstance(node.data, Sparse)
    assert node.data.base is given
    node.truncate(WHOLE + 100)
    assert node.read(WHOLE, 200) == bytes(100)


def test_a_lazy_file_is_loaded_before_it_is_changed() -> None:
    fs = MemoryFS({"f": Lazy(2 * WHOLE, lambda: b"y" * (2 * WHOLE))})
    with Raw(ModuleConfig().with_mount("/", fs)) as raw:
        fd = raw.open("f")
        assert raw.call("fd_pwrite", fd, *raw.data(b"x"), 3 * WHOLE, raw.new(4)) == 0
    assert fs["f"] == b"y" * (2 * WHOLE) + bytes(WHOLE) + b"x"


def test_a_lazy_size_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        MemoryFS({"f": Lazy(-1, lambda: b"")})


def test_growing_by_appending_stays_in_one_piece() -> None:
    fs = MemoryFS({"f": b""})
    node = file_of(fs)
    for _ in range(40):
        node.appendfrom(memoryview(bytes(PAGE)))
    assert isinstance(node.data, bytearray)


def test_a_large_hole_in_a_run() -> None:
    """With a real guest: what it wrote is in the result, and its limit is the file system's."""
    module = wasihost.Module(HOLE)
    done = wasihost.run(module, files={"f": b"begin"}, text=True, capture_output=True)
    assert done.returncode == 0
    assert done.files is not None
    assert len(done.files["f"]) == BIG + 1
    assert done.files["f"][:5] == b"begin"


HOLE = f"""
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\\20\\00\\00\\00\\01\\00\\00\\00")
  (data (i32.const 32) "x")
  (data (i32.const 48) "f")
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 48) (i32.const 1) (i32.const 0)
          (i64.const 70) (i64.const 0) (i32.const 0) (i32.const 64))
      (then (call $exit (i32.const 1))))
    (if (call $pwrite (i32.load (i32.const 64)) (i32.const 16) (i32.const 1) (i64.const {BIG}) (i32.const 80))
      (then (call $exit (i32.const 2))))))
"""
