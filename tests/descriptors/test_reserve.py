"""A guest that opens whatever it can leaves descriptors to the process it runs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OPENS = """(module (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 8) "a")
  (func (export "all") (result i32)
    (local i32 i32)
    (loop $l
      (local.set 1 (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0) (i64.const 2)
        (i64.const 0) (i32.const 0) (i32.const 512)))
      (if (i32.eqz (local.get 1)) (then (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br $l))))
    (i32.add (i32.mul (local.get 0) (i32.const 1000)) (local.get 1))))"""

# Prints how many files each of three guests opened, with which errno it ended, and which limits were met.
CODE = """import json, resource, socket, subprocess, sys, wasihost
limit, folder, text = int(sys.argv[1]), sys.argv[2], sys.argv[3]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
module = wasihost.Module(text, cache=False)
wasihost.run('(module (memory (export "memory") 1) (func (export "_start")))', cache=False)
options = {"dirs": {"/": folder}} if folder else {"files": {"a": b""}}
out, kept = [], []
for _ in range(3):
    guest = wasihost.instantiate(module, **options)
    opened, errno = divmod(guest.exports.all(), 1000)
    kept.append(guest)
    out.append([opened, errno, list(guest.stats.limits)])
held = [socket.socket() for _ in range(2 if limit < 100 else 16)]
subprocess.run(["true"], check=True)
open(sys.executable).close()
for guest in kept:
    guest.close()
with wasihost.instantiate(module, **options) as again:
    out.append([again.exports.all() // 1000, 0, []])
print(json.dumps(out))
"""
MFILE = 33


def opened(limit: int, folder: str) -> list[Any]:
    command = [sys.executable, "-c", CODE, str(limit), folder, OPENS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(os.name != "posix", reason="sets a limit of POSIX")
@pytest.mark.parametrize("limit", [1024, 256, 64])
def test_the_process_keeps_some(limit: int, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    first, second, third, again = opened(limit, str(tmp_path))
    for count, errno, limits in (first, second, third):
        assert (errno, limits) == (MFILE, ["open_files"])
        assert count < limit - limit // 8
    assert limit // 2 < first[0]
    assert second[0] > 0
    assert again[0] == pytest.approx(first[0], abs=3)


def test_files_in_memory_are_none_of_the_process() -> None:
    assert opened(64, "") == [[1020, MFILE, ["open_files"]]] * 3 + [[1020, 0, []]]
