"""The built wheel, installed where nothing of the checkout is: what a user gets."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

USER_CODE = """
import wasihost
from wasi_preview1 import Errno, RandomHandlers, WasiError


class Zero(RandomHandlers):
    def random_get(self, buf: memoryview) -> None:
        if not buf:
            raise WasiError(Errno.INVAL)
        buf[:] = bytes(len(buf))


done = wasihost.run(b"(module (memory (export \\"memory\\") 1) (func (export \\"_start\\")))", capture_output=True)
code: int = done.returncode
text: bytes = done.stdout
config: wasihost.ModuleConfig = wasihost.ModuleConfig().with_args("a").with_stdout(print)
"""


TYPED_CODE = """
import asyncio
from typing import assert_type

import wasihost
from wasihost import CompletedProcess, Imports, MemoryFS, Module, ModuleConfig, run

assert_type(run("a.wasm"), CompletedProcess[None, None, None])
assert_type(run("a.wasm", stdout=print).stdout, None)
assert_type(run("a.wasm").files, None)
assert_type(run("a.wasm", capture_output=True), CompletedProcess[bytes, bytes, None])
assert_type(run("a.wasm", capture_output=True, text=True).stderr, str)
assert_type(run("a.wasm", capture_output=True, text=False).stdout, bytes)
assert_type(run("a.wasm", stdout=wasihost.PIPE), CompletedProcess[bytes, None, None])
assert_type(run("a.wasm", stdout=wasihost.PIPE, stderr=wasihost.STDOUT, text=True).stdout, str)
assert_type(run("a.wasm", text=True, files={"a": b""}).files["a"], bytes)
result: CompletedProcess[bytes] = run("a.wasm", capture_output=True)
module = Module("a.wasm")
config = ModuleConfig().with_args("a").with_limits(memory=1 << 20, fuel=None)
host = Imports()


@host.function
def log(level: int, text: str) -> None:
    print(level, text)


with wasihost.instantiate(module, config, imports=host, fs=MemoryFS()) as guest:
    assert_type(guest.run(timeout=1.0), int)
    assert_type(guest.memory.read_bytes(1, 2), bytes)
log(1, "still callable")


async def main() -> None:
    assert_type((await wasihost.run_async(module, args=["x"])).stdout, None)
    assert_type((await wasihost.run_async(module, capture_output=True, text=True)).stdout, str)


asyncio.run(main())
with wasihost.start(module, text=True) as process:
    process.stdin.write("text")
    assert_type([line for line in process.stdout], list[str])
    assert_type(process.stderr, None)
assert_type(process.wait(timeout=1.0), int)
with wasihost.start(module, config, stderr=wasihost.PIPE) as other:
    other.stderr.read()
"""
"""Checked by the type checkers, not run: there is no such module."""


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "wasihost",
        "wasi_preview1",
        "wasi_preview0",
        "witxgen",
    }
    assert len([top for top in tops if top.endswith(".dist-info")]) == 1
    for needed in (
        "wasihost/py.typed",
        "wasi_preview1/py.typed",
        "wasi_preview1/abi.json",
        "wasi_preview0/py.typed",
        "witxgen/py.typed",
        "witxgen/grammar.lark",
        "witxgen/static/guest.py",
        "witxgen/templates/stubs.py.j2",
    ):
        assert needed in names


def build_wheel(out: Path, **environment: str) -> tuple[zipfile.Path, str]:
    """Returns the wheel built in this environment, and what the build printed."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    (built,) = out.glob("*.whl")
    return zipfile.Path(built), done.stdout + done.stderr


def test_a_wheel_with_the_extension_says_for_which_python_and_platform(wheel: Path) -> None:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tags = f"{python}-{python}" if sys.version_info < (3, 12) else "cp312-abi3"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name == f"wasihost-{importlib.metadata.version('wasihost')}-{tags}-{platform}.whl"
    with zipfile.ZipFile(wheel) as archive:
        extensions = [name for name in archive.namelist() if name.endswith(".so")]
    suffix = sysconfig.get_config_var("EXT_SUFFIX") if sys.version_info < (3, 12) else ".abi3.so"
    assert extensions == [f"wasihost/native/_native{suffix}"]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"WASIHOST_PURE": "1"}, "WASIHOST_PURE is set"),
        ({"CC": "no-such-compiler"}, "no-such-compiler cannot be run: No such file or directory"),
        ({"CFLAGS": "-DPyErr_Occurred=1+"}, "failed: "),
    ],
    ids=["asked", "no-compiler", "does-not-compile"],
)
def test_without_a_compiler_the_wheel_is_pure_and_one_line_says_why(
    environment: dict[str, str], reason: str, tmp_path: Path
) -> None:
    built, said = build_wheel(tmp_path, **environment)
    assert str(built.root.filename).endswith("-py3-none-any.whl")
    assert not [name for name in built.root.namelist() if name.endswith((".so", ".c", ".h")) and "witxgen" not in name]
    (line,) = (line for line in said.splitlines() if "pure Python" in line)
    assert "wasihost is built in pure Python, which is slower: " in line
    assert reason in line


def run(python: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *args], cwd=cwd, capture_output=True, text=True, check=False)


def mypy(python: Path, *files: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run mypy of the tests' environment with the packages that the user has installed."""
    cache = python.parents[1] / "mypy"
    command = ["-m", "mypy", "--strict", "--python-executable", str(python), "--cache-dir", str(cache), *files]
    return run(Path(sys.executable), *command, cwd=cwd)


def test_installed_command_runs_a_guest(python: Path, tmp_path: Path) -> None:
    (tmp_path / "exit.wat").write_text(
        '(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
        ' (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 7))))'
    )
    done = run(python, "-m", "wasihost", "run", "exit.wat", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert run(python, "-m", "wasihost", "--version", cwd=tmp_path).stdout.endswith(", with its native extension\n")
    done = run(python, "-c", "import wasihost; print(wasihost.__file__)", cwd=tmp_path)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT)


def test_installed_generator_works(python: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.witx").write_text('(module $mine (@interface func (export "ping") (result $pong u32)))')
    assert run(python, "-m", "witxgen", "generate", "mine.witx", "-o", ".", cwd=tmp_path).returncode == 0
    done = run(python, "-c", "import mine; print(sorted(mine.SIGNATURES['mine']))", cwd=tmp_path)
    assert done.stdout == "['ping']\n", done.stderr


def test_user_code_passes_mypy_strict_against_the_wheel(python: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER_CODE)
    done = mypy(python, "user.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert run(python, "user.py", cwd=tmp_path).returncode == 0


def test_both_type_checkers_know_what_a_run_returns(python: Path, tmp_path: Path) -> None:
    """Overloads for text, the decorator, the extras: by mypy --strict, and by pyright's engine."""
    (tmp_path / "typed.py").write_text(TYPED_CODE)
    done = mypy(python, "typed.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    done = run(python, "-m", "basedpyright", "--level", "error", "--pythonpath", str(python), "typed.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
