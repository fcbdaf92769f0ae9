"""The runner of the public suite, on a suite of our own: what passes, what fails and how that is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ENDS_WITH = """
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const {status}))))
"""
SAYS = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\05\\00\\00\\00hello")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))
"""
MAKES_A_FOLDER = """
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "new.cleanup/sub/file")
  (func (export "_start")
    (call $exit (i32.add
      (i32.mul (i32.const 100) (call $mkdir (i32.const 3) (i32.const 0) (i32.const 11)))
      (call $unlink (i32.const 3) (i32.const 12) (i32.const 8))))))
"""
COUNTS_ARGUMENTS = """
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $args (i32.const 0) (i32.const 16)))
    (drop (call $environ (i32.const 4) (i32.const 16)))
    (call $exit (i32.add (i32.mul (i32.const 10) (i32.load (i32.const 0))) (i32.load (i32.const 4))))))
"""
TRAPS = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
HANGS = '(module (memory (export "memory") 1) (func (export "_start") (loop $on (br $on))))'


class Suite:
    """A folder laid out as the public suite is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "tests" / "ours" / "wasm32-wasip1"
        self.folder.mkdir(parents=True)
        (self.folder / "manifest.json").write_text('{"name": "ours", "version": "wasm32-wasip1"}')

    def add(self, name: str, module: str, **described: object) -> None:
        """A test; the module may be text, which `run` takes too."""
        (self.folder / f"{name}.wasm").write_text(module)
        if described:
            (self.folder / f"{name}.json").write_text(json.dumps(described))

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.testsuite", str(self.root), *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout.replace("tests/ours/wasm32-wasip1/", "").splitlines()


def test_expected_results_pass(suite: Suite) -> None:
    suite.add("ends", ENDS_WITH.format(status=0))
    suite.add("ends with 33", ENDS_WITH.format(status=33), exit_code=33)
    suite.add("says", SAYS, stdout="hello")
    suite.add("says what no one asked for", SAYS)
    suite.add("arguments", COUNTS_ARGUMENTS, args=["a", "b"], env={"a": "1", "b": "2", "c": "3"}, exit_code=33)
    run = {"type": "run", "args": ["a"], "env": {"b": "c"}}
    suite.add("operations", COUNTS_ARGUMENTS, operations=[run, {"type": "wait", "exit_code": 21}])
    suite.add("reads", SAYS, operations=[{"type": "run"}, {"type": "read", "payload": "hello"}, {"type": "wait"}])
    done = suite.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "7 of 7 passed\n", "")


def test_a_wrong_exit_status_and_a_trap(suite: Suite) -> None:
    suite.add("status", ENDS_WITH.format(status=300), exit_code=3)
    suite.add("passes", ENDS_WITH.format(status=3), exit_code=3)
    suite.add("trap", TRAPS, exit_code=1)
    status, trap, count = told(suite.run())
    assert status == "FAILED status: expected exit status 3, got 300"
    assert trap.startswith("FAILED trap: expected exit status 1, got TrapError: ")
    assert count == "1 of 3 passed"


def test_a_wrong_output(suite: Suite) -> None:
    suite.add("more", SAYS, stdout="hell")
    suite.add("nothing", ENDS_WITH.format(status=0), stderr="bye")
    assert told(suite.run()) == [
        "FAILED more: expected stdout 'hell', got 'hello'",
        "FAILED nothing: expected stderr 'bye', got ''",
        "0 of 2 passed",
    ]


def test_a_hanging_program_is_one_failure(suite: Suite) -> None:
    suite.add("hangs", HANGS)
    suite.add("says", SAYS, stdout="hello")
    assert told(suite.run("--timeout", "3")) == [
        "FAILED hangs: expected exit status 0, got no end within 3 s",
        "1 of 2 passed",
    ]


@pytest.mark.parametrize("backend", ["host", "walk", "memory"])
def test_the_folder_is_a_fresh_copy(suite: Suite, backend: str) -> None:
    (suite.folder / "data" / "sub").mkdir(parents=True)
    (suite.folder / "data" / "sub" / "file").write_bytes(b"x")
    (suite.folder / "data" / "new.cleanup").mkdir()  # left behind by another runner
    suite.add("one", MAKES_A_FOLDER, root="data")
    suite.add("two", MAKES_A_FOLDER, root="data")
    assert suite.run("--backend", backend).stdout == "2 of 2 passed\n"
    assert (suite.folder / "data" / "sub" / "file").read_bytes() == b"x"


def test_only_some(suite: Suite) -> None:
    suite.add("one", ENDS_WITH.format(status=1))
    suite.add("two", ENDS_WITH.format(status=0))
    assert suite.run("-k", "two").stdout == "1 of 1 passed\n"
    done = suite.run("-k", "three")
    assert (done.returncode, done.stderr) == (2, "error: no test has 'three' in its name\n")


def test_a_folder_without_tests(suite: Suite) -> None:
    (suite.folder / "source.c").touch()
    other = suite.folder.with_name("wasm32-wasip3")
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    (other / "other.wasm").touch()
    done = suite.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: no wasm32-wasip1 test is below {suite.root}; ")
    assert "git clone" in done.stderr


def test_a_description_that_is_not_understood_is_one_failure(suite: Suite) -> None:
    suite.add("field", SAYS, world="command")
    suite.add("other", SAYS, operations=[{"type": "run"}, {"type": "connect"}, {"type": "wait"}])
    suite.add("output", SAYS, operations=[{"type": "read", "id": "stdlog"}])
    suite.add("says", SAYS)
    assert told(suite.run()) == [
        "FAILED field: field 'world' is not known to this runner",
        "FAILED other: operation 'connect' is not known to this runner",
        "FAILED output: field 'stdlog' is not known to this runner",
        "1 of 4 passed",
    ]
