"""A hand-made change of one number, one case or one signature is noticed: each is made in a copy and caught."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.typecheck import mypy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources, to be spoilt."""
    for name in ("witx", "generated", "wasihost", "codegen"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file.name}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def check(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "witxgen", "generate", "--check", "witx/preview1/wasi_snapshot_preview1.witx"]
    command += ["-o", "generated", "--package", "wasi_preview1"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_an_offset_changed_in_the_generated_code_is_drift(copy: Path) -> None:
    spoil(copy / "generated/wasi_preview1/codecs.py", 'FILESTAT_LAYOUT = Struct("<QQB7xQQQQQ")',
          'FILESTAT_LAYOUT = Struct("<QQB3xQQQQQ4x")')  # fmt: skip
    done = check(copy)
    assert done.returncode == 1
    assert '-FILESTAT_LAYOUT = Struct("<QQB3xQQQQQ4x")' in done.stdout


def test_an_enum_case_changed_in_the_generated_code_is_drift(copy: Path) -> None:
    spoil(copy / "generated/wasi_preview1/types.py", "    NOTCAPABLE = 76\n", "    NOTCAPABLE = 77\n")
    done = check(copy)
    assert done.returncode == 1
    assert "+    NOTCAPABLE = 76" in done.stdout


def test_a_stale_and_a_missing_file_are_drift(copy: Path) -> None:
    (copy / "generated/wasi_preview1/raw.py").rename(copy / "generated/wasi_preview1/old.py")
    done = check(copy)
    assert done.returncode == 1
    assert "raw.py" in done.stdout
    assert "old.py" in done.stdout


def test_a_case_changed_in_the_witx_differs_from_the_published_figures(copy: Path) -> None:
    spoil(copy / "witx/preview1/typenames.witx", "    $notcapable\n", "    $notcapable_\n")
    command = [sys.executable, "-m", "witxgen", "dump", "witx/preview1/wasi_snapshot_preview1.witx"]
    dumped = json.loads(subprocess.run(command, cwd=copy, capture_output=True, text=True, check=True).stdout)
    published = json.loads((ROOT / "tests/codegen/data/preview1_layout.json").read_text())
    assert dumped["types"]["errno"]["cases"] != published["types"]["errno"]["cases"]
    assert dumped["types"]["errno"]["cases"][:-1] == published["types"]["errno"]["cases"][:-1]


def test_a_handler_of_another_shape_is_a_type_error(tmp_path: Path) -> None:
    """mypy reads the spoilt file in the place of the other, and the rest of the project as it is."""
    handlers, spoilt = ROOT / "wasihost/handlers/fd.py", tmp_path / "fd.py"
    shutil.copy(handlers, spoilt)
    spoil(
        spoilt, "    def fd_tell(self, fd: Fd) -> Filesize:", "    def fd_tell(self, fd: Fd, extra: int) -> Filesize:"
    )
    spoil(spoilt, "    def fd_sync(self, fd: Fd) -> None:", "    def fd_synch(self, fd: Fd) -> None:")
    files = ["wasihost/host/state.py", "wasihost/handlers/fd.py"]
    done = mypy("--shadow-file", "wasihost/handlers/fd.py", spoilt, *files)
    assert done.returncode == 1
    assert 'Signature of "fd_tell" incompatible with supertype "wasi_preview1.handlers.FdHandlers"' in done.stdout
    assert 'Cannot instantiate abstract class "Host" with abstract attribute "fd_sync"' in done.stdout
