"""`python -m wasihost run`, in a separate process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import build_c, wat

ECHO = str(build_c("echo"))
NAME = os.path.basename(ECHO)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One cache of compiled modules for all of these tests."""
    return str(tmp_path_factory.getbasetemp() / "compiled-cli")


@pytest.fixture
def command(compiled: str, tmp_path: Path) -> Any:
    """Runs the command in a temporary folder."""

    def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        env = {**os.environ, "WASIHOST_CACHE_DIR": compiled}
        more.setdefault("capture_output", "stdout" not in more)
        return subprocess.run(
            [sys.executable, "-m", "wasihost", *arguments], env=env, cwd=tmp_path, check=False, timeout=60, **more
        )

    return run


def lines(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize("status", [0, 1, 2, 126, 134, 255])
def test_the_exit_status_is_the_guest_s(command: Any, status: int) -> None:
    done = command("run", ECHO, "exit", str(status))
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")


def test_a_trap_is_134_with_a_backtrace(command: Any, tmp_path: Path) -> None:
    (tmp_path / "t.wat").write_text(
        '(module $guest (memory (export "memory") 1)\n'
        '(func $inner unreachable) (func $outer (call $inner)) (func (export "_start") (call $outer)))'
    )
    done = command("run", "t.wat")
    assert (done.returncode, done.stdout) == (134, b"")
    text = done.stderr.decode()
    assert text.startswith("wasihost: ")
    assert "unreachable" in text
    assert "wasm backtrace:" in text
    assert text.index("inner") < text.index("outer")
    assert "Traceback" not in text


def test_a_bad_pointer_is_134_and_named(command: Any, tmp_path: Path) -> None:
    (tmp_path / "t.wat").write_text(
        '(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))\n'
        '(memory (export "memory") 1) (func (export "_start") (drop (call $random (i32.const 65535) (i32.const 2)))))'
    )
    done = command("run", "t.wat")
    assert done.returncode == 134
    assert b"random_get: buf: bytes 0xffff to 0x10001 are outside the memory" in done.stderr


BAD_USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "no module": (("run",), "Missing argument 'MODULE'"),
    "no such module": (("run", "none.wasm"), "does not exist"),
    "a directory as module": (("run", "."), "is a directory"),
    "no such option": (("run", "--nonsense", ECHO), "No such option"),
    "no such command": (("walk", ECHO), "No such command"),
    "no such directory": (("run", "--dir", "none", ECHO), "'none' is not a directory"),
    "an empty directory": (("run", "--dir", "", ECHO), "is not HOST[::GUEST]"),
    "an empty guest path": (("run", "--dir", ".::", ECHO), "is not HOST[::GUEST]"),
    "an empty host path": (("run", "--ro-dir", "::/x", ECHO), "is not HOST[::GUEST]"),
    "mounted twice": (("run", "--dir", ".::/x", "--ro-dir", ".::/x", ECHO), "'/x' is mounted twice"),
    "a variable without a name": (("run", "--env", "=x", ECHO), "'=x' is not NAME[=VALUE]"),
    "not wasm": (("run", sys.executable), "not WebAssembly"),
    "no command": (("run", "library.wat"), "_start"),
    "unknown import": (("run", "unknown.wat"), "env.nothing"),
    "unreadable": (("run", "/proc/self/mem"), "/proc/self/mem: "),
}


@pytest.mark.parametrize("case", BAD_USAGE)
def test_bad_usage_is_2_with_a_reason(command: Any, tmp_path: Path, case: str) -> None:
    (tmp_path / "library.wat").write_text('(module (memory (export "memory") 1) (func (export "f")))')
    (tmp_path / "unknown.wat").write_text(
        '(module (import "env" "nothing" (func)) (memory (export "memory") 1) (func (export "_start")))'
    )
    arguments, reason = BAD_USAGE[case]
    done = command(*arguments)
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert reason in text
    assert "Traceback" not in text


def test_a_text_module(command: Any) -> None:
    assert lines(command("run", str(wat("empty")))) == []


def test_argv_0_is_the_base_name_and_the_rest_is_the_guest_s(command: Any) -> None:
    rest = ["args", "--help", "--dir", "none", "--env", "A", "-h", "--", "--version", "", "a b"]
    assert lines(command("run", ECHO, *rest)) == [NAME, *rest]
    assert lines(command("run", "--", ECHO, "--", "x")) == [NAME, "--", "x"]
    assert lines(command("run", "--env", "A=1", ECHO, "--env", "B=2")) == [NAME, "--env", "B=2"]


def test_the_environment_is_what_was_given_and_no_more(command: Any) -> None:
    assert lines(command("run", ECHO, "env")) == []
    found = lines(command("run", "--env", "A=1", "--env", "B=x=y", "--env", "C=", "--env", "A=2", ECHO, "env"))
    assert found == ["A=1", "B=x=y", "C=", "A=2"]


