"""`make languages`: what docs/guests.md says of languages whose compilers are not Python packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guests.md"


def section(title: str) -> list[tuple[str, str]]:
    """Language and content of the blocks below a heading."""
    (text,) = re.findall(rf"^### {title}\n(.*?)^###? ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def says_hello(title: str, folder: Path) -> bool:
    """Type the section's blocks, but those that install a compiler for the whole user; whether it greets in the end."""
    env = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    printed = ""
    for language, content in section(title):
        if language != "sh":
            name = re.match(r"// (\S+)\n", content)
            assert name
            (folder / name[1]).write_text(content)
        elif not content.startswith("rustup"):
            done = subprocess.run(
                ["bash", "-ec", content], cwd=folder, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            printed = done.stdout
    return printed.endswith("hello Ada\n")


def test_rust(tmp_path: Path) -> None:
    if not shutil.which("rustc"):
        pytest.skip("rustc is not installed")
    root = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(root, "lib/rustlib/wasm32-wasip1").exists():
        pytest.skip("rustc has no standard library for wasm32-wasip1: rustup target add wasm32-wasip1")
    assert says_hello("Rust", tmp_path)


def test_assemblyscript(tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    assert says_hello("AssemblyScript", tmp_path)
