"""`cli.bytecode`: what a start takes from one file is what Python would import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wasi_preview1

import wasihost

GUEST = Path(__file__).resolve().parents[1] / "guests" / "empty.wat"
REPORT = """
import atexit, os, sys
def end(status, really=os._exit):
    own = [m for n, m in sys.modules.items() if n.startswith("wasihost.")]
    kept = [m for m in own if type(m.__spec__.loader).__name__ == "_Loader"]
    print(status, len(kept) > 40, all(m.__spec__.cached or m.__file__.endswith(".so") for m in own), *sys.argv[2:])
    sys.stdout.flush()
    really(status)
os._exit = end
sys.argv = ["wasihost", sys.argv[1]]
from wasihost.__main__ import main
main()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the packages, whose sources were changed long ago."""
    for package in (wasihost, wasi_preview1):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("*.kept", "*.c", "*.h"))
    return tmp_path


def start(place: Path, **env: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | env
    command = [sys.executable, "-c", REPORT, str(GUEST)]
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


def kept_in(place: Path) -> list[Path]:
    return list((place / "wasihost" / "cli" / "__pycache__").glob("*.kept*"))


def test_the_second_start_takes_modules_from_the_file_and_sources_that_change_are_read(place: Path) -> None:
    assert start(place, PYTHONDONTWRITEBYTECODE="1") == "0 False True\n"
    assert not kept_in(place)
    assert start(place) == "0 False True\n"
    [kept] = kept_in(place)
    written = kept.stat().st_mtime_ns
    assert start(place) == "0 True True\n"
    assert kept.stat().st_mtime_ns == written
    changed = place / "wasihost" / "common" / "auditing.py"
    changed.write_text(changed.read_text() + "\nprint('changed')\n")
    assert start(place) == "changed\n0 True True\n"


def test_a_file_that_cannot_be_used_is_written_again(place: Path) -> None:
    start(place)
    [kept] = kept_in(place)
    whole = kept.read_bytes()
    for content in (b"", b"\0\0\0\0", whole[: len(whole) // 2], whole[:4] + b"N"):
        kept.write_bytes(content)
        assert start(place) == "0 False True\n"
        assert kept_in(place) == [kept]
    assert start(place) == "0 True True\n"