def test_directories(command: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert lines(command("run", "--dir", "a::/x", ECHO, "files", "/x/f")) == ["written"]
    assert (tmp_path / "a" / "f").read_bytes() == b"written"
    assert lines(command("run", "--dir", "a", ECHO, "files", "a/g")) == ["written"]
    assert lines(command("run", "--dir", str(tmp_path / "a"), ECHO, "files", f"{tmp_path}/a/h")) == ["written"]
    assert lines(command("run", "--dir", ".", ECHO, "files", "i")) == ["written"]
    assert lines(command("run", "--dir", "a::/a", "--ro-dir", ".::/b", ECHO, "files", "/a/j")) == ["written"]
    assert sorted(os.listdir(tmp_path / "a")) == ["f", "g", "h", "j"]
    assert command("run", ECHO, "files", "a/k").returncode == 9


def test_overlays(command: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"as it was")
    (tmp_path / "d").mkdir()
    done = command("run", "--overlay", ".::/x", "--diff", ECHO, "files", "/x/f")
    assert done.stdout.startswith(b"written\ndiff --git a/f b/f\n--- a/f\n+++ b/f\n")
    assert command("run", "--overlay", ".", ECHO, "files", "f").returncode == 0
    failed = command("run", "--overlay", ".::/x", "--apply", ECHO, "exit", "3", "/x/f")
    assert failed.returncode == 3
    assert b"wasihost: not applied: the guest ended with exit status 3\n" in failed.stderr
    assert (tmp_path / "f").read_bytes() == b"as it was"
    assert command("run", "--overlay", ".::/x", "--apply", ECHO, "files", "/x/f").returncode == 0
    assert (tmp_path / "f").read_bytes() == b"written"
    for _ in range(2):
        kept = command("run", "--overlay", "d::/x", "--upper", "kept", "--diff", ECHO, "files", "/x/g")
        assert b"+++ b/g\n" in kept.stdout, kept
    assert os.listdir(tmp_path / "d") == []
    assert b"give only one" in command("run", "--overlay", ".", "--overlay", "d", "--upper", "kept", ECHO).stderr
    assert b"add --overlay HOST" in command("run", "--diff", ECHO).stderr
    assert b"choose one" in command("run", "--isolate", "--overlay", ".", ECHO).stderr


def test_quotas(command: Any, tmp_path: Path) -> None:
    for option, value in (("--max-dir-bytes", "3"), ("--max-dir-entries", "0"), ("--max-file-size", "3")):
        for kind in ("--dir", "--overlay"):
            done = command("run", kind, ".::/x", option, value, "--stats", ECHO, "files", f"/x/{value}")
            assert done.returncode == 9
            assert option.removeprefix("--").replace("dir-", "").replace("-", "_").encode() in done.stderr
            (tmp_path / value).unlink(missing_ok=True)


def test_read_only_directories(command: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"as it was")
    done = command("run", "--ro-dir", ".::/x", ECHO, "files", "/x/f")
    assert (done.returncode, done.stderr) == (9, b"/x/f: Read-only file system\n")
    assert (tmp_path / "f").read_bytes() == b"as it was"
    assert command("run", "--ro-dir", ".", ECHO, "open", "f", "r").returncode == 0


def test_standard_streams_are_inherited(command: Any, tmp_path: Path) -> None:
    assert command("run", ECHO, "cat", input=b"through\n" * 10_000).stdout == b"through\n" * 10_000
    done = command("run", ECHO, "both")
    assert (done.stdout, done.stderr) == (b"to output\n", b"to error\n")
    with (tmp_path / "in").open("w+b") as stdin, (tmp_path / "out").open("wb") as stdout:
        stdin.write(b"from a file")
        stdin.seek(5)
        assert command("run", ECHO, "cat", stdin=stdin, stdout=stdout).returncode == 0
    assert (tmp_path / "out").read_bytes() == b"a file"


def test_a_reader_that_has_gone_is_the_guest_s_to_handle(command: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command("run", ECHO, "both", stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"to error\n")


def test_the_status_is_right_where_nobody_reads_the_message(command: Any, tmp_path: Path) -> None:
    (tmp_path / "trap.wat").write_text('(module (memory (export "memory") 1) (func (export "_start") unreachable))')
    (tmp_path / "text.wat").write_text("no module")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert command("run", "trap.wat", stdout=subprocess.PIPE, stderr=writer).returncode == 134
        assert command("run", "text.wat", stdout=subprocess.PIPE, stderr=writer).returncode == 2
    finally:
        os.close(writer)


@pytest.mark.skipif(os.name != "posix", reason="descriptors closed at the start are of POSIX systems")
def test_a_closed_standard_stream_is_not_another_file(compiled: str, tmp_path: Path) -> None:
    """The next file to be opened gets the number: the compiled module, which stays open while it runs."""
    (tmp_path / "write.wat").write_text(
        '(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))\n'
        '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))\n'
        '(memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\01\\00\\00\\00!")\n'
        '(func (export "_start") (call $exit (i32.or\n'
        "(call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))\n"
        "(call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16))))))"
    )
    env = {**os.environ, "WASIHOST_CACHE_DIR": compiled}
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        script = f'"{sys.executable}" -m wasihost run write.wat {closed}'
        done = subprocess.run(["sh", "-c", script], env=env, cwd=tmp_path, check=False, capture_output=True)
        assert (closed, done.returncode) == (closed, 0)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process is of POSIX systems")
def test_ctrl_c_stops_a_guest_that_only_computes(tmp_path: Path) -> None:
    (tmp_path / "loop.wat").write_text(
        '(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))\n'
        '(memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\01\\00\\00\\00!")\n'
        '(func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))\n'
        "(loop $again (br $again))))"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "wasihost", "run", "loop.wat"], cwd=tmp_path, stdout=subprocess.PIPE
    ) as guest:
        try:
            assert guest.stdout
            assert guest.stdout.read(1) == b"!"
            guest.send_signal(signal.SIGINT)
            assert guest.wait(20) == -signal.SIGINT
        finally:
            guest.kill()


def test_help_and_version(command: Any) -> None:
    text = "\n".join(lines(command("run", "--help")))
    for option in ("--dir", "--ro-dir", "--env", "MODULE", "Everything after MODULE is passed to the program"):
        assert option in text
    assert "run" in "\n".join(lines(command("--help")))
    assert lines(command("--version"))[0].startswith("wasihost, version ")
