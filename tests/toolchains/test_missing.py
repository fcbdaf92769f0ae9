"""What is said where Rust's compiler, or its linker, is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.toolchains import rust_compiler

COMPILER = """#!/bin/sh
echo "{library}"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All there is on PATH."""
    made = tmp_path / "bin"
    made.mkdir()
    monkeypatch.setenv("PATH", str(made))
    return made


def _compiler(path: Path, library: Path) -> None:
    (path / "rustc").write_text(COMPILER.format(library=library))
    (path / "rustc").chmod(0o755)


def test_no_compiler(path: Path) -> None:
    assert not list(path.iterdir())
    with pytest.raises(RuntimeError, match=r"no rustc .*apt-get install rustc libstd-rust-dev-wasm32 lld"):
        rust_compiler()


def test_a_compiler_for_other_systems(path: Path) -> None:
    _compiler(path, path / "nothing")
    with pytest.raises(RuntimeError, match=r"no rustc on PATH has the standard library of WASI: .*wasm32"):
        rust_compiler()


def test_linkers(path: Path, tmp_path: Path) -> None:
    library = tmp_path / "rustlib" / "wasm32-wasip1" / "lib"
    library.mkdir(parents=True)
    (library / "libstd-0.rlib").touch()
    _compiler(path, library)
    with pytest.raises(RuntimeError, match=r"no wasm-ld on PATH: .* lld"):
        rust_compiler()

    (path / "wasm-ld").symlink_to("rustc")
    command = [str(path / "rustc"), "--target=wasm32-wasip1"]
    assert rust_compiler() == [*command, "-Clinker=wasm-ld"]

    own = tmp_path / "rustlib" / "host" / "bin" / "rust-lld"
    own.parent.mkdir(parents=True)
    own.touch()
    assert rust_compiler() == command
